/* live_verdict - signs and sentences */
#include "server/admin/live_verdict.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "server/conn/conn.h"

static const struct {
	enum stat_id id;
	unsigned least;
	enum live_state state;
	const char *text;
} signs_of_counters[] = {
#define LIVE_SIGN(stat, least, state, text) { STAT_##stat, least, LIVE_##state, text },
#include "server/admin/live_signs.tbl"
};

/* From when on it is a reason. A slow client or two is every day's. */
enum { SLOW_CLIENTS = 10, SLOW_SHARE = 20, ACCEPT_QUEUE = 100, FILES_PERCENT = 90, LATE_LEAST = 100, TURN_US = 1000000,
	HANGS_MS = 10000 };
static const double LATE_S = 0.5;
static const float BUSY_US = 0.95e6F;

static void add(struct live_verdict *v, enum live_state state, const char *format, ...) PRINTF_LIKE(3, 4);
static void add(struct live_verdict *v, enum live_state state, const char *format, ...) {
	va_list args;

	if (state > v->state)
		v->state = state;
	if (v->count == LIVE_REASONS_MAX)
		return;
	va_start(args, format);
	vsnprintf(v->because[v->count++], LIVE_REASON_BYTES, format, args);
	va_end(args);
}

static void judge_memory(const struct live_signs *signs, struct live_verdict *v) {
	if (signs->memory == MEMORY_SHORT)
		add(v, LIVE_PRESSURE, "memory is short: newcomers are refused, and those who hold much are let go");
	else if (signs->memory == MEMORY_TIGHT)
		add(v, LIVE_PRESSURE, "memory is tight: those who hold much are let go");
}

static void judge_queues(const struct live_series *s, const struct live_signs *signs, struct live_verdict *v) {
	uint64_t slow = live_risen(s, (enum stat_id)(STAT_closed + CLOSE_slow_client), LIVE_MINUTE_S) +
	    live_risen(s, (enum stat_id)(STAT_closed + CLOSE_send_timeout), LIVE_MINUTE_S);

	if (live_now(s, STAT_redis_queue_bytes) > signs->redis_queue_bytes / 2)
		add(v, LIVE_PRESSURE, "the queue to Redis is more than half full: %" PRIu64 " publications wait", live_now(s, STAT_redis_waiting));
	if (slow >= SLOW_CLIENTS)
		add(v, LIVE_PRESSURE, "clients are closed because they are too slow for what they are sent: %" PRIu64 " in the last minute", slow);
}

/* Stopped, or in a turn without an end. Nobody is there to say so. */
static void judge_silence(const struct live_process *p, const struct stats_block *b, struct live_verdict *v) {
	unsigned seconds = (unsigned)((p->now_ms - p->moved_ms) / 1000);

	/* Who has not measured himself yet is only just coming. */
	if (p->cpu == 0 || p->now_ms - p->moved_ms < HANGS_MS)
		return;
	if (stats_kind(b) == PROCESS_WORKER)
		add(v, LIVE_PRESSURE, "worker %d hangs: it has done nothing for %u s", atomic_load(&b->slot), seconds);
	else if (stats_kind(b) == PROCESS_BROKER)
		add(v, LIVE_PRESSURE, "the broker hangs: it has done nothing for %u s", seconds);
}

/* What processes have too much of: work, files, connections that wait. */
static void judge_processes(const struct live_series *s, struct live_verdict *v) {
	static const char *const names[] = { [PROCESS_BROKER] = "the broker", [PROCESS_WORKER] = "a worker", [PROCESS_ADMIN] = "the admin process" };
	const struct stats_block *b;
	int i = 0;

	while ((b = stats_next(s->stats, &i)) != NULL) {
		enum process_kind kind = stats_kind(b);
		uint64_t open = stat_get(b, STAT_open_files), most = stat_get(b, STAT_max_open_files);
		unsigned percent = (unsigned)(s->process[i].cpu_rate / 1e4F);

		judge_silence(&s->process[i], b, v);
		if (s->process[i].cpu_rate >= BUSY_US && kind == PROCESS_WORKER)
			add(v, LIVE_PRESSURE, "worker %d is busy all the time: %u %% of a processor", atomic_load(&b->slot), percent);
		else if (s->process[i].cpu_rate >= BUSY_US && kind == PROCESS_BROKER)
			add(v, LIVE_PRESSURE, "the broker is busy all the time: %u %% of a processor", percent);
		if (kind >= PROCESS_BROKER && most > 0 && open * 100 >= most * FILES_PERCENT)
			add(v, LIVE_PRESSURE, "%s has %" PRIu64 " of the %" PRIu64 " descriptors that it may have", names[kind], open, most);
	}
}

static void judge_lateness(const struct live_series *s, struct live_verdict *v) {
	double late = live_quantile(s, STAT_delivery_latency, LIVE_MINUTE_S, 0.99, LATE_LEAST);
	uint64_t longest = live_now(s, STAT_loop_turn_longest), stuck = live_now(s, STAT_slow_readers), waiting = live_now(s, STAT_accept_queue);

	if (!isnan(late) && late >= LATE_S)
		add(v, LIVE_PRESSURE, "messages are late: one in a hundred takes %.1f s or more from worker to worker", late);
	if (waiting >= ACCEPT_QUEUE)
		add(v, LIVE_PRESSURE, "newcomers wait: %" PRIu64 " connections are not accepted yet", waiting);
	if (stuck >= SLOW_CLIENTS && stuck * SLOW_SHARE >= live_now(s, STAT_connections))
		add(v, LIVE_PRESSURE, "%" PRIu64 " clients take nothing of what they are sent", stuck);
	if (longest >= TURN_US)
		add(v, LIVE_TROUBLE, "a worker was busy with one turn for %.1f s in the last minute", (double)longest / 1e6);
}

static void judge_counters(const struct live_series *s, enum live_state state, struct live_verdict *v) {
	for (size_t i = 0; i < ARRAY_LEN(signs_of_counters); i++) {
		uint64_t n = live_risen(s, signs_of_counters[i].id, LIVE_MINUTE_S);

		if (signs_of_counters[i].state == state && n >= signs_of_counters[i].least)
			add(v, state, "%s: %" PRIu64 " in the last minute", signs_of_counters[i].text, n);
	}
}

static void judge_restarts(const struct live_series *s, struct live_verdict *v) {
	uint64_t workers = live_restarts_risen(s, PROCESS_WORKER, LIVE_MINUTE_S);

	if (live_restarts_risen(s, PROCESS_BROKER, LIVE_MINUTE_S) > 0)
		add(v, LIVE_TROUBLE, "the broker ended and was started again in the last minute");
	if (workers > 0)
		add(v, LIVE_TROUBLE, "workers ended and were started again: %" PRIu64 " in the last minute", workers);
}

void live_judge(const struct live_series *s, const struct live_signs *signs, struct live_verdict *out) {
	*out = (struct live_verdict){ .state = LIVE_WELL };
	if (signs->not_ready.len > 0)
		add(out, LIVE_NOT_READY, "%.*s", SLICE_ARGS(signs->not_ready));
	judge_memory(signs, out);
	judge_processes(s, out);
	judge_queues(s, signs, out);
	judge_lateness(s, out);
	judge_counters(s, LIVE_PRESSURE, out);
	judge_restarts(s, out);
	judge_counters(s, LIVE_TROUBLE, out);
}

const char *live_state_name(enum live_state state) {
	static const char *const names[] = { "well", "trouble", "pressure", "not_ready" };

	return names[state];
}
