/* evloop - turns of libevent's loop, each with an end where queues are flushed and closed objects freed */
#include "common/svc/evloop.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/svc/log.h"
#include "common/svc/loop_memory.h"
#include "common/svc/trace.h"

STATIC_ASSERT(EVLOOP_READ == EV_READ && EVLOOP_WRITE == EV_WRITE, "io callbacks get libevent's bits as they are");

enum { WANT_MASK = EVLOOP_READ | EVLOOP_WRITE };
/* The longest turn is kept for so many parts of the last minute. */
enum { LONGEST_PARTS = 6, LONGEST_PART_MS = 10000 };

/* Apart from the loop, because reading the time does not change the loop. */
struct turn_clock {
	uint64_t now_us, now_ms, wall_us, wall_ms;
	bool is_read;		/* in this turn */
};

/* How long turns are busy. */
struct turn_count {
	bool is_on;
	enum stat_id turns, longest;
	uint64_t longest_us[LONGEST_PARTS];	/* of the current part of the minute, and those before */
	struct evloop_timer timer;
};

struct evloop {
	struct event_base *base;
	struct turn_clock *clock;
	struct turn_count count;
	evloop_fn turn_end;
	void *turn_end_arg;
	struct evloop_timer held;	/* lines of the log that are held back have to be told of */
	bool is_running, is_stopped, is_hurried;
};

enum { TELL_HELD_MS = 1000 };

