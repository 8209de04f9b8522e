/* client - one client of the hub: its identity, the channels it is on */
#include "common/base/mem.h"
#include "server/hub/request.h"

/* A question whose answer met a channel that was behind is asked again so often. */
enum { SUBSCRIBE_TRIES_MAX = 4 };

struct hub_identity {
	uint8_t token[IPC_KEY_BYTES];
	uint32_t said_on;	/* the link on which it was claimed last */
	uint16_t member_len, info_len, note_len;
	uint8_t bytes[];	/* member; info; note */
};

static enum ipc_result member_result(enum bus_outcome outcome, const union ipc_any *answer) {
	if (outcome != BUS_ANSWERED)
		return IPC_UNAVAILABLE;
	return answer->member_result.result <= IPC_FULL ? (enum ipc_result)answer->member_result.result : IPC_UNAVAILABLE;
}

static struct hub_identity *identity_new(struct slice member, const uint8_t token[IPC_KEY_BYTES], struct slice info, struct slice note) {
	struct hub_identity *i = mem_alloc(offsetof(struct hub_identity, bytes) + member.len + info.len + note.len);

	BUG_ON(member.len > UINT16_MAX || info.len > UINT16_MAX || note.len > UINT16_MAX);
	memcpy(i->token, token, sizeof(i->token));
	i->said_on = 0;
	i->member_len = (uint16_t)member.len;
	i->info_len = (uint16_t)info.len;
	i->note_len = (uint16_t)note.len;
	memcpy(i->bytes, member.ptr, member.len);
	if (info.len > 0)
		memcpy(i->bytes + member.len, info.ptr, info.len);
	if (note.len > 0)
		memcpy(i->bytes + member.len + info.len, note.ptr, note.len);
	return i;
}

void client_identity_free(struct hub_identity **identity) {
	mem_free(*identity);
	*identity = NULL;
}

static struct slice identity_member(const struct hub_identity *i) {
	return slice_of(i->bytes, i->member_len);
}

static struct slice identity_info(const struct hub_identity *i) {
	return slice_of(i->bytes + i->member_len, i->info_len);
}

struct slice hub_client_info(const struct hub_client *c) {
	return c->identity != NULL ? identity_info(c->identity) : SLICE_EMPTY;
}

struct slice hub_client_note(const struct hub_client *c) {
	const struct hub_identity *i = c->identity;

	return i != NULL ? slice_of(i->bytes + i->member_len + i->info_len, i->note_len) : SLICE_EMPTY;
}

struct slice hub_client_member(const struct hub_client *c) {
	const struct hub_identity *i = c->identity;

	for (const struct request *r = c->requests; i == NULL && r != NULL; r = request_next(r))
		i = r->identity;
	return i != NULL ? identity_member(i) : SLICE_EMPTY;
}

static struct slice users_channel(void) {
	return slice_text("$users");
}

/* --- what the broker is told of members --- */

static struct ipc_member_add member_message(struct slice channel, const struct hub_identity *i, uint8_t flags) {
	struct ipc_member_add m = {
		.channel = channel,
		.flags = flags,
		.member = identity_member(i),
		.info = identity_info(i),
	};

	/* Nobody is told who is there. */
	if (slice_eq(channel, users_channel()))
		m.info = SLICE_EMPTY;
	memcpy(m.token, i->token, sizeof(m.token));
	return m;
}

bool client_tell_member(struct hub *h, struct slice channel, const struct hub_identity *identity, uint8_t flags,
    uint32_t *said_on) {
	struct ipc_member_add m = member_message(channel, identity, flags);

	if (!bus_tell(h->bus, IPC_member_add, &m))
		return false;
	*said_on = bus_link(h->bus);
	return true;
}

/* On another link than the one it was said on, the broker has taken it for gone already. */
static void tell_gone(struct hub *h, struct slice channel, const struct hub_identity *i, uint32_t said_on,
    uint32_t grace_ms) {
	struct ipc_member_remove m = {
		.channel = channel,
		.member = identity_member(i),
		.grace_ms = grace_ms,
	};

	/* Not sent: the link is down or will be, which says the same. */
	if (said_on != 0 && said_on == bus_link(h->bus))
		bus_tell(h->bus, IPC_member_remove, &m);
}

void client_tell_identity(struct hub *h, struct hub_client *c) {
	if (c->identity->said_on != bus_link(h->bus))
		client_tell_member(h, users_channel(), c->identity, IPC_RESYNC, &c->identity->said_on);
}

void client_tell_memberships(struct hub *h, struct hub_client *c) {
	for (struct sub *s = c->subs; s != NULL; s = s->next) {
		/* Who still waits for the answer is told of with the question. */
		if (s->is_present && s->is_live && s->said_on != bus_link(h->bus))
			client_tell_member(h, channel_name(s->channel), c->identity, IPC_RESYNC, &s->said_on);
	}
}

