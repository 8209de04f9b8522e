/* stand_in - a hub and one connection as far as a front end sees them */
#include "tests/fuzz/stand_in.h"

#include "common/base/mem.h"

struct conns {
	struct id_source ids;
};
struct conn {
	struct conns conns;
	struct hub *hub;
	const struct conn_ops *ops;
	void *user;
	struct sock_peer peer;
	struct auth_grant *grant;
	unsigned rooms;
};
static struct conn the_conn;

enum { STAND_IN_WAIT_MS = 1250, STAND_IN_ROOMS_MAX = 6 };

enum question_kind { ASK_IDENTIFY, ASK_SUBSCRIBE, ASK_PUBLISH, ASK_HISTORY, ASK_MEMBERS };

struct stand_in_question {
	struct list link;
	enum question_kind kind;
	struct hub_client *client;
	char *channel;
	bool is_since, has_failed;
	union {
		hub_result_fn result;
		hub_snapshot_fn snapshot;
		hub_members_fn members;
	} fn;
	void *cookie;
};

/* --- hub --- */

void stand_in_init(struct hub *h) {
	memset(h, 0, sizeof(*h));
	list_init(&h->questions);
	buf_init(&h->members, 1 << 16);
	h->recovered = true;
}

static void drop_kept(struct hub *h) {
	for (size_t i = 0; i < h->kept_count; i++) {
		mem_free(h->kept[i].channel);
		mem_free(h->kept[i].data);
	}
	h->kept_count = 0;
}

void stand_in_fini(struct hub *h) {
	BUG_ON(!list_is_empty(&h->questions) || h->has_conn);
	for (size_t i = 0; i < STAND_IN_SUBS_MAX; i++)
		BUG_ON(h->subs[i] != NULL);
	drop_kept(h);
	buf_fini(&h->members);
}

void stand_in_add_member(struct hub *h, struct slice member, struct slice info) {
	struct ipc_member m = { .number = ++h->member_count, .member = member, .info = info };

	ipc_put_member(&h->members, &m);
}

static char **sub_find(struct hub *h, struct slice channel) {
	for (size_t i = 0; i < STAND_IN_SUBS_MAX; i++) {
		if (h->subs[i] != NULL && slice_eq_text(channel, h->subs[i]))
			return &h->subs[i];
	}
	return NULL;
}

static void sub_drop(struct hub_client *c, char **sub) {
	mem_free(*sub);
	*sub = NULL;
	c->sub_count--;
}

void hub_client_init(struct hub *h, struct hub_client *c, struct conn *conn, uint8_t form) {
	memset(c, 0, sizeof(*c));
	c->hub = h;
	c->conn = conn;
	c->form = form;
}

static void forget_identity(struct hub *h) {
	h->is_identified = false;
	mem_free(h->member);
	mem_free(h->note);
	h->member = h->note = NULL;
}

void hub_client_fini(struct hub_client *c, uint32_t grace_ms UNUSED) {
	struct hub *h = c->hub;

	if (h == NULL)
		return;
	c->hub = NULL;
	list_for_each_safe(it, &h->questions) {
		struct stand_in_question *q = list_entry(it, struct stand_in_question, link);

		list_remove(&q->link);
		mem_free(q->cookie);
		mem_free(q->channel);
		mem_free(q);
	}
	for (size_t i = 0; i < STAND_IN_SUBS_MAX; i++) {
		if (h->subs[i] != NULL)
			sub_drop(c, &h->subs[i]);
	}
	forget_identity(h);
}

/* NULL: the client is finished, the cookie is gone. */
static struct stand_in_question *ask(struct hub_client *c, enum question_kind kind, struct slice channel, void *cookie) {
	struct stand_in_question *q;

	if (c->hub == NULL) {
		mem_free(cookie);
		return NULL;
	}
	q = mem_zalloc(sizeof(*q));
	q->kind = kind;
	q->client = c;
	q->channel = slice_dup_text(channel);
	q->cookie = cookie;
	list_add_tail(&c->hub->questions, &q->link);
	return q;
}

