/* evloop - turns of an epoll loop, each with an end where queues are flushed and closed objects freed */
#include "common/svc/evloop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/svc/log.h"

/* Whoever is not among them has its turn next: the kernel asks its descriptors round. */
enum { EVENTS_PER_TURN = 1024, WAIT_MAX_MS = 3600 * 1000 };

/* Apart from the loop, because reading the time does not change the loop. */
struct turn_clock {
	uint64_t now_us, wall_ms;
	bool is_read;		/* in this turn */
};

struct evloop {
	int epoll;
	struct turn_clock *clock;
	struct list timers;	/* by due_us */
	struct list due;	/* of this turn */
	evloop_fn turn_end;
	void *turn_end_arg;
	bool is_running, is_stopped, is_hurried;
	struct epoll_event ready[EVENTS_PER_TURN];	/* data.ptr: struct evloop_io, or NULL when it was stopped meanwhile */
};

static uint64_t clock_us(clockid_t id) {
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

struct evloop *evloop_new(void) {
	struct evloop *loop = mem_zalloc(sizeof(*loop));

	loop->clock = mem_zalloc(sizeof(*loop->clock));
	list_init(&loop->timers);
	list_init(&loop->due);
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0) {
		log_line(LOG_ERROR, "no event loop to be had", LF_TEXT("error", strerror(errno)));
		exit(EXIT_FAILURE);
	}
	return loop;
}

void evloop_free(struct evloop **loop) {
	if (*loop == NULL)
		return;
	close((*loop)->epoll);
	mem_free((*loop)->clock);
	mem_free(*loop);
	*loop = NULL;
}

void evloop_on_turn_end(struct evloop *loop, evloop_fn fn, void *arg) {
	loop->turn_end = fn;
	loop->turn_end_arg = arg;
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
		c->wall_ms = clock_us(CLOCK_REALTIME) / 1000;
		c->is_read = true;
	}
	return c;
}

uint64_t evloop_now_ms(const struct evloop *loop) {
	return turn_clock(loop)->now_us / 1000;
}

uint64_t evloop_wall_ms(const struct evloop *loop) {
	return turn_clock(loop)->wall_ms;
}

/* --- turns --- */

static int time_to_wait(const struct evloop *loop) {
	uint64_t now, due;

	if (loop->is_hurried)
		return 0;
	if (list_is_empty(&loop->timers))
		return -1;
	now = clock_us(CLOCK_MONOTONIC);
	due = list_entry(loop->timers.next, struct evloop_timer, link)->due_us;
	if (due <= now)
		return 0;
	return due - now < (uint64_t)WAIT_MAX_MS * 1000 ? (int)((due - now + 999) / 1000) : WAIT_MAX_MS;
}

/* What is broken is readable and writable: whoever tries will be told. */
static short what_is_ready(uint32_t events) {
	if ((events & (EPOLLERR | EPOLLHUP)) != 0)
		return EVLOOP_READ | EVLOOP_WRITE;
	return (short)((events & EPOLLIN ? EVLOOP_READ : 0) | (events & EPOLLOUT ? EVLOOP_WRITE : 0));
}

static void run_ready(struct evloop *loop, int count) {
	for (int i = 0; i < count; i++)
		((struct evloop_io *)loop->ready[i].data.ptr)->place = (uint16_t)(i + 1);
	for (int i = 0; i < count; i++) {
		struct evloop_io *io = loop->ready[i].data.ptr;
		short ready;

		if (io == NULL)
			continue;
		io->place = 0;
		ready = what_is_ready(loop->ready[i].events) & (short)io->want;
		if (ready != 0)
			io->fn(io->fd, ready, io->arg);
	}
}

/* Those that are started meanwhile have their time in a later turn. */
static void run_timers(struct evloop *loop) {
	while (!list_is_empty(&loop->timers)) {
		struct evloop_timer *t = list_entry(loop->timers.next, struct evloop_timer, link);

		if (t->due_us > turn_clock(loop)->now_us)
			break;
		list_remove(&t->link);
		list_add_tail(&loop->due, &t->link);
	}
	while (!list_is_empty(&loop->due)) {
		struct evloop_timer *t = list_entry(loop->due.next, struct evloop_timer, link);

		list_remove(&t->link);
		t->fn(t->arg);
	}
}

void evloop_run(struct evloop *loop) {
	loop->is_running = true;
	loop->is_stopped = false;
	while (!loop->is_stopped) {
		int count = epoll_wait(loop->epoll, loop->ready, EVENTS_PER_TURN, time_to_wait(loop));

		if (count < 0 && errno != EINTR) {
			log_line(LOG_ERROR, "the event loop failed", LF_TEXT("error", strerror(errno)));
			exit(EXIT_FAILURE);
		}
		loop->is_hurried = false;
		loop->clock->is_read = false;
		run_ready(loop, count);
		run_timers(loop);
		if (loop->turn_end != NULL)
			loop->turn_end(loop->turn_end_arg);
	}
	loop->is_running = false;
}

/* --- descriptors --- */

/* Adding fails only when the kernel has no memory or the user's epoll watches are used up; the owner's deadline ends such a one.
 * What is to be watched no more is removed from the kernel's set at once: a shared listener lives on in other processes. */
static void watch(struct evloop_io *io, short want) {
	struct epoll_event e = { .data.ptr = io };
	int how = io->want == 0 ? EPOLL_CTL_ADD : want == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

	if ((short)io->want == want)
		return;
	e.events = ((want & EVLOOP_READ) != 0 ? (uint32_t)EPOLLIN : 0) | ((want & EVLOOP_WRITE) != 0 ? (uint32_t)EPOLLOUT : 0);
	if (epoll_ctl(io->loop->epoll, how, io->fd, &e) != 0 && how != EPOLL_CTL_DEL)
		log_line(LOG_ERROR, "cannot watch a descriptor", LF_I("fd", io->fd), LF_TEXT("error", strerror(errno)));
	else
		io->want = (uint16_t)want;
}

void evloop_io_start(struct evloop *loop, struct evloop_io *io, int fd, short want, evloop_io_fn fn, void *arg) {
	evloop_io_stop(io);
	*io = (struct evloop_io){ .loop = loop, .fn = fn, .arg = arg, .fd = fd };
	watch(io, want);
}

void evloop_io_want(struct evloop_io *io, short want) {
	watch(io, want);
}

void evloop_io_stop(struct evloop_io *io) {
	if (io->loop == NULL)
		return;
	watch(io, 0);
	if (io->place > 0)
		io->loop->ready[io->place - 1].data.ptr = NULL;
	io->place = 0;
}

/* --- timers --- */

void evloop_timer_init(struct evloop *loop, struct evloop_timer *t, evloop_fn fn, void *arg) {
	*t = (struct evloop_timer){ .loop = loop, .fn = fn, .arg = arg };
	list_init(&t->link);
}

/* There are few of them, and most are moved to where they were before: what clients have deadlines for turns in wheels. */
void evloop_timer_start(struct evloop_timer *t, uint64_t ms) {
	struct list *at;

	list_remove(&t->link);
	at = t->loop->timers.prev;
	t->due_us = turn_clock(t->loop)->now_us + ms * 1000;
	while (at != &t->loop->timers && list_entry(at, struct evloop_timer, link)->due_us > t->due_us)
		at = at->prev;
	list_add_head(at, &t->link);
}

void evloop_timer_stop(struct evloop_timer *t) {
	if (t->loop != NULL)
		list_remove(&t->link);
}
