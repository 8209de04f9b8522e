/* live_verdict - signs and sentences */
#include "server/admin/live_verdict.h"

#include <inttypes.h>
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

/* A slow client or two is every day's. */
enum { SLOW_CLIENTS = 10 };

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
	judge_queues(s, signs, out);
	judge_counters(s, LIVE_PRESSURE, out);
	judge_restarts(s, out);
	judge_counters(s, LIVE_TROUBLE, out);
}

const char *live_state_name(enum live_state state) {
	static const char *const names[] = { "well", "trouble", "pressure", "not_ready" };

	return names[state];
}
