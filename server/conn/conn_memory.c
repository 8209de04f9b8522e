/*
 * conn_memory - the bound of all that clients take: who is let go as it comes near, and who is not let in
 *
 * Every process looks now and then at what all processes and the kernel have (memory_watch). From TIGHT_PART of the bound on, each process with
 * clients lets go its share, down to FREE_PART: in one walk over its connections it weighs each, in a second one it lets the heaviest go. If it
 * grows all the same, newcomers are refused from SHORT_PART on until it is NOT_SHORT_PART. So nothing is kept per connection for it, and nothing
 * is walked over while there is enough. A step of a walk is a few connections, then the others have their turn.
 * Weight: what it holds, times the seconds for which nothing has moved. So a reader that stands still goes before one that takes its data, if slowly,
 *         and both before those who hold little. Who holds nearly nothing stays in any case.
 */

#define LOG_AREA LOG_AREA_limits
#include "common/svc/log.h"
#include "common/svc/stats.h"
#include "server/conn/conn_priv.h"

enum {
	LOOK_MS = 250,		/* that often, or when one process has come to hold so much more: */
	LOOK_PART = 256,	/* of the bound */
	STEP = 256,		/* connections */
	WORTH_BYTES = 4096,	/* who holds less is not let go */
	STILL_MAX_S = 60,
	/* Of the bound, in hundredths. */
	SHORT_PART = 95, NOT_SHORT_PART = 90, TIGHT_PART = 85, ENOUGH_PART = 80, FREE_PART = 75,
	TOLD_BYTES = 16384,	/* who has left more than that to the kernel would not hear why he has to go */
	CALM_MS = 5000,		/* so long without being tight, before the log says that there is enough */
};

static size_t own_bytes(const struct conns *cs) {
	return cs->queued_bytes + cs->input_bytes;
}

static uint64_t part_of(const struct conns *cs, unsigned hundredths) {
	return cs->settings.memory_bytes / 100 * hundredths;
}

static bool has_bound(const struct conns *cs) {
	return cs->settings.memory != NULL && cs->settings.memory_bytes > 0;
}

/* --- weighing --- */

static size_t held_by(const struct conn *c) {
	/* The kernel takes some 300 KB of a reader that stands still before anything waits here. */
	return c->stream.out.bytes + conn_input_bytes(c) + sock_memory_bytes(c->stream.fd);
}

/* Seconds. Of one that sends and does not read, both stand still. */
static uint32_t still_for(const struct conn *c) {
	uint32_t since = c->is_blocked ? c->since_ms : c->beat_ms, s = (conn_stamp(c) - since) / 1000;

	return s < STILL_MAX_S ? s : STILL_MAX_S;
}

static uint64_t weight_of(const struct conn *c, size_t held) {
	return (uint64_t)held * (1 + c->is_blocked + still_for(c));
}

/* Weights of one class are the same but for a quarter. */
static unsigned class_of(uint64_t weight) {
	unsigned top = 63 - (unsigned)__builtin_clzll(weight | 4);

	return top * 4 + (unsigned)(weight >> (top - 2) & 3);
}

/* --- letting go --- */

/* The rest of what it sends is not understood any more. */
static void drop_input(struct conn *c) {
	size_t input = conn_input_bytes(c);

	if (c->was_open)
		ws_reader_fini(&c->reader);
	if (c->side != NULL)
		buf_fini(&c->side->in);
	conn_input_changed(c, input);
}

/* Who stands still would not hear why: it is reset at once, so that the kernel's memory is free, too. The others have the usual time. */
static void let_go(struct conn *c) {
	if ((c->is_blocked && still_for(c) > 0) || sock_untaken_bytes(c->stream.fd) > TOLD_BYTES) {
		conn_end(c, CLOSE_memory_pressure, NULL);
	} else if ((c->state == CONN_HEAD || c->state == CONN_BODY) && !c->is_blocked) {
		conn_http_refuse_memory(c, CLOSE_memory_pressure);
	} else if (c->state == CONN_OPEN && c->reason == CLOSE_NONE) {
		c->is_deaf = true;
		conn_close(c, CLOSE_memory_pressure, NULL);
	} else {
		conn_end(c, CLOSE_memory_pressure, NULL);
	}
	drop_input(c);
	if (c->state != CONN_DEAD && !outq_is_empty(&c->stream.out))
		conn_flush(c);
	if (c->state != CONN_DEAD && c->is_blocked)
		conn_end(c, CLOSE_memory_pressure, NULL);
}