/* --- life --- */

void hub_client_init(struct hub *h, struct hub_client *c, struct conn *conn, uint8_t form) {
	BUG_ON(form >= h->delivery.form_count && conn != NULL);
	memset(c, 0, sizeof(*c));
	c->hub = h;
	c->conn = conn;
	c->form = form;
	list_init(&c->link);
}

static void sub_drop(struct hub *h, struct sub *s, uint32_t grace_ms) {
	if (s->is_present)
		tell_gone(h, channel_name(s->channel), s->client->identity, s->said_on, grace_ms);
	sub_free(&h->channels, s);
}

void hub_client_fini(struct hub_client *c, uint32_t grace_ms) {
	struct hub *h = c->hub;

	if (h == NULL)
		return;
	c->hub = NULL;
	while (c->requests != NULL)
		request_forget(c->requests, grace_ms);
	while (c->subs != NULL)
		sub_drop(h, c->subs, grace_ms);
	if (c->identity != NULL)
		tell_gone(h, users_channel(), c->identity, c->identity->said_on, grace_ms);
	client_identity_free(&c->identity);
	list_remove(&c->link);
}

/* Nobody waits any more whether the member may be there: it goes. */
static void take_back(struct request *r, struct slice channel, enum bus_outcome outcome, enum ipc_result result) {
	if (outcome == BUS_TIMED_OUT)
		return;
	if (result == IPC_OK)
		tell_gone(r->hub, channel, r->identity, bus_link(r->hub->bus), r->grace_ms);
	request_end(r);
	request_free(r);
}

/* --- identity --- */

static void on_identified(struct bus_request *b, enum bus_outcome outcome, const union ipc_any *answer) {
	struct request *r = container_of(b, struct request, bus);
	struct hub *h = r->hub;
	struct hub_client *c = r->client;
	struct hub_result result = { .result = member_result(outcome, answer) };

	if (c == NULL) {
		take_back(r, users_channel(), outcome, result.result);
		return;
	}
	if (outcome == BUS_TIMED_OUT) {
		/* The claim may still succeed, for nobody; the orphan takes it back then. */
		void *cookie = r->cookie;

		r->cookie = NULL;
		request_orphan(r, 0);
		r->fn.result(c, cookie, &result);
		mem_free(cookie);
		return;
	}
	request_end(r);
	if (result.result == IPC_OK) {
		c->identity = r->identity;
		c->identity->said_on = bus_link(h->bus);
		r->identity = NULL;
		list_add_tail(&h->members, &c->link);
	}
	r->fn.result(c, r->cookie, &result);
	request_free(r);
}

void hub_identify(struct hub_client *c, struct slice member, const uint8_t token[IPC_KEY_BYTES], struct slice info, struct slice note,
    hub_result_fn fn, void *cookie) {
	struct request *r = request_new(c, cookie);
	struct ipc_member_add m;

	if (r == NULL)
		return;
	BUG_ON(c->identity != NULL);
	r->identity = identity_new(member, token, info, note);
	r->fn.result = fn;
	m = member_message(users_channel(), r->identity, 0);
	bus_keep_overdue(&r->bus);
	bus_ask(c->hub->bus, &r->bus, IPC_member_add, &m, on_identified);
}

/* --- subscriptions --- */

static void subscribe_ask(struct request *r);
static void enter_ask(struct request *r);
static struct request *enter_abandon(struct request *r);

enum snapshot_use { SNAPSHOT_FITS = 0, SNAPSHOT_TOO_EARLY, SNAPSHOT_USELESS };

/* The link is first in, first out, so a snapshot stands exactly where the channel stands, or something is wrong. */
static enum snapshot_use snapshot_use_of(struct hub *h, struct channel *ch, enum bus_outcome outcome,
    const union ipc_any *answer) {
	const struct ipc_snapshot *s;

	if (outcome != BUS_ANSWERED || (answer->snapshot.flags & IPC_SNAPSHOT_UNAVAILABLE) != 0)
		return SNAPSHOT_USELESS;
	s = &answer->snapshot;
	switch ((enum channel_state)ch->state) {
	case CHANNEL_NEW:
		if (!channel_set_position(ch, s->epoch, s->offset)) {
			hub_bad_message(h, "a snapshot with an epoch that is none");
			return SNAPSHOT_USELESS;
		}
		ch->state = CHANNEL_LIVE;
		return SNAPSHOT_FITS;
	case CHANNEL_LIVE:
		if (channel_is_at(ch, s->epoch, s->offset))
			return SNAPSHOT_FITS;
		resync_channel(h, ch);
		return SNAPSHOT_TOO_EARLY;
	case CHANNEL_BEHIND:
		break;
	}
	return SNAPSHOT_TOO_EARLY;
}

