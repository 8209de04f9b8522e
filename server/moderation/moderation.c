/* moderation - what moderators have ordered, learned from its channel and done to this process's clients */
#include "server/moderation/moderation.h"

#include <stdio.h>

#define LOG_AREA LOG_AREA_moderation
#include "common/base/mem.h"
#include "common/svc/log.h"
#include "common/svc/stats.h"
#include "server/moderation/order.h"

enum {
	PAGE = 500,		/* orders of one answer */
	RETRY_MS = 100,	/* at the start: so long somebody who is banned may be here */
	RECOVERED_MS = 1000,	/* so long without one, and the next thing of its kind is news again */
	CLOCKS_DIFFER_MS = 30000,	/* the clocks of hosts, at most: who came within it after a kick may be kicked, when it is read late */
};

/* Somebody who is to go. */
struct wanted {
	struct htab_node node;
	uint64_t kicked_ms;	/* wall clock; 0: only if he is banned */
	uint8_t user_len, reason_len;
	char reason[ORDER_REASON_MAX + 1];
	uint8_t user[];
};
STATIC_ASSERT(ORDER_USER_MAX <= UINT8_MAX, "user_len");

static struct slice wanted_key(const struct htab_node *node) {
	const struct wanted *w = htab_entry(node, struct wanted, node);

	return slice_of(w->user, w->user_len);
}

static uint64_t wall_ms(const struct moderation *m) {
	return evloop_wall_ms(conns_loop(m->conns));
}

/* --- those who are to go --- */

static struct wanted *wanted_get(struct moderation *m, struct slice user) {
	struct htab_node *node = htab_find(&m->wanted, user);
	struct wanted *w;

	if (node != NULL)
		return htab_entry(node, struct wanted, node);
	w = mem_zalloc(sizeof(*w) + user.len);
	w->user_len = (uint8_t)user.len;
	memcpy(w->user, user.ptr, user.len);
	htab_add(&m->wanted, &w->node);
	return w;
}

static void want(struct moderation *m, const struct order *o, uint64_t said_ms) {
	struct wanted *w = wanted_get(m, o->user);

	if (o->action == ORDER_KICK)
		w->kicked_ms = said_ms;
	w->reason_len = (uint8_t)o->reason.len;
	if (o->reason.len > 0)
		memcpy(w->reason, o->reason.ptr, o->reason.len);
	w->reason[w->reason_len] = '\0';
	evloop_timer_start(&m->review, 0);
}

static enum close_reason judge(const struct conn *c, void *arg, const char **detail) {
	const struct moderation *m = arg;
	struct slice user = conn_user_id(c);
	struct htab_node *node = user.len > 0 ? htab_find(&m->wanted, user) : NULL;
	const struct wanted *w;

	if (node == NULL)
		return CLOSE_NONE;
	w = htab_entry(node, struct wanted, node);
	*detail = w->reason_len > 0 ? w->reason : NULL;
	if (limits_sanction_of(m->limits, user, LIMIT_BANNED, wall_ms(m) / 1000) != 0)
		return CLOSE_banned;
	if (w->kicked_ms != 0 && wall_ms(m) - conn_age_ms(c) < w->kicked_ms + CLOCKS_DIFFER_MS)
		return CLOSE_kicked;
	return CLOSE_NONE;
}

static void forget_wanted(struct moderation *m) {
	struct htab_node *node = htab_next(&m->wanted, NULL);

	while (node != NULL) {
		struct htab_node *next = htab_next(&m->wanted, node);

		htab_remove(&m->wanted, node);
		mem_free(htab_entry(node, struct wanted, node));
		node = next;
	}
}

static void on_review(void *arg) {
	struct moderation *m = arg;

	conns_review(m->conns, judge, m);
	forget_wanted(m);
}

/* --- orders --- */

/* A line is written for the first of a flood. */
static bool is_news(const struct moderation *m, uint64_t *latest_ms) {
	uint64_t now = evloop_now_ms(conns_loop(m->conns)), before = *latest_ms;

	*latest_ms = now;
	return before == 0 || now - before >= RECOVERED_MS;
}

static void note_no_room(struct moderation *m, enum limit_sanction what, const struct order *o, uint64_t until_s) {
	stat_add(STAT_sanctions_dropped, 1);
	if (is_news(m, &m->no_room_ms[what]))
		log_line(LOG_ERROR, what == LIMIT_BANNED ? "no room for bans: raise limit_entries" : "no room for mutes: raise limit_entries",
		    LF_SLICE("user", o->user), LF_U("until", until_s));
}

static void sanction(struct moderation *m, const struct order *o, uint64_t said_ms) {
	enum limit_sanction what = o->action == ORDER_BAN ? LIMIT_BANNED : LIMIT_MUTED;
	uint64_t now_s = wall_ms(m) / 1000, until_s = (said_ms + 999) / 1000 + o->seconds;

	if (o->seconds == 0 || until_s <= now_s)
		until_s = 0;
	/* Of what has ended and is not known here, nothing has to be known. */
	if (until_s == 0 && limits_sanction_of(m->limits, o->user, what, now_s) == 0)
		return;
	if (!limits_sanction(m->limits, o->user, what, (uint32_t)until_s, said_ms / 100, evloop_now_ms(conns_loop(m->conns))))
		note_no_room(m, what, o, until_s);
}

static bool read_order(struct moderation *m, struct slice data, struct order *o) {
	if (order_decode(data, o))
		return true;
	if (is_news(m, &m->unreadable_ms))
		log_line(LOG_WARN, "an order of moderation cannot be read", LF_U("bytes", data.len));
	return false;
}

static void obey(struct moderation *m, const struct order *o, uint64_t said_ms) {
	if (o->action != ORDER_KICK)
		sanction(m, o, said_ms);
	if (o->action != ORDER_MUTE)
		want(m, o, said_ms);
}