/* --- walks --- */

static void walk_begin(struct conns *cs, enum conn_memory_walk walk) {
	cs->memory.walk = walk;
	conns_walk_begin(cs, &cs->memory.steps);
	evloop_timer_start(&cs->memory.timer, 0);
}

static void measure(struct conn *c, void *unused UNUSED) {
	struct conn_memory *m = &c->cs->memory;
	size_t held = held_by(c);

	if (held < WORTH_BYTES)
		return;
	m->held += held;
	m->held_by_class[class_of(weight_of(c, held))] += held;
}

static void take_off(uint64_t *from, uint64_t n) {
	*from -= n < *from ? n : *from;
}

static void free_if_heavy(struct conn *c, void *unused UNUSED) {
	struct conn_memory *m = &c->cs->memory;
	size_t held = held_by(c);
	unsigned class = class_of(weight_of(c, held));
	/* All of the heavier ones go. */
	uint64_t *budget = class > m->lightest ? &m->to_free : &m->to_free_lightest;

	if (held < WORTH_BYTES || class < m->lightest || *budget == 0)
		return;
	/* Where less is held than elsewhere, nobody goes for a small part of what he holds. */
	if (!m->is_main && held / 2 > *budget)
		return;
	take_off(&m->to_free, held);
	if (class == m->lightest)
		take_off(&m->to_free_lightest, held);
	let_go(c);
}

/* Of the excess, by what this process holds of what all hold. Those who have not weighed yet hold at least what they count. */
static uint64_t share_of(struct conn_memory *m) {
	const struct stats_block *b;
	uint64_t others = 0;
	int index = 0;

	while (stats_shared != NULL && (b = stats_next(stats_shared, &index)) != NULL) {
		uint64_t weighed = stat_get(b, STAT_memory_held_bytes);
		uint64_t counted = stat_get(b, STAT_client_queue_bytes) + stat_get(b, STAT_client_input_bytes);

		if (b != stats_own && atomic_load(&b->kind) == PROCESS_WORKER)
			others += weighed > counted ? weighed : counted;
	}
	m->is_main = m->held >= others;
	return (uint64_t)((double)m->excess * (double)m->held / (double)(others + m->held));
}

/* Everybody is weighed. */
static void measured(struct conns *cs) {
	struct conn_memory *m = &cs->memory;
	uint64_t heavier = 0;

	stat_set(STAT_memory_held_bytes, m->held);
	m->walk = WALK_NONE;
	if (m->held == 0)
		return;
	/* What was too little for anybody is still owed. */
	m->to_free += share_of(m);
	if (m->to_free > m->held)
		m->to_free = m->held;
	for (m->lightest = CONN_MEMORY_CLASSES - 1; m->lightest > 0 && heavier + m->held_by_class[m->lightest] < m->to_free; m->lightest--)
		heavier += m->held_by_class[m->lightest];
	m->to_free_lightest = m->to_free - heavier;
	walk_begin(cs, WALK_FREE);
}

/* What this process holds may grow again at once. */
static void walk_end(struct conns *cs) {
	cs->memory.walk = WALK_NONE;
	cs->memory.look_at_bytes = own_bytes(cs) + (size_t)(cs->settings.memory_bytes / LOOK_PART);
}

static void on_step(void *arg) {
	struct conns *cs = arg;
	struct conn_memory *m = &cs->memory;

	if (conns_walk_step(&m->steps, STEP, m->walk == WALK_MEASURE ? measure : free_if_heavy, NULL))
		evloop_timer_start(&m->timer, 0);
	else if (m->walk == WALK_MEASURE)
		measured(cs);
	else
		walk_end(cs);
}

/* --- looking --- */

static struct memory_state *state_of(struct conns *cs) {
	return stats_shared != NULL ? &stats_shared->host.memory : &cs->memory.state;
}

/* Each ends later than it begins. */
static int level_for(const struct conns *cs, int level, uint64_t used) {
	if (used > part_of(cs, level == MEMORY_SHORT ? NOT_SHORT_PART : SHORT_PART))
		return MEMORY_SHORT;
	return used > part_of(cs, level == MEMORY_ENOUGH ? TIGHT_PART : ENOUGH_PART) ? MEMORY_TIGHT : MEMORY_ENOUGH;
}