static void subscribe_refuse(struct request *r, enum ipc_result why) {
	const struct hub_snapshot refused = { .result = why };
	struct sub *s = r->sub;

	request_end(r);
	r->sub = NULL;
	if (s != NULL)
		sub_drop(r->hub, s, 0);
	if (r->client != NULL)
		r->fn.snapshot(r->client, r->cookie, &refused);
	request_free(r);
}

/* The broker's event came before the snapshot, if at all: it is for those who were there. */
static void tell_own_arrival(struct hub *h, struct hub_client *c, struct channel *ch, uint32_t member_count) {
	const struct hub_identity *i = c->identity;
	struct hub_member_event event = { .channel = channel_name(ch), .member = identity_member(i),
		.info = identity_info(i), .member_count = member_count, .is_join = true };

	delivery_own_arrival(&h->delivery, ch, c, &event);
}

/* From here on the client gets what comes; its answer stands before all that, because nothing is handed out until we
 * return. */
static void subscribe_complete(struct request *r, struct hub_snapshot *out) {
	struct sub *s = r->sub;
	struct channel *ch = s->channel;
	struct conn *conn = r->client->conn;

	delivery_hand_out(ch);
	request_end(r);
	r->sub = NULL;
	sub_go_live(s);
	out->result = IPC_OK;
	out->channel = channel_name(ch);
	out->position = channel_position(ch);
	out->asked_since = r->is_since;
	if (out->asked_since)
		stat_add(out->recovered ? STAT_recoveries : STAT_recoveries_failed, 1);
	r->fn.snapshot(r->client, r->cookie, out);
	if (r->is_new && conn != NULL && conn_is_open(conn))
		tell_own_arrival(r->hub, r->client, ch, out->member_count);
	request_free(r);
}

static void on_subscribed(struct bus_request *b, enum bus_outcome outcome, const union ipc_any *answer) {
	struct request *r = container_of(b, struct request, bus);
	struct hub_snapshot out = { 0 };
	const struct ipc_snapshot *s;

	if (outcome == BUS_ANSWERED)
		reads_note(r, answer->snapshot.publications.len + answer->snapshot.members.len);
	if (r->sub == NULL) {	/* has unsubscribed meanwhile, or is finished */
		subscribe_refuse(r, IPC_UNAVAILABLE);
		return;
	}
	switch (snapshot_use_of(r->hub, r->sub->channel, outcome, answer)) {
	case SNAPSHOT_USELESS:
		subscribe_refuse(r, IPC_UNAVAILABLE);
		return;
	case SNAPSHOT_TOO_EARLY:
		if (r->tries < SUBSCRIBE_TRIES_MAX)
			subscribe_ask(r);
		else
			subscribe_refuse(r, IPC_UNAVAILABLE);
		return;
	case SNAPSHOT_FITS:
		break;
	}
	s = &answer->snapshot;
	out.recovered = r->is_since && (s->flags & IPC_SNAPSHOT_RECOVERED) != 0;
	out.more = (s->flags & IPC_SNAPSHOT_MORE) != 0;
	out.publications = s->publications;
	out.member_count = s->member_count;
	out.members = s->members;
	subscribe_complete(r, &out);
}

/* Nothing had to be asked: the channel was live, and only where it stands is wanted. */
static void on_subscribed_here(struct bus_request *b, enum bus_outcome outcome UNUSED,
    const union ipc_any *answer UNUSED) {
	struct request *r = container_of(b, struct request, bus);
	struct hub_snapshot out = { 0 };

	if (r->sub == NULL || r->sub->channel->state == CHANNEL_NEW)
		subscribe_refuse(r, IPC_UNAVAILABLE);
	else
		subscribe_complete(r, &out);
}

/* --- becoming a member of the channel, as a part of subscribing --- */

void client_copy_entry(struct request *r) {
	const struct hub_identity *i = r->client->identity;
	struct slice channel = channel_name(r->sub->channel);

	r->identity = identity_new(identity_member(i), i->token, identity_info(i), SLICE_EMPTY);
	r->entering = slice_dup_text(channel);
}

/* The question whether it may goes on alone, so that what comes of it is taken back. Returns what is to be answered: the same
 * request, without that question. */
static struct request *enter_abandon(struct request *r) {
	struct request *answer = request_new(r->client, r->cookie);

	answer->fn = r->fn;
	answer->bus.fn = on_subscribed;
	r->cookie = NULL;
	client_copy_entry(r);
	r->sub = NULL;
	request_orphan(r, 0);
	return answer;
}

