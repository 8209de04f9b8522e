/* test_evloop - turns, wants that change, stops inside callbacks, timers */
#include <check.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/svc/evloop.h"

static struct evloop *loop;
static int pair[2], other[2];
static struct evloop_io io, second;
static struct evloop_timer timer, late;
static int reads, writes, turns, fired;

static void setup(void) {
	loop = evloop_new();
	reads = writes = turns = fired = 0;
	memset(&io, 0, sizeof(io));
	memset(&second, 0, sizeof(second));
	memset(&timer, 0, sizeof(timer));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, other), 0);
}

static void teardown(void) {
	evloop_io_stop(&io);
	evloop_io_stop(&second);
	evloop_timer_stop(&timer);
	evloop_free(&loop);
	for (int i = 0; i < 2; i++) {
		close(pair[i]);
		close(other[i]);
	}
}

static void on_io(int fd, short ready, void *arg) {
	(void)fd;
	(void)arg;
	reads += (ready & EVLOOP_READ) != 0;
	writes += (ready & EVLOOP_WRITE) != 0;
}

static void stop_at_once(void *arg) {
	(void)arg;
	turns++;
	evloop_stop(loop);
}

/* One turn that does not wait; what it saw is in reads and writes. */
static void turn(void) {
	reads = writes = 0;
	evloop_on_turn_end(loop, stop_at_once, NULL);
	evloop_do_not_wait(loop);
	evloop_run(loop);
}

START_TEST(wants_change) {
	static const short wants[] = { EVLOOP_READ, EVLOOP_WRITE, 0, EVLOOP_READ | EVLOOP_WRITE };

	ck_assert_int_eq(write(pair[1], "x", 1), 1);
	evloop_io_start(loop, &io, pair[0], EVLOOP_READ, on_io, NULL);
	/* From every want to every other, and to itself. */
	for (size_t from = 0; from < ARRAY_LEN(wants); from++) {
		for (size_t to = 0; to < ARRAY_LEN(wants); to++) {
			evloop_io_want(&io, wants[from]);
			evloop_io_want(&io, wants[to]);
			turn();
			ck_assert_int_eq(reads, (wants[to] & EVLOOP_READ) != 0);
			ck_assert_int_eq(writes, (wants[to] & EVLOOP_WRITE) != 0);
		}
	}
	evloop_io_stop(&io);
	evloop_io_stop(&io);
	turn();
	ck_assert_int_eq(reads + writes, 0);
}
END_TEST

static void stop_both(int fd, short ready, void *arg) {
	on_io(fd, ready, arg);
	evloop_io_stop(&io);
	evloop_io_stop(&second);
}

START_TEST(a_stopped_io_is_silent_in_the_same_turn) {
	ck_assert_int_eq(write(pair[1], "x", 1), 1);
	ck_assert_int_eq(write(other[1], "x", 1), 1);
	evloop_io_start(loop, &io, pair[0], EVLOOP_READ, stop_both, NULL);
	evloop_io_start(loop, &second, other[0], EVLOOP_READ, stop_both, NULL);
	turn();
	ck_assert_int_eq(reads, 1);
	turn();
	ck_assert_int_eq(reads, 0);
}
END_TEST

static void unwant_both(int fd, short ready, void *arg) {
	on_io(fd, ready, arg);
	evloop_io_want(&io, 0);
	evloop_io_want(&second, 0);
}

START_TEST(an_unwanted_io_is_silent_in_the_same_turn) {
	ck_assert_int_eq(write(pair[1], "x", 1), 1);
	ck_assert_int_eq(write(other[1], "x", 1), 1);
	evloop_io_start(loop, &io, pair[0], EVLOOP_READ, unwant_both, NULL);
	evloop_io_start(loop, &second, other[0], EVLOOP_READ, unwant_both, NULL);
	turn();
	ck_assert_int_eq(reads, 1);
	evloop_io_want(&io, EVLOOP_READ);
	turn();
	ck_assert_int_eq(reads, 1);
}
END_TEST

static void on_timer(void *arg) {
	int *count = arg;

	(*count)++;
	evloop_stop(loop);
}

START_TEST(timers_fire_once) {
	uint64_t start = evloop_now_ms(loop);

	evloop_timer_init(loop, &timer, on_timer, &fired);
	evloop_timer_start(&timer, 10000);
	evloop_timer_start(&timer, 20);
	evloop_run(loop);
	ck_assert_int_eq(fired, 1);
	/* libevent's coarse clock may be a kernel tick behind. */
	ck_assert_uint_ge(evloop_now_ms(loop) - start, 15);
	ck_assert_uint_lt(evloop_now_ms(loop) - start, 5000);
	evloop_timer_start(&timer, 0);
	evloop_timer_stop(&timer);
	evloop_timer_stop(&timer);
	turn();
	ck_assert_int_eq(fired, 1);
}
END_TEST

static void hurry(void *arg) {
	(void)arg;
	if (++turns < 100)
		evloop_do_not_wait(loop);
	else
		evloop_stop(loop);
}

START_TEST(work_left_over_does_not_wait) {
	evloop_timer_init(loop, &late, on_timer, &fired);
	evloop_timer_start(&late, 60000);
	evloop_on_turn_end(loop, hurry, NULL);
	evloop_do_not_wait(loop);
	evloop_run(loop);
	ck_assert_int_eq(turns, 100);
	ck_assert_int_eq(fired, 0);
	evloop_timer_stop(&late);
}
END_TEST

static uint64_t seen_ms[2];

static void spin(int fd, short ready, void *arg) {
	struct timespec wait = { .tv_nsec = 5000000 };

	on_io(fd, ready, arg);
	seen_ms[0] = evloop_now_ms(loop);
	nanosleep(&wait, NULL);
	seen_ms[1] = evloop_now_ms(loop);
}

START_TEST(time_stands_still_within_a_turn) {
	ck_assert_int_eq(write(pair[1], "x", 1), 1);
	evloop_io_start(loop, &io, pair[0], EVLOOP_READ, spin, NULL);
	turn();
	ck_assert_uint_eq(seen_ms[0], seen_ms[1]);
	turn();
	ck_assert_uint_ge(seen_ms[0], seen_ms[1] - 1);
	ck_assert_uint_gt(evloop_wall_ms(loop), 1600000000000);
}
END_TEST

Suite *suite_evloop(void);
Suite *suite_evloop(void) {
	Suite *s = suite_create("evloop");
	TCase *t = tcase_create("evloop");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, wants_change);
	tcase_add_test(t, a_stopped_io_is_silent_in_the_same_turn);
	tcase_add_test(t, an_unwanted_io_is_silent_in_the_same_turn);
	tcase_add_test(t, timers_fire_once);
	tcase_add_test(t, work_left_over_does_not_wait);
	tcase_add_test(t, time_stands_still_within_a_turn);
	suite_add_tcase(s, t);
	return s;
}