/* --- orders of a history --- */

/* False: there was none. */
static bool obey_oldest(struct moderation *m) {
	struct last_order *oldest = last_orders_take(&m->last);

	if (oldest == NULL)
		return false;
	if (!oldest->is_obeyed)
		obey(m, &oldest->order, oldest->said_ms);
	mem_free(oldest);
	return true;
}

static void note(struct moderation *m, const struct order *o, uint64_t offset, uint64_t said_ms, bool is_obeyed) {
	if (last_orders_is_full(&m->last))
		obey_oldest(m);
	last_orders_note(&m->last, o, offset, said_ms, is_obeyed);
}

static void history_is_read(struct moderation *m) {
	m->is_reading = false;
	while (obey_oldest(m))
		continue;
}

static void forget_history(struct moderation *m) {
	last_orders_fini(&m->last);
	last_orders_init(&m->last);
}

/* --- the channel --- */

static struct slice channel_name(void) {
	return slice_text(IPC_MODERATION_CHANNEL);
}

static void on_history(struct hub_client *client, void *cookie, const struct hub_snapshot *s);

static void read_on(struct moderation *m) {
	m->is_asked = true;
	hub_history(&m->client, channel_name(), IPC_SINCE, &m->read, PAGE, on_history, NULL);
}

static void begin_reading(struct moderation *m, const struct hub_position *p) {
	forget_history(m);
	m->is_reading = true;
	m->is_stale = m->is_asked;
	m->read = *p;
	m->read.offset = 0;
}

static void read_from_start(struct moderation *m, const struct hub_position *p) {
	begin_reading(m, p);
	read_on(m);
}

static void on_history(struct hub_client *client, void *cookie UNUSED, const struct hub_snapshot *s) {
	struct moderation *m = container_of(client, struct moderation, client);
	struct slice rest = s->publications;
	uint64_t from = m->read.offset;
	struct ipc_publication p;
	struct order o;

	m->is_asked = false;
	if (s->result != IPC_OK) {
		evloop_timer_start(&m->retry, RETRY_MS);
		return;
	}
	if (m->is_stale || strcmp(s->position.epoch, m->read.epoch) != 0) {
		read_from_start(m, &s->position);
		return;
	}
	while (ipc_next_publication(&rest, &p)) {
		if (read_order(m, p.data, &o))
			note(m, &o, p.offset, p.time_ms, false);
		m->read.offset = p.offset;
	}
	if (s->more && m->read.offset > from)
		read_on(m);
	else
		history_is_read(m);
}

static void on_subscribed(struct hub_client *client, void *cookie UNUSED, const struct hub_snapshot *s) {
	struct moderation *m = container_of(client, struct moderation, client);

	if (s->result == IPC_OK)
		read_from_start(m, &s->position);
	else
		evloop_timer_start(&m->retry, RETRY_MS);
}

static void on_retry(void *arg) {
	struct moderation *m = arg;

	if (m->is_asked)
		return;
	if (hub_is_subscribed(&m->client, channel_name()))
		read_on(m);
	else
		hub_subscribe(&m->client, channel_name(), 0, NULL, 0, 0, on_subscribed, NULL);
}

/* --- the form: nothing is written, what comes is obeyed --- */

static uint8_t form_publication(const struct hub_publication *p, struct buf *out UNUSED, void *arg) {
	struct moderation *m = arg;
	struct order o;

	if (!read_order(m, p->data, &o))
		return HUB_SKIP;
	obey(m, &o, p->time_ms);
	/* A page that comes later may have it, or what it takes back. */
	if (m->is_reading)
		note(m, &o, p->offset, p->time_ms, true);
	return HUB_SKIP;
}

static uint8_t form_member_event(const struct hub_member_event *e UNUSED, unsigned part UNUSED, bool *count_later UNUSED,
    struct buf *out UNUSED, void *arg UNUSED) {
	return HUB_SKIP;
}

static uint8_t form_member_count(struct slice channel UNUSED, uint32_t count UNUSED, struct buf *out UNUSED, void *arg UNUSED) {
	return HUB_SKIP;
}

/* Some may have been lost on the way that the history still has. Not asked for amid a delivery. */
static uint8_t form_reset(struct slice channel UNUSED, const struct hub_position *p, struct buf *out UNUSED, void *arg) {
	struct moderation *m = arg;

	begin_reading(m, p);
	evloop_timer_start(&m->retry, 0);
	return HUB_SKIP;
}

void moderation_form_init(struct hub_form *form, struct moderation *m) {
	*form = (struct hub_form){
		.name = "moderation",
		.publication = form_publication,
		.member_event = form_member_event,
		.member_count = form_member_count,
		.reset = form_reset,
		.arg = m,
	};
}

/* --- life --- */

void moderation_start(struct moderation *m, struct hub *hub, uint8_t form, struct conns *conns, struct limits *limits) {
	struct evloop *loop = conns_loop(conns);

	*m = (struct moderation){ .conns = conns, .limits = limits };
	htab_init(&m->wanted, wanted_key);
	last_orders_init(&m->last);
	evloop_timer_init(loop, &m->review, on_review, m);
	evloop_timer_init(loop, &m->retry, on_retry, m);
	hub_client_init(hub, &m->client, NULL, form);
	/* In the first turn, in which the link may come up. */
	evloop_timer_start(&m->retry, 0);
}

void moderation_stop(struct moderation *m) {
	hub_client_fini(&m->client, 0);
	evloop_timer_stop(&m->review);
	evloop_timer_stop(&m->retry);
	forget_wanted(m);
	htab_fini(&m->wanted);
	last_orders_fini(&m->last);
}
