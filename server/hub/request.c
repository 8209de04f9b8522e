/* request - what clients ask that has no effect on their channels: publish, history, lists */
#include "server/hub/request.h"

#include "common/base/mem.h"
#include "common/svc/trace.h"

static void client_add_request(struct hub_client *c, struct request *r) {
	list_init(&r->on_client);
	if (c->requests == NULL)
		c->requests = r;
	else
		list_add_tail(&c->requests->on_client, &r->on_client);
}

static void client_drop_request(struct hub_client *c, struct request *r) {
	if (c->requests == r)
		c->requests = request_next(r);
	list_remove(&r->on_client);
}

struct request *request_next(const struct request *r) {
	struct request *next = list_entry(r->on_client.next, struct request, on_client);

	return next != r->client->requests ? next : NULL;
}

struct request *request_new(struct hub_client *c, void *cookie) {
	struct request *r;

	if (c->hub == NULL) {
		mem_free(cookie);
		return NULL;
	}
	r = mem_zalloc(sizeof(*r));
	list_init(&r->bus.link);
	list_init(&r->answerable);
	list_init(&r->waiting);
	r->hub = c->hub;
	r->client = c;
	r->cookie = cookie;
	client_add_request(c, r);
	c->hub->pending++;
	return r;
}

void request_end(struct request *r) {
	list_remove(&r->answerable);
	reads_leave(r);
	if (r->client != NULL) {
		client_drop_request(r->client, r);
		r->hub->pending--;
	} else {
		list_remove(&r->on_client);
	}
}

void request_free(struct request *r) {
	reads_end(r);
	rcbuf_unref(&r->question);
	client_identity_free(&r->identity);
	mem_free(r->entering);
	mem_free(r->cookie);
	mem_free(r);
}

void request_answer_later(struct request *r) {
	bus_forget(r->hub->bus, &r->bus);
	reads_leave(r);
	list_remove(&r->answerable);
	list_add_tail(&r->hub->answerable, &r->answerable);
	evloop_do_not_wait(r->hub->loop);
}

void request_orphan(struct request *r, uint32_t grace_ms) {
	request_end(r);
	r->client = NULL;
	r->grace_ms = grace_ms;
	mem_free(r->cookie);
	r->cookie = NULL;
	list_add_tail(&r->hub->orphans, &r->on_client);
}

void request_forget(struct request *r, uint32_t grace_ms) {
	if (r->is_entering)
		client_copy_entry(r);
	r->sub = NULL;
	if (r->identity != NULL || r->has_turn) {
		request_orphan(r, grace_ms);
		return;
	}
	bus_forget(r->hub->bus, &r->bus);
	request_end(r);
	request_free(r);
}

void requests_turn_end(struct hub *h) {
	struct list now;

	/* What becomes answerable meanwhile is answered in the next turn. */
	list_init(&now);
	list_splice_tail(&now, &h->answerable);
	while (!list_is_empty(&now)) {
		struct request *r = list_entry(now.next, struct request, answerable);

		list_remove(&r->answerable);
		r->bus.fn(&r->bus, BUS_NOT_SENT, NULL);
	}
}

void requests_fini(struct hub *h) {
	list_for_each_safe(it, &h->orphans) {
		struct request *r = list_entry(it, struct request, on_client);

		request_end(r);
		request_free(r);
	}
}

struct request *request_for(const struct sub *s) {
	struct request *r = s->client->requests;

	while (r != NULL && r->sub != s)
		r = request_next(r);
	return r;
}

/* An epoch that is too long is cut: it fits nothing then, and nobody is worse off than with a wrong one. */
struct hub_position request_position(struct slice epoch, uint64_t offset) {
	struct hub_position p = { .offset = offset };

	if (epoch.len > 0)
		memcpy(p.epoch, epoch.ptr, epoch.len < EPOCH_TEXT_MAX ? epoch.len : EPOCH_TEXT_MAX);
	return p;
}

/* --- publish --- */

static enum ipc_result publish_result(enum bus_outcome outcome, const union ipc_any *answer) {
	switch (outcome) {
	case BUS_ANSWERED:
		if (answer->published.result > IPC_UNCERTAIN)
			return IPC_UNCERTAIN;
		return (enum ipc_result)answer->published.result;
	case BUS_NOT_SENT:
		return IPC_UNAVAILABLE;
	default:
		return IPC_UNCERTAIN;
	}
}