void hub_identify(struct hub_client *c, struct slice member, const uint8_t token[IPC_KEY_BYTES] UNUSED, struct slice info,
    struct slice note, hub_result_fn fn, void *cookie) {
	struct stand_in_question *q = ask(c, ASK_IDENTIFY, member, cookie);

	if (q == NULL)
		return;
	BUG_ON(c->hub->member != NULL || info.len == 0);
	c->hub->member = slice_dup_text(member);
	c->hub->note = slice_dup_text(note);
	q->fn.result = fn;
}

struct slice hub_client_info(const struct hub_client *c) {
	return c->hub != NULL && c->hub->is_identified ? slice_text("{\"name\":\"somebody\"}") : SLICE_EMPTY;
}

struct slice hub_client_note(const struct hub_client *c) {
	return c->hub != NULL && c->hub->is_identified ? slice_text(c->hub->note) : SLICE_EMPTY;
}

struct slice hub_client_member(const struct hub_client *c) {
	return c->hub != NULL && c->hub->member != NULL ? slice_text(c->hub->member) : SLICE_EMPTY;
}

bool hub_is_subscribed(const struct hub_client *c, struct slice channel) {
	return c->hub != NULL && sub_find(c->hub, channel) != NULL;
}

void hub_subscribe(struct hub_client *c, struct slice channel, unsigned flags, const struct hub_position *since,
    uint32_t limit UNUSED, uint32_t member_limit UNUSED, hub_snapshot_fn fn, void *cookie) {
	struct stand_in_question *q = ask(c, ASK_SUBSCRIBE, channel, cookie);
	size_t i = 0;

	if (q == NULL)
		return;
	BUG_ON((flags & HUB_PRESENT) != 0 && !c->hub->is_identified);
	BUG_ON(hub_is_subscribed(c, channel) || channel.len == 0 || channel.len > IPC_CHANNEL_MAX);
	while (c->hub->subs[i] != NULL)
		BUG_ON(++i == STAND_IN_SUBS_MAX);
	c->hub->subs[i] = slice_dup_text(channel);
	c->sub_count++;
	q->fn.snapshot = fn;
	q->is_since = since != NULL;
}

bool hub_unsubscribe(struct hub_client *c, struct slice channel) {
	char **sub = c->hub != NULL ? sub_find(c->hub, channel) : NULL;

	if (sub == NULL)
		return false;
	list_for_each(it, &c->hub->questions) {
		struct stand_in_question *q = list_entry(it, struct stand_in_question, link);

		if (q->kind == ASK_SUBSCRIBE && slice_eq_text(channel, q->channel))
			q->has_failed = true;
	}
	sub_drop(c, sub);
	return true;
}

void stand_in_publish(struct hub *h, struct slice channel, uint8_t kind, struct slice data) {
	struct hub_publication p = { .channel = channel, .epoch = slice_text("e1"), .data = data, .time_ms = 1700000000000 };

	p.offset = ++h->offset;
	p.kind = kind;
	h->on_publication(h, &p);
	if (h->kept_count == STAND_IN_KEPT_MAX)
		drop_kept(h);
	h->kept[h->kept_count].channel = slice_dup_text(channel);
	h->kept[h->kept_count].kind = kind;
	h->kept[h->kept_count].data = mem_dup(data.ptr, data.len);
	h->kept[h->kept_count++].len = data.len;
}

void hub_publish(struct hub_client *c, struct slice channel, const uint8_t *key UNUSED, uint8_t flags UNUSED, uint8_t kind,
    struct slice data, hub_result_fn fn, void *cookie) {
	struct stand_in_question *q = ask(c, ASK_PUBLISH, channel, cookie);

	if (q == NULL)
		return;
	BUG_ON(channel.len == 0 || channel.len > IPC_CHANNEL_MAX);
	q->fn.result = fn;
	if (c->hub->result == IPC_OK)
		stand_in_publish(c->hub, channel, kind, data);
}

void hub_publish_from(struct hub_client *c, struct slice channel, uint8_t flags, uint8_t kind, struct slice data, struct rcbuf *in UNUSED,
    hub_result_fn fn, void *cookie) {
	hub_publish(c, channel, NULL, flags, kind, data, fn, cookie);
}

