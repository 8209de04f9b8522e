/* conns - all connections of a process: newcomers, the end of a turn, the clock of their deadlines, drain */
#include "common/base/mem.h"
#include "common/svc/stats.h"
#include "common/svc/trace.h"
#include "server/conn/conn_priv.h"

enum {
	DRAIN_STEP_MS = 10,
	DUE_PER_TURN = 32,
	FLUSH_KEEP = 8192,	/* entries of conns.flush that are kept from turn to turn */
};

static void on_deadline(struct deadline *d, void *arg) {
	struct conns *cs = arg;

	list_add_tail(&cs->due, &d->link);
}

/* A few per turn: thousands that came together run out of time together, and ending one takes system calls. */
static void meet_due(struct conns *cs) {
	for (int i = 0; i < DUE_PER_TURN && !list_is_empty(&cs->due); i++) {
		struct deadline *d = list_entry(cs->due.next, struct deadline, link);

		list_remove(&d->link);
		trace_serving(container_of(d, struct conn, deadline)->id);
		conn_on_deadline(container_of(d, struct conn, deadline));
	}
	trace_serving(0);
}

static void on_tick(void *arg) {
	struct conns *cs = arg;

	bool is_watched = conn_memory_tick(cs);

	mem_give_back_after(&cs->most, cs->count);
	wheel_run(&cs->wheel, evloop_now_ms(cs->loop), on_deadline, cs);
	meet_due(cs);
	cs->is_ticking = cs->count > 0 || is_watched;
	if (cs->is_ticking)
		evloop_timer_start(&cs->tick, list_is_empty(&cs->due) ? WHEEL_TICK_MS : 0);
}

static void resume_one(struct conn *c) {
	size_t input = conn_input_bytes(c);

	c->side->is_resuming = false;
	conn_resume(c);
	conn_side_trim(c);
	conn_input_changed(c, input);
}

static void on_resume(void *arg) {
	struct conns *cs = arg;
	struct conn *c = cs->resume;

	cs->resume = NULL;
	while (c != NULL) {
		struct conn *next = c->side->resume_next;

		resume_one(c);
		c = next;
	}
}

void conns_resume_later(struct conn *c) {
	struct conn_side *side = c->side;

	if (side == NULL || side->is_resuming)
		return;
	side->is_resuming = true;
	side->resume_next = c->cs->resume;
	c->cs->resume = c;
	evloop_timer_start(&c->cs->resume_timer, 0);
}

/* --- drain --- */

static void drain_one(struct conn *c) {
	if (c->state == CONN_OPEN) {
		conn_close(c, CLOSE_going_away, NULL);
	} else if (conn_http_is_idle(c)) {
		if (outq_is_empty(&c->stream.out))
			conn_end(c, CLOSE_http_idle, NULL);
		else
			conn_linger(c);
	}
	/* Who is amid a request gets its answer and is closed with it, or runs out of time. */
}

/* How many should have been closed by now: connection i of n at i * spread / n. */
static size_t drain_target(const struct conns *cs, uint64_t elapsed_ms) {
	if (elapsed_ms >= cs->drain_spread_ms)
		return cs->drain_total;
	return (size_t)(cs->drain_total * elapsed_ms / cs->drain_spread_ms) + 1;
}

/* Each step takes connections from the front of the list and puts them at its end; who came later is refused anyway. */
static void on_drain_step(void *arg) {
	struct conns *cs = arg;
	size_t target = drain_target(cs, evloop_now_ms(cs->loop) - cs->drain_start_ms);

	while (cs->drain_done < target && cs->drain_done < cs->drain_total && !list_is_empty(&cs->all)) {
		struct conn *c = list_entry(cs->all.next, struct conn, link);

		cs->drain_done++;
		conns_walks_pass(c);
		list_remove(&c->link);
		list_add_tail(&cs->all, &c->link);
		drain_one(c);
	}
	if (cs->drain_done < cs->drain_total && cs->count > 0)
		evloop_timer_start(&cs->drain_timer, DRAIN_STEP_MS);
}

/* Closes what is idle at once; it has nothing to lose. */
static void drain_idle(struct conns *cs) {
	list_for_each_safe(it, &cs->all) {
		struct conn *c = list_entry(it, struct conn, link);

		if (c->state != CONN_OPEN)
			drain_one(c);
	}
}

void conns_drain(struct conns *cs, uint64_t spread_ms) {
	if (cs->is_draining)
		return;
	cs->is_refusing = cs->is_draining = true;
	drain_idle(cs);
	cs->drain_start_ms = evloop_now_ms(cs->loop);
	cs->drain_spread_ms = spread_ms;
	cs->drain_total = cs->count;
	on_drain_step(cs);
}

void conns_refuse_new(struct conns *cs, bool is_refusing) {
	cs->is_refusing = is_refusing || cs->is_draining;
}

/* --- the end of a turn --- */

static void flush_all(struct conns *cs) {
	while (cs->flush_count > 0) {
		struct conn *c = cs->flush[--cs->flush_count];

		c->is_flushing = false;
		trace_serving(c->id);
		if (c->state != CONN_DEAD && !c->is_blocked && (!outq_is_empty(&c->stream.out) || c->state == CONN_LINGER))
			conn_flush(c);
	}
	trace_serving(0);
	if (cs->flush_room > FLUSH_KEEP) {
		mem_free(cs->flush);
		cs->flush = NULL;
		cs->flush_room = 0;
	}
}

