/*
 * redis_probe - a message to oneself through Redis, now and then: out on the command link, back on the pub/sub link
 *
 * When it was published and is not heard within an interval, in which nothing else was heard either, or when Redis says that nobody
 * has received it, the pub/sub link is dead, whatever the kernel thinks of it. A Redis that does not answer proves nothing about pub/sub.
 */
#ifndef BROKER_REDIS_REDIS_PROBE_H
#define BROKER_REDIS_REDIS_PROBE_H

#include "broker/redis/redis_conn.h"

enum redis_probe_state {
	REDIS_PROBE_OFF = 0,
	REDIS_PROBE_IDLE,	/* the timer sends the next */
	REDIS_PROBE_ASKED,	/* the command link's deadline ends it */
	REDIS_PROBE_ANSWERED,	/* the timer ends it */
};

/* Embedded by its user. */
struct redis_probe {
	struct redis_conn *conn;
	struct slice channel;
	uint64_t interval_ms;
	void (*lost)(void *arg);
	void *arg;
	enum redis_probe_state state;
	struct evloop_timer timer;
	size_t open;		/* answers due, also of those that were given up */
	uint64_t number;	/* of the latest */
	bool is_heard;		/* the latest */
	bool is_alive;		/* the link: anything was heard since it was answered */
};

/* conn: of the commands; borrowed for life like channel, which is a pub/sub channel. lost: may not free the probe. */
void redis_probe_init(struct redis_probe *p, struct evloop *loop, struct redis_conn *conn, struct slice channel, uint64_t interval_ms,
    void (*lost)(void *arg), void *arg);
/* Both links stand. */
void redis_probe_start(struct redis_probe *p);
/* One does not. */
void redis_probe_stop(struct redis_probe *p);
void redis_probe_heard(struct redis_probe *p, struct slice payload);
/* Anything was heard. */
static inline void redis_probe_alive(struct redis_probe *p) {
	p->is_alive = true;
}

#endif