static void on_published(struct bus_request *b, enum bus_outcome outcome, const union ipc_any *answer) {
	struct request *r = container_of(b, struct request, bus);
	struct hub_result result = { .result = publish_result(outcome, answer) };

	request_end(r);
	if (outcome == BUS_ANSWERED)
		result.position = request_position(answer->published.epoch, answer->published.offset);
	if (result.result == IPC_UNAVAILABLE)
		stat_add(STAT_publications_unavailable, 1);
	else if (result.result == IPC_UNCERTAIN)
		stat_add(STAT_publications_uncertain, 1);
	if (r->fn.result != NULL)
		r->fn.result(r->client, r->cookie, &result);
	request_free(r);
}

static void publish(struct hub_client *c, struct ipc_publish *m, hub_result_fn fn, void *cookie) {
	struct request *r = request_new(c, cookie);

	if (r == NULL)
		return;
	r->fn.result = fn;
	m->sent_us = evloop_wall_us(c->hub->loop);
	c->hub->is_publishing = true;
	bus_ask(c->hub->bus, &r->bus, IPC_publish, m, on_published);
	trace_event(publish, c->conn != NULL ? conn_number(c->conn) : 0, m->data.len, r->bus.id);
	if (bus_is_asked(&r->bus))
		stat_add(STAT_publications, 1);
}

void hub_publish(struct hub_client *c, struct slice channel, const uint8_t *key, uint8_t flags, uint8_t kind,
    struct slice data, hub_result_fn fn, void *cookie) {
	struct ipc_publish m = { .channel = channel, .flags = flags, .kind = kind, .data = data };

	if (key != NULL)
		memcpy(m.key, key, sizeof(m.key));
	publish(c, &m, fn, cookie);
}

void hub_publish_from(struct hub_client *c, struct slice channel, uint8_t flags, uint8_t kind, struct slice data, struct rcbuf *in,
    hub_result_fn fn, void *cookie) {
	struct ipc_publish m = { .channel = channel, .flags = flags, .kind = kind, .data = data, .data_in = in };

	publish(c, &m, fn, cookie);
}

/* --- history --- */

/* Now or when its turn comes. */
static void read_ask(struct request *r, enum ipc_type type, const void *message, void (*ask)(struct request *r)) {
	r->ask = ask;
	r->question = ipc_encode(type, message);
	if (r->question == NULL)
		request_answer_later(r);
	else if (reads_begin(r))
		ask(r);
}

static void read_ask_now(struct request *r, enum ipc_type type) {
	struct slice body = slice_skip(slice_of(r->question->data, r->question->len), IPC_HEADER_BYTES);
	union ipc_any message;
	bool is_readable = ipc_decode(type, body, NULL, &message);

	BUG_ON(!is_readable);
	bus_ask(r->hub->bus, &r->bus, type, &message, r->bus.fn);
	rcbuf_unref(&r->question);
}

static void on_history(struct bus_request *b, enum bus_outcome outcome, const union ipc_any *answer) {
	struct request *r = container_of(b, struct request, bus);
	struct hub_snapshot out = { .result = IPC_UNAVAILABLE };

	request_end(r);
	if (outcome == BUS_ANSWERED && (answer->snapshot.flags & IPC_SNAPSHOT_UNAVAILABLE) == 0) {
		const struct ipc_snapshot *s = &answer->snapshot;

		reads_note(r, s->publications.len);
		out.result = IPC_OK;
		out.channel = s->channel;
		out.position = request_position(s->epoch, s->offset);
		out.asked_since = r->is_since;
		out.recovered = (s->flags & IPC_SNAPSHOT_RECOVERED) != 0;
		out.more = (s->flags & IPC_SNAPSHOT_MORE) != 0;
		out.publications = s->publications;
		out.member_count = s->member_count;
		out.members = s->members;
	}
	if (r->client != NULL)
		r->fn.snapshot(r->client, r->cookie, &out);
	request_free(r);
}

static void ask_history(struct request *r) {
	read_ask_now(r, IPC_history);
}

void hub_history(struct hub_client *c, struct slice channel, uint8_t flags, const struct hub_position *position,
    uint32_t limit, hub_snapshot_fn fn, void *cookie) {
	struct ipc_history m = { .channel = channel, .flags = flags, .limit = limit };
	struct request *r = request_new(c, cookie);

	if (r == NULL)
		return;
	if (position != NULL) {
		m.epoch = slice_text(position->epoch);
		m.offset = position->offset;
	}
	r->fn.snapshot = fn;
	r->is_since = (flags & IPC_SINCE) != 0;
	r->bus.fn = on_history;
	read_ask(r, IPC_history, &m, ask_history);
}