static uint64_t clock_us(clockid_t id) {
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void on_held(void *arg) {
	log_tell_held(false);
	if (log_is_holding())
		evloop_timer_start(arg, TELL_HELD_MS);
}

struct evloop *evloop_new(void) {
	struct evloop *loop = mem_zalloc(sizeof(*loop));
	struct event_config *settings;

	event_set_mem_functions(loop_memory_alloc, loop_memory_realloc, loop_memory_free);
	settings = event_config_new();
	loop->clock = mem_zalloc(sizeof(*loop->clock));
	/* No changelist: it would keep a shared listener, closed right after it was stopped, in the epoll set. */
	if (settings != NULL &&
	    event_config_set_flag(settings, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) == 0)
		loop->base = event_base_new_with_config(settings);
	if (settings != NULL)
		event_config_free(settings);
	if (loop->base == NULL) {
		log_line(LOG_ERROR, "no event loop to be had", LF_TEXT("error", strerror(errno)));
		exit(EXIT_FAILURE);
	}
	evloop_timer_init(loop, &loop->held, on_held, &loop->held);
	return loop;
}

void evloop_free(struct evloop **loop) {
	if (*loop == NULL)
		return;
	evloop_timer_stop(&(*loop)->count.timer);
	event_base_free((*loop)->base);
	mem_free((*loop)->clock);
	mem_free(*loop);
	*loop = NULL;
}

void evloop_on_turn_end(struct evloop *loop, evloop_fn fn, void *arg) {
	loop->turn_end = fn;
	loop->turn_end_arg = arg;
}

/* --- how long turns are busy --- */

static void show_longest(const struct turn_count *t) {
	uint64_t longest = 0;

	for (size_t i = 0; i < LONGEST_PARTS; i++)
		longest = t->longest_us[i] > longest ? t->longest_us[i] : longest;
	stat_set(t->longest, longest);
}

static void on_part_end(void *arg) {
	struct turn_count *t = arg;

	memmove(&t->longest_us[1], &t->longest_us[0], sizeof(t->longest_us) - sizeof(t->longest_us[0]));
	t->longest_us[0] = 0;
	show_longest(t);
	evloop_timer_start(&t->timer, LONGEST_PART_MS);
}

void evloop_count_turns(struct evloop *loop, enum stat_id turns, enum stat_id longest) {
	struct turn_count *t = &loop->count;

	t->is_on = true;
	t->turns = turns;
	t->longest = longest;
	evloop_timer_init(loop, &t->timer, on_part_end, t);
	evloop_timer_start(&t->timer, LONGEST_PART_MS);
}

/* Since the clock was first asked for, which is what nearly every callback begins with. Who has not asked has done next to nothing. */
static void count_turn(struct evloop *loop) {
	struct turn_count *t = &loop->count;
	uint64_t us;

	if (!t->is_on || !loop->clock->is_read)
		return;
	us = clock_us(CLOCK_MONOTONIC) - loop->clock->now_us;
	stat_observe(t->turns, us);
	if (us <= t->longest_us[0])
		return;
	t->longest_us[0] = us;
	show_longest(t);
}

/* --- turns --- */

void evloop_run(struct evloop *loop) {
	loop->is_running = true;
	loop->is_stopped = false;
	while (!loop->is_stopped) {
		int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY | (loop->is_hurried ? EVLOOP_NONBLOCK : 0);

		loop->is_hurried = false;
		loop->clock->is_read = false;
		if (event_base_loop(loop->base, flags) < 0) {
			log_line(LOG_ERROR, "the event loop failed", LF_TEXT("error", strerror(errno)));
			exit(EXIT_FAILURE);
		}
		if (loop->turn_end != NULL)
			loop->turn_end(loop->turn_end_arg);
		if (log_is_holding() && event_pending(&loop->held.event, EV_TIMEOUT, NULL) == 0)
			evloop_timer_start(&loop->held, TELL_HELD_MS);
		count_turn(loop);
	}
	evloop_timer_stop(&loop->held);
	log_tell_held(true);
	loop->is_running = false;
}

void evloop_stop(struct evloop *loop) {
	loop->is_stopped = true;
}

void evloop_do_not_wait(struct evloop *loop) {
	loop->is_hurried = true;
}

/* Read when first asked for, which is after the wait: nobody runs between the end of a turn and its next events. */
static const struct turn_clock *turn_clock(const struct evloop *loop) {
	struct turn_clock *c = loop->clock;

	if (!c->is_read || !loop->is_running) {
		c->now_us = clock_us(CLOCK_MONOTONIC);
		c->now_ms = c->now_us / 1000;
		c->wall_us = clock_us(CLOCK_REALTIME);
		c->wall_ms = c->wall_us / 1000;
		c->is_read = true;
		trace_clock(c->wall_ms);
	}
	return c;
}

uint64_t evloop_now_ms(const struct evloop *loop) {
	return turn_clock(loop)->now_ms;
}

uint64_t evloop_now_us(const struct evloop *loop) {
	return turn_clock(loop)->now_us;
}

uint64_t evloop_wall_ms(const struct evloop *loop) {
	return turn_clock(loop)->wall_ms;
}

uint64_t evloop_wall_us(const struct evloop *loop) {
	return turn_clock(loop)->wall_us;
}

/* Fails only when the kernel has no memory or the user's epoll watches are used up; the owner's deadline ends such a one. */
static void event_start(struct event *e) {
	if (event_add(e, NULL) != 0)
		log_line(LOG_ERROR, "cannot watch a descriptor", LF_I("fd", event_get_fd(e)), LF_TEXT("error", strerror(errno)));
}

void evloop_io_start(struct evloop *loop, struct evloop_io *io, int fd, short want, evloop_io_fn fn, void *arg) {
	evloop_io_stop(io);
	event_assign(&io->event, loop->base, fd, (short)(want | EV_PERSIST), fn, arg);
	event_start(&io->event);
}

void evloop_io_want(struct evloop_io *io, short want) {
	struct event *e = &io->event;
	struct event_base *base = event_get_base(e);
	event_callback_fn fn = event_get_callback(e);
	void *arg = event_get_callback_arg(e);
	int fd = event_get_fd(e);
	struct event bridge;

	if ((event_pending(e, WANT_MASK, NULL) & WANT_MASK) == want)
		return;
	if (want == 0) {
		event_del(e);
		return;
	}
	/* The bridge watches the descriptor while the event changes sides: so the kernel sees one modification, and not a removal
	 * and an addition. */
	event_assign(&bridge, base, fd, (short)(want | EV_PERSIST), fn, arg);
	event_start(&bridge);
	event_del(e);
	event_assign(e, base, fd, (short)(want | EV_PERSIST), fn, arg);
	event_start(e);
	event_del(&bridge);
}

void evloop_io_stop(struct evloop_io *io) {
	if (event_initialized(&io->event))
		event_del(&io->event);
}

static void on_timer(int fd, short what, void *arg) {
	struct evloop_timer *t = arg;

	(void)fd;
	(void)what;
	t->fn(t->arg);
}

void evloop_timer_init(struct evloop *loop, struct evloop_timer *t, evloop_fn fn, void *arg) {
	event_assign(&t->event, loop->base, -1, 0, on_timer, t);
	t->fn = fn;
	t->arg = arg;
}

void evloop_timer_start(struct evloop_timer *t, uint64_t ms) {
	struct timeval tv = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

	if (event_add(&t->event, &tv) != 0)
		abort_because("no memory for a timer");
}

void evloop_timer_stop(struct evloop_timer *t) {
	if (event_initialized(&t->event))
		event_del(&t->event);
}