static void on_entered(struct bus_request *b, enum bus_outcome outcome, const union ipc_any *answer) {
	struct request *r = container_of(b, struct request, bus);
	enum ipc_result result = member_result(outcome, answer);
	struct sub *s = r->sub;

	if (r->client == NULL) {
		take_back(r, slice_text(r->entering), outcome, result);
		return;
	}
	if (outcome == BUS_TIMED_OUT) {
		r = enter_abandon(r);
		r->sub = s;
		subscribe_refuse(r, IPC_UNAVAILABLE);
		return;
	}
	r->is_entering = false;
	r->bus.is_kept = false;
	if (result != IPC_OK) {
		subscribe_refuse(r, result);
		return;
	}
	s->said_on = bus_link(r->hub->bus);
	r->is_new = r->is_new || answer->member_result.is_new != 0;
	/* What nobody wants in full is not carried in part: a thousand members for each who enters would be most of what entering costs. */
	if (answer->member_result.member_count > r->member_limit && r->member_limit > HUB_FEW_MEMBERS)
		r->member_limit = HUB_FEW_MEMBERS;
	subscribe_ask(r);
}

static void enter_ask(struct request *r) {
	struct ipc_member_add m = member_message(channel_name(r->sub->channel), r->client->identity, 0);

	/* If it had its turn already, on an earlier link, it has to wait for it again. */
	reads_end(r);
	r->is_entering = true;
	bus_keep_overdue(&r->bus);
	bus_ask(r->hub->bus, &r->bus, IPC_member_add, &m, on_entered);
}

static void subscribe_ask(struct request *r) {
	struct hub *h = r->hub;
	struct sub *s = r->sub;
	struct channel *ch = s->channel;
	struct ipc_subscribe m = {
		.channel = channel_name(ch),
		.flags = IPC_WANT_DELIVER,
		.limit = r->limit,
		.member_limit = r->member_limit,
	};

	if (r->is_since) {
		m.flags |= IPC_SINCE;
		m.epoch = slice_text(r->since.epoch);
		m.offset = r->since.offset;
	}
	/* Membership first: who is refused has cost no snapshot. */
	if (s->is_present && s->said_on != bus_link(h->bus)) {
		enter_ask(r);
		return;
	}
	if ((r->is_since || r->member_limit > 0) && !reads_begin(r))
		return;
	r->tries++;
	resync_channel_first(h, ch);
	bus_ask(h->bus, &r->bus, IPC_subscribe, &m, on_subscribed);
	if (bus_is_asked(&r->bus))
		ch->said_on = bus_link(h->bus);
}

void hub_subscribe(struct hub_client *c, struct slice channel, unsigned flags, const struct hub_position *since,
    uint32_t limit, uint32_t member_limit, hub_snapshot_fn fn, void *cookie) {
	struct hub *h = c->hub;
	struct request *r = request_new(c, cookie);
	struct channel *ch;
	struct sub *s;

	if (r == NULL)
		return;
	BUG_ON((flags & HUB_PRESENT) != 0 && c->identity == NULL);
	ch = channels_get(&h->channels, channel);
	s = sub_new(ch, c);
	s->is_present = (flags & HUB_PRESENT) != 0;
	r->sub = s;
	r->ask = subscribe_ask;
	r->fn.snapshot = fn;
	r->limit = limit;
	r->member_limit = member_limit;
	r->is_since = since != NULL;
	if (since != NULL)
		r->since = *since;
	if (ch->state != CHANNEL_LIVE || since != NULL || member_limit > 0 || s->is_present) {
		subscribe_ask(r);
		return;
	}
	r->bus.fn = on_subscribed_here;
	request_answer_later(r);
}

bool hub_is_subscribed(const struct hub_client *c, struct slice channel) {
	return c->hub != NULL && sub_find(&c->hub->channels, c, channel) != NULL;
}

bool hub_unsubscribe(struct hub_client *c, struct slice channel) {
	struct hub *h = c->hub;
	struct sub *s = h != NULL ? sub_find(&h->channels, c, channel) : NULL;
	struct request *r;

	if (s == NULL)
		return false;
	if (s->is_live && c->conn != NULL && conn_is_open(c->conn)) {
		struct conn *conn = c->conn;

		/* What came before it left is still its own. If it turns out to be too slow for that, c is finished. */
		delivery_hand_out(s->channel);
		if (!conn_is_open(conn))
			return true;
	}
	r = request_for(s);
	if (r != NULL && r->is_entering) {
		request_answer_later(enter_abandon(r));
	} else if (r != NULL) {
		r->sub = NULL;
		r->bus.fn = on_subscribed;
		/* A long answer that is on its way counts until it is here: else leaving would make asking free. */
		if (!r->has_turn)
			request_answer_later(r);
	}
	sub_drop(h, s, 0);
	return true;
}
