/* redis_probe - sends it, waits for its answer and for itself */
#include "broker/redis/redis_probe.h"

#include <stdio.h>

static void on_timer(void *arg);

void redis_probe_init(struct redis_probe *p, struct evloop *loop, struct redis_conn *conn, struct slice channel, uint64_t interval_ms,
    void (*lost)(void *arg), void *arg) {
	memset(p, 0, sizeof(*p));
	p->conn = conn;
	p->channel = channel;
	p->interval_ms = interval_ms;
	p->lost = lost;
	p->arg = arg;
	evloop_timer_init(loop, &p->timer, on_timer, p);
}

static void go_on(struct redis_probe *p, enum redis_probe_state state) {
	p->state = state;
	evloop_timer_start(&p->timer, p->interval_ms);
}

void redis_probe_start(struct redis_probe *p) {
	go_on(p, REDIS_PROBE_IDLE);
}

void redis_probe_stop(struct redis_probe *p) {
	p->state = REDIS_PROBE_OFF;
	evloop_timer_stop(&p->timer);
}

static void give_up(struct redis_probe *p) {
	redis_probe_stop(p);
	p->lost(p->arg);
}

static void on_published(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct redis_probe *p = arg;

	/* Of several, the last is the one that is waited for. */
	if (--p->open > 0 || p->state != REDIS_PROBE_ASKED || outcome != REDIS_DONE)
		return;
	/* Who may not publish is told so by the scripts that do. */
	if (p->is_heard || redis_reply_error(reply).len > 0)
		go_on(p, REDIS_PROBE_IDLE);
	else if (redis_reply_number(reply) == 0)
		give_up(p);
	else
		go_on(p, REDIS_PROBE_ANSWERED);
	p->is_alive = false;
}

static void send_one(struct redis_probe *p) {
	char number[24];
	struct slice argv[] = { slice_text("PUBLISH"), p->channel, SLICE_EMPTY };

	argv[2] = slice_of(number, (size_t)snprintf(number, sizeof(number), "%llu", (unsigned long long)++p->number));
	p->state = REDIS_PROBE_ASKED;
	p->is_heard = false;
	p->open++;
	redis_conn_command(p->conn, argv, ARRAY_LEN(argv), on_published, p);
	redis_conn_flush(p->conn);
}

static void on_timer(void *arg) {
	struct redis_probe *p = arg;

	if (p->state == REDIS_PROBE_IDLE)
		send_one(p);
	else if (p->state == REDIS_PROBE_ANSWERED && !p->is_alive)
		give_up(p);
	else if (p->state == REDIS_PROBE_ANSWERED)
		go_on(p, REDIS_PROBE_ANSWERED);
	p->is_alive = false;
}

void redis_probe_heard(struct redis_probe *p, struct slice payload) {
	uint64_t number;

	if (!slice_to_u64(payload, &number) || number != p->number)
		return;
	p->is_heard = true;
	if (p->state == REDIS_PROBE_ANSWERED)
		go_on(p, REDIS_PROBE_IDLE);
}