static void tell(const struct conns *cs, enum log_level how, const char *what, const struct memory_use *use) {
	enum stat_id closed = (enum stat_id)(STAT_closed + CLOSE_memory_pressure);

	log_line(how, what, LF_U("memory_bytes", cs->settings.memory_bytes), LF_U("used", memory_use_sum(use)), LF_U("client_queues", use->queues),
	    LF_U("client_input", use->input), LF_U("link_queues", use->links), LF_U("tcp_sockets", use->sockets),
	    LF_U("closed_so_far", stats_shared != NULL ? stats_sum(stats_shared, closed) : stat_get(stats_own, closed)));
}

/* Whoever finds it changed says so, for all. Under attack it changes with nearly every look, so calm is said only when it lasts. */
static void set_level(struct conns *cs, int level, const struct memory_use *use) {
	struct memory_state *state = state_of(cs);
	uint64_t now_ms = evloop_now_ms(cs->loop);

	atomic_store(&state->level, level);
	if (level != MEMORY_ENOUGH) {
		atomic_store(&state->tight_ms, now_ms);
		if (!atomic_exchange(&state->is_told, true))
			tell(cs, LOG_WARN, "memory is tight: those who hold most have to go", use);
	} else if (now_ms >= atomic_load(&state->tight_ms) + CALM_MS && atomic_exchange(&state->is_told, false)) {
		tell(cs, LOG_INFO, "there is enough memory again", use);
	}
}

static void find_excess(struct conns *cs, int level, uint64_t used) {
	struct conn_memory *m = &cs->memory;

	if (m->walk != WALK_NONE)
		return;
	if (level == MEMORY_ENOUGH) {
		m->to_free = 0;
		stat_set(STAT_memory_held_bytes, 0);
		return;
	}
	m->excess = used - part_of(cs, FREE_PART);
	m->held = 0;
	memset(m->held_by_class, 0, sizeof(m->held_by_class));
	walk_begin(cs, WALK_MEASURE);
}

/* The figures of this process are those of its latest turn's end, or newer. */
static void look(struct conns *cs) {
	struct conn_memory *m = &cs->memory;
	uint64_t tight_at = part_of(cs, TIGHT_PART), used;
	struct memory_use use;
	int level;

	stat_set(STAT_client_queue_bytes, cs->queued_bytes);
	stat_set(STAT_client_input_bytes, cs->input_bytes);
	memory_use_now(cs->settings.memory, &use);
	used = memory_use_sum(&use);
	m->looked_ms = evloop_now_ms(cs->loop);
	m->looked_sent = stat_get(stats_own, STAT_bytes_sent);
	/* Several processes may grow at a time. */
	m->look_at_bytes = own_bytes(cs) + (size_t)(cs->settings.memory_bytes / LOOK_PART + (used < tight_at ? (tight_at - used) / 8 : 0));
	level = level_for(cs, atomic_load(&state_of(cs)->level), used);
	set_level(cs, level, &use);
	find_excess(cs, level, used);
}

bool conn_memory_tick(struct conns *cs) {
	if (!has_bound(cs))
		return false;
	if (evloop_now_ms(cs->loop) - cs->memory.looked_ms >= LOOK_MS)
		look(cs);
	return atomic_load(&state_of(cs)->is_told);
}

bool conn_memory_is_short(struct conns *cs) {
	struct memory_state *state = state_of(cs);

	if (!has_bound(cs) || atomic_load(&state->level) != MEMORY_SHORT)
		return false;
	/* Nobody may have looked for a while. */
	conn_memory_tick(cs);
	return atomic_load(&state->level) == MEMORY_SHORT;
}

void conn_memory_count(struct conns *cs) {
	stat_set(STAT_client_queue_bytes, cs->queued_bytes);
	stat_set(STAT_client_input_bytes, cs->input_bytes);
	/* The kernel cannot have come to hold more than was sent. */
	if (has_bound(cs) && own_bytes(cs) + (stat_get(stats_own, STAT_bytes_sent) - cs->memory.looked_sent) > cs->memory.look_at_bytes)
		look(cs);
}

void conn_memory_init(struct conns *cs) {
	evloop_timer_init(cs->loop, &cs->memory.timer, on_step, cs);
	cs->memory.look_at_bytes = has_bound(cs) ? 0 : SIZE_MAX;
}

void conn_memory_fini(struct conns *cs) {
	evloop_timer_stop(&cs->memory.timer);
	conns_walk_end(&cs->memory.steps);
}
