/*
 * evloop - the event loop of a process: descriptors, timers, signals, the end of a turn
 *
 * The one place that knows libevent. libevent 2.1 has no hook before it blocks, and a low-priority event starves under
 * load; so a turn is event_base_loop(EVLOOP_ONCE) followed by the end-of-turn function, where queues are flushed and closed
 * objects are freed. Nothing is freed inside a callback.
 * One loop per process, made after fork.
 */
#ifndef COMMON_SVC_EVLOOP_H
#define COMMON_SVC_EVLOOP_H

#include <event2/event_struct.h>

#include "common/svc/stats.h"

struct evloop;

enum { EVLOOP_READ = 0x02, EVLOOP_WRITE = 0x04 };	/* EV_READ, EV_WRITE */

/* ready: EVLOOP_READ, EVLOOP_WRITE or both. */
typedef void (*evloop_io_fn)(int fd, short ready, void *arg);
typedef void (*evloop_fn)(void *arg);

/* Embedded by their users; the body is libevent's and nobody else's business. */
struct evloop_io {
	struct event event;
};
struct evloop_timer {
	struct event event;
	evloop_fn fn;
	void *arg;
};

/* Returns owned; ends the process when there is no loop to be had. */
struct evloop *evloop_new(void) MUST_CHECK;
void evloop_free(struct evloop **loop);
/* Called at the end of every turn, in this order of duty: deliver, flush, reap. */
void evloop_on_turn_end(struct evloop *loop, evloop_fn fn, void *arg);
/* Turns until evloop_stop(). */
void evloop_run(struct evloop *loop);
void evloop_stop(struct evloop *loop);
/* There is work left over: the next turn does not wait for events. */
void evloop_do_not_wait(struct evloop *loop);

/* Monotonic milliseconds, read once per turn. */
uint64_t evloop_now_ms(const struct evloop *loop);
uint64_t evloop_now_us(const struct evloop *loop);
/* Milliseconds since 1970, read once per turn. */
uint64_t evloop_wall_ms(const struct evloop *loop);
uint64_t evloop_wall_us(const struct evloop *loop);
/* From now on it is counted how long turns are busy, in a histogram and in a STAT_HIGHEST: the longest of the last minute. */
void evloop_count_turns(struct evloop *loop, enum stat_id turns, enum stat_id longest);

/* Starts watching: level-triggered, until evloop_io_stop(). want: EVLOOP_READ | EVLOOP_WRITE, not 0. */
void evloop_io_start(struct evloop *loop, struct evloop_io *io, int fd, short want, evloop_io_fn fn, void *arg);
/* Changes what is watched; 0 watches nothing but keeps the assignment. */
void evloop_io_want(struct evloop_io *io, short want);
/* Before the descriptor is closed. May be called twice, and on a zeroed io. */
void evloop_io_stop(struct evloop_io *io);

void evloop_timer_init(struct evloop *loop, struct evloop_timer *t, evloop_fn fn, void *arg);
/* Fires once, in `ms` milliseconds from now; started again, it is moved. */
void evloop_timer_start(struct evloop_timer *t, uint64_t ms);
/* May be called twice, and on a zeroed timer. */
void evloop_timer_stop(struct evloop_timer *t);

#endif