/* --- lists --- */

static void on_member_list(struct bus_request *b, enum bus_outcome outcome, const union ipc_any *answer) {
	struct request *r = container_of(b, struct request, bus);
	struct hub_members out = { .result = IPC_UNAVAILABLE };

	request_end(r);
	if (outcome == BUS_ANSWERED && answer->member_list.result == IPC_OK) {
		out.result = IPC_OK;
		out.member_count = answer->member_list.member_count;
		out.more = answer->member_list.more != 0;
		out.members = answer->member_list.members;
		reads_note(r, out.members.len);
	}
	if (r->client != NULL)
		r->fn.members(r->client, r->cookie, &out);
	request_free(r);
}

static void ask_members(struct request *r) {
	read_ask_now(r, IPC_members);
}

void hub_member_list(struct hub_client *c, struct slice channel, const struct hub_cursor *after, uint32_t limit, hub_members_fn fn,
    void *cookie) {
	struct ipc_members m = { .channel = channel, .after_number = after->number, .after = after->member, .limit = limit };
	struct request *r = request_new(c, cookie);

	if (r == NULL)
		return;
	r->fn.members = fn;
	r->bus.fn = on_member_list;
	read_ask(r, IPC_members, &m, ask_members);
}

static void on_channel_list(struct bus_request *b, enum bus_outcome outcome, const union ipc_any *answer) {
	struct request *r = container_of(b, struct request, bus);
	struct hub_channels out = { .result = IPC_UNAVAILABLE };

	request_end(r);
	if (outcome == BUS_ANSWERED && answer->channel_list.result == IPC_OK) {
		out.result = IPC_OK;
		out.more = answer->channel_list.more != 0;
		out.channels = answer->channel_list.channels;
	}
	r->fn.channels(r->client, r->cookie, &out);
	request_free(r);
}

void hub_channel_list(struct hub_client *c, struct slice prefix, struct slice after, uint32_t limit, hub_channels_fn fn,
    void *cookie) {
	struct ipc_channels m = { .prefix = prefix, .after = after, .limit = limit };
	struct request *r = request_new(c, cookie);

	if (r == NULL)
		return;
	r->fn.channels = fn;
	bus_ask(c->hub->bus, &r->bus, IPC_channels, &m, on_channel_list);
}

void hub_top_rooms(struct hub_client *c, struct slice prefix, uint32_t limit, hub_channels_fn fn, void *cookie) {
	struct ipc_top_rooms m = { .prefix = prefix, .limit = limit < HUB_TOP_ROOMS_MAX ? limit : HUB_TOP_ROOMS_MAX };
	struct request *r = request_new(c, cookie);

	if (r == NULL)
		return;
	r->fn.channels = fn;
	bus_ask(c->hub->bus, &r->bus, IPC_top_rooms, &m, on_channel_list);
}

static void on_inspection(struct bus_request *b, enum bus_outcome outcome, const union ipc_any *answer) {
	struct request *r = container_of(b, struct request, bus);
	struct hub_inspection out = { .result = outcome == BUS_NOT_SENT ? IPC_UNAVAILABLE : IPC_UNCERTAIN };

	request_end(r);
	if (outcome == BUS_ANSWERED) {
		const struct ipc_inspection *i = &answer->inspection;

		out.result = i->result == IPC_OK ? IPC_OK : IPC_UNAVAILABLE;
		if (out.result == IPC_OK)
			out = (struct hub_inspection){ IPC_OK, i->asked, i->answered, i->matched, i->done, i->connections };
	}
	r->fn.inspection(r->client, r->cookie, &out);
	request_free(r);
}

void hub_inspect(struct hub_client *c, const struct ipc_inspect *question, hub_inspection_fn fn, void *cookie) {
	struct ipc_inspect m = *question;
	struct request *r = request_new(c, cookie);

	if (r == NULL)
		return;
	m.limit = m.limit < HUB_INSPECT_MAX ? m.limit : HUB_INSPECT_MAX;
	r->fn.inspection = fn;
	bus_ask(c->hub->bus, &r->bus, IPC_inspect, &m, on_inspection);
}