static void reap(struct conns *cs) {
	list_for_each_safe(it, &cs->dead) {
		struct conn *c = list_entry(it, struct conn, link);

		/* on_resume() comes by in the next turn. */
		if (c->side != NULL && c->side->is_resuming)
			continue;
		list_remove(&c->link);
		conn_free(c);
	}
}

void conns_turn_end(struct conns *cs) {
	flush_all(cs);
	reap(cs);
	conn_memory_count(cs);
	if (cs->settings.deflate.mode != WS_DEFLATE_OFF)
		conn_deflate_count(cs);
}

/* --- life --- */

struct conns *conns_new(struct evloop *loop, const struct conn_settings *settings, const struct conn_host *host) {
	struct conns *cs = mem_zalloc(sizeof(*cs));

	cs->loop = loop;
	cs->settings = *settings;
	cs->host = *host;
	id_source_init(&cs->ids);
	trace_set_ids(&cs->ids);
	wheel_init(&cs->wheel, evloop_now_ms(loop));
	/* Enough for what compressing makes larger. */
	buf_init(&cs->deflated, 2 * WS_DEFLATE_MOST_BYTES);
	list_init(&cs->all);
	list_init(&cs->dead);
	list_init(&cs->due);
	list_init(&cs->walks);
	evloop_timer_init(loop, &cs->tick, on_tick, cs);
	evloop_timer_init(loop, &cs->resume_timer, on_resume, cs);
	evloop_timer_init(loop, &cs->drain_timer, on_drain_step, cs);
	conn_memory_init(cs);
	return cs;
}

void conns_free(struct conns **cs) {
	struct conns *s = *cs;

	if (s == NULL)
		return;
	while (!list_is_empty(&s->all))
		conn_end(list_entry(s->all.next, struct conn, link), CLOSE_going_away, NULL);
	on_resume(s);
	flush_all(s);
	reap(s);
	evloop_timer_stop(&s->tick);
	evloop_timer_stop(&s->resume_timer);
	evloop_timer_stop(&s->drain_timer);
	conn_memory_fini(s);
	buf_fini(&s->deflated);
	mem_free(s->flush);
	mem_free(s);
	*cs = NULL;
}

/* Takes fd. Returns owned. tls: NULL without. */
static struct conn *conn_new(struct conns *cs, int fd, const struct sock_peer *peer, struct tls *tls) {
	struct conn *c = mem_zalloc(sizeof(*c));

	if (tls != NULL)
		stream_tls_init(&c->stream, fd, tls);
	else
		stream_plain_init(&c->stream, fd);
	deadline_init(&c->deadline);
	c->cs = cs;
	conn_set_peer(c, peer);
	return c;
}

/* Before it is one of ours: nobody has been told of it, and it cost next to nothing. */
static void discard(struct conn *c, enum conn_limit why) {
	conn_limits_note(c, why);
	sock_reset_at_close(c->stream.fd);
	stream_ops(&c->stream)->close(&c->stream);
	mem_free(c);
}

static void start(struct conn *c) {
	struct conns *cs = c->cs;

	c->id = id_next(&cs->ids);
	c->start_ms = evloop_now_ms(cs->loop);
	c->since_ms = c->beat_ms = conn_stamp(c);
	list_add_tail(&cs->all, &c->link);
	cs->count++;
	stat_add(STAT_connections, 1);
	stat_add(STAT_connection_bytes, CONN_BYTES);
	stat_add(STAT_connections_accepted, 1);
	trace_event(accept, c->id, c->stream.fd, 0);
	conn_arm(c);
	if (!cs->is_ticking) {
		cs->is_ticking = true;
		evloop_timer_start(&cs->tick, WHEEL_TICK_MS);
	}
}

/* Who speaks for others is counted when it has said for whom. */
static void accept_http(struct conns *cs, int fd, const struct sock_peer *peer, struct tls *tls) {
	struct conn *c = conn_new(cs, fd, peer, tls);
	uint64_t wait_ms;
	enum conn_limit why = c->is_trusted ? CONN_LIMIT_NONE : conn_limits_enter(c, &wait_ms);

	if (why != CONN_LIMIT_NONE && !conn_limits_can_tell(c)) {
		discard(c, why);
		return;
	}
	c->state = CONN_HEAD;
	start(c);
	evloop_io_start(cs->loop, &c->io, c->stream.fd, EVLOOP_READ, conn_on_ready, c);
	if (why != CONN_LIMIT_NONE)
		conn_limits_turn_away(c, why, wait_ms);
}

void conn_accept(struct conns *cs, int fd, const struct sock_peer *peer) {
	accept_http(cs, fd, peer, NULL);
}

void conn_accept_tls(struct conns *cs, int fd, const struct sock_peer *peer, struct tls *tls) {
	accept_http(cs, fd, peer, tls);
}

void conn_accept_proxy(struct conns *cs, int fd, const struct sock_peer *peer, struct tls *tls) {
	struct conn *c = conn_new(cs, fd, peer, tls);

	start(c);
	conn_proxy_begin(c);
}

void conns_remove(struct conn *c) {
	conns_walks_pass(c);
	list_remove(&c->link);
	list_add_tail(&c->cs->dead, &c->link);
	c->cs->count--;
	stat_sub(STAT_connections, 1);
	stat_sub(STAT_connection_bytes, CONN_BYTES);
}

size_t conns_count(const struct conns *cs) {
	return cs->count;
}

void *conns_arg(const struct conns *cs) {
	return cs->host.arg;
}

struct evloop *conns_loop(const struct conns *cs) {
	return cs->loop;
}

struct id_source *conns_ids(struct conns *cs) {
	return &cs->ids;
}

struct limits *conns_limits(const struct conns *cs) {
	return cs->settings.limits;
}