void hub_history(struct hub_client *c, struct slice channel, uint8_t flags, const struct hub_position *position UNUSED,
    uint32_t limit, hub_snapshot_fn fn, void *cookie) {
	struct stand_in_question *q = ask(c, ASK_HISTORY, channel, cookie);

	if (q == NULL)
		return;
	BUG_ON(limit == 0 || !hub_is_subscribed(c, channel));
	q->fn.snapshot = fn;
	q->is_since = (flags & IPC_SINCE) != 0;
}

void hub_member_list(struct hub_client *c, struct slice channel, const struct hub_cursor *after, uint32_t limit,
    hub_members_fn fn, void *cookie) {
	struct stand_in_question *q = ask(c, ASK_MEMBERS, channel, cookie);

	if (q == NULL)
		return;
	BUG_ON(after != NULL && after->member.len > IPC_CHANNEL_MAX);
	BUG_ON(limit == 0 || !hub_is_subscribed(c, channel));
	q->fn.members = fn;
}

/* --- answers --- */

static uint32_t member_count(const struct hub *h) {
	return h->is_large ? 100000 : h->member_count;
}

static void answer_snapshot(struct hub *h, struct stand_in_question *q) {
	struct hub_snapshot s = { .result = IPC_UNAVAILABLE };
	struct buf publications;

	buf_init(&publications, SIZE_MAX);
	if (h->result == IPC_OK && !q->has_failed) {
		for (size_t i = 0; i < h->kept_count; i++) {
			struct ipc_publication p = { .offset = i + 1, .kind = h->kept[i].kind };

			p.data = slice_of(h->kept[i].data, h->kept[i].len);
			if (strcmp(h->kept[i].channel, q->channel) == 0)
				ipc_put_publication(&publications, &p);
		}
		s = (struct hub_snapshot){ .channel = slice_text(q->channel), .position = { "e1", h->offset } };
		s.asked_since = q->is_since;
		s.recovered = h->recovered;
		s.more = h->more;
		s.publications = buf_slice(&publications);
		s.members = buf_slice(&h->members);
		s.member_count = member_count(h);
	} else if (q->kind == ASK_SUBSCRIBE && !q->has_failed) {
		char **sub = sub_find(h, slice_text(q->channel));

		BUG_ON(sub == NULL);
		sub_drop(q->client, sub);
		if (h->result == IPC_FULL)
			s.result = IPC_FULL;
	}
	q->fn.snapshot(q->client, q->cookie, &s);
	buf_fini(&publications);
}

static void answer_result(struct hub *h, struct stand_in_question *q) {
	struct hub_result r = { .result = h->result, .position = { "e1", h->offset } };

	if (q->kind == ASK_IDENTIFY)
		h->is_identified = r.result == IPC_OK;
	if (q->kind == ASK_IDENTIFY && !h->is_identified)
		forget_identity(h);
	q->fn.result(q->client, q->cookie, &r);
}

static void answer_members(struct hub *h, struct stand_in_question *q) {
	struct hub_members m = { .result = h->result == IPC_OK ? IPC_OK : IPC_UNAVAILABLE };

	if (m.result == IPC_OK) {
		m.member_count = member_count(h);
		m.more = h->more;
		m.members = buf_slice(&h->members);
	}
	q->fn.members(q->client, q->cookie, &m);
}

bool stand_in_answer(struct hub *h) {
	struct stand_in_question *q;

	if (list_is_empty(&h->questions))
		return false;
	q = list_entry(h->questions.next, struct stand_in_question, link);
	list_remove(&q->link);
	switch (q->kind) {
	case ASK_IDENTIFY:
	case ASK_PUBLISH:
		answer_result(h, q);
		break;
	case ASK_SUBSCRIBE:
	case ASK_HISTORY:
		answer_snapshot(h, q);
		break;
	case ASK_MEMBERS:
		answer_members(h, q);
		break;
	}
	mem_free(q->cookie);
	mem_free(q->channel);
	mem_free(q);
	return true;
}

/* --- connection --- */

struct conn *stand_in_conn(struct hub *h) {
	grant_drop(&the_conn.grant); /* of the one before */
	memset(&the_conn, 0, sizeof(the_conn));
	the_conn.hub = h;
	return &the_conn;
}

void stand_in_receive(struct conn *c, bool is_text, struct slice data) {
	bool is_limited = c->hub->is_message_limited;

	c->hub->is_message_limited = false;
	if (!c->hub->has_conn)
		return;
	if (is_limited)
		c->ops->on_limited(c, is_text, data, STAND_IN_WAIT_MS);
	else
		c->ops->on_message(c, is_text, data);
}

void stand_in_close(struct conn *c, bool by_server) {
	if (!c->hub->has_conn)
		return;
	c->hub->has_conn = false;
	c->ops->on_closed(c, by_server);
	BUG_ON(c->rooms != 0);
}

void conn_upgrade(struct conn *c, const struct http_request *r UNUSED, const struct conn_ops *ops, void *user,
    uint32_t max_message_bytes) {
	BUG_ON(c->hub->has_conn || max_message_bytes == 0);
	c->ops = ops;
	c->user = user;
	c->hub->has_conn = true;
	ops->on_open(c);
}

void conn_send(struct conn *c, uint8_t opcode, struct slice data) {
	if (c->hub->has_conn)
		c->hub->on_sent(c->hub, opcode, data);
}

struct rcbuf *conn_take_message(struct conn *c UNUSED) {
	return NULL;
}

void conn_send_back(struct conn *c, uint8_t opcode, struct slice data) {
	conn_send(c, opcode, data);
}

void conn_close(struct conn *c, enum close_reason reason, const char *detail UNUSED) {
	BUG_ON(reason <= CLOSE_NONE || reason >= CLOSE_REASON_COUNT);
	stand_in_close(c, false);
}

struct slice conn_user_id(const struct conn *c) {
	if (c->grant != NULL)
		return grant_user(c->grant);
	return c->ops->user_id != NULL ? c->ops->user_id(c) : SLICE_EMPTY;
}

bool conn_take(struct conn *c, enum limit_rate rate, uint64_t cost, uint64_t *wait_ms) {
	BUG_ON(rate >= LIMIT_RATES || cost == 0);
	*wait_ms = c->hub->verdict == LIMIT_WARN ? STAND_IN_WAIT_MS : 0;
	if (c->hub->verdict == LIMIT_OVER)
		conn_close(c, CLOSE_rate_limited, NULL);
	return c->hub->verdict == LIMIT_OK;
}

bool conn_hold_room(struct conn *c) {
	BUG_ON(!c->hub->has_conn);
	if (c->rooms == STAND_IN_ROOMS_MAX)
		return false;
	c->rooms++;
	return true;
}

void conn_drop_room(struct conn *c) {
	BUG_ON(c->rooms == 0);
	c->rooms--;
}

void conn_hold_user(struct conn *c, struct slice user) {
	BUG_ON(!c->hub->has_conn || user.len == 0);
}

/* Not counted, as one who is exempt. */
limit_id conn_user_limit(const struct conn *c UNUSED) {
	return 0;
}

bool conn_is_open(const struct conn *c) {
	return c->hub->has_conn;
}

void conn_set_grant(struct conn *c, struct auth_grant *grant) {
	grant_drop(&c->grant);
	c->grant = grant;
}

const struct auth_grant *conn_grant(const struct conn *c) {
	return c->grant;
}

struct evloop *conns_loop(const struct conns *cs UNUSED) {
	return NULL;
}

uint64_t evloop_wall_ms(const struct evloop *loop UNUSED) {
	return STAND_IN_WALL_MS;
}

void *conn_user(const struct conn *c) {
	return c->user;
}

struct conns *conn_conns(const struct conn *c UNUSED) {
	return &the_conn.conns;
}

struct id_source *conns_ids(struct conns *cs) {
	return &cs->ids;
}

void conn_id_text(const struct conn *c UNUSED, char out[ID_TEXT_LEN + 1]) {
	memset(out, 'i', ID_TEXT_LEN);
	out[ID_TEXT_LEN] = '\0';
}

const struct sock_peer *conn_peer(const struct conn *c) {
	return &c->peer;
}
