/* test_live - what the status page shows: rates, points, and the verdict */
#include <check.h>
#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/admin/live_series.h"
#include "server/admin/live_verdict.h"
#include "server/conn/conn.h"

static struct stats_map *map;
static struct live_series *series;
static struct live_verdict verdict;
static struct live_signs signs;
static uint64_t now_ms;
static int fd, worker, admin;

static void measure(unsigned seconds) {
	stats_use_block(map, admin);
	for (unsigned i = 0; i < seconds; i++) {
		now_ms += 1000;
		(void)live_series_measure(series, now_ms, 1700000000000 + now_ms, 5000);
	}
	stats_use_block(map, worker);
}

static void setup(void) {
	struct errbuf err;

	map = stats_map_new(&fd, &err);
	ck_assert_ptr_nonnull(map);
	worker = stats_block_take(map, PROCESS_WORKER, 0);
	admin = stats_block_take(map, PROCESS_ADMIN, 0);
	series = live_series_new(map);
	now_ms = 0;
	signs = (struct live_signs){ .memory = MEMORY_ENOUGH, .redis_queue_bytes = 1000 };
	measure(1);
}

static void teardown(void) {
	live_series_free(&series);
	munmap(map, sizeof(*map));
	close(fd);
}

START_TEST(rates_are_of_the_last_seconds) {
	ck_assert(live_rate(series, STAT_messages_received) < 0.01);
	for (int i = 0; i < 20; i++) {
		stat_add(STAT_messages_received, 30);
		measure(1);
		ck_assert_double_eq_tol(live_rate(series, STAT_messages_received), 30, 0.01);
	}
	ck_assert_uint_eq(live_risen(series, STAT_messages_received, LIVE_MINUTE_S), 600);
	ck_assert_uint_eq(live_risen(series, STAT_messages_received, 3), 90);
	measure(LIVE_RATE_S);
	ck_assert_double_eq_tol(live_rate(series, STAT_messages_received), 0, 0.01);
	ck_assert_uint_eq(live_now(series, STAT_messages_received), 600);
	measure(LIVE_MINUTE_S);
	ck_assert_uint_eq(live_risen(series, STAT_messages_received, LIVE_MINUTE_S), 0);
}
END_TEST

/* A page that is looked at would else be a client. */
START_TEST(operators_are_no_clients) {
	stat_add(STAT_connections, 3);
	stat_add(STAT_messages_sent, 10);
	stats_use_block(map, admin);
	stat_add(STAT_connections, 1);
	stat_add(STAT_messages_sent, 1000);
	stat_add(STAT_admin_refused, 2);
	stat_add(STAT_closed, 4);
	stat_add(STAT_slow_readers, 1);
	stat_add(STAT_client_queue_bytes, 5000);
	measure(1);
	ck_assert_uint_eq(live_now(series, STAT_client_queue_bytes), 0);
	ck_assert_uint_eq(live_now(series, STAT_closed), 0);
	ck_assert_uint_eq(live_now(series, STAT_slow_readers), 0);
	ck_assert_uint_eq(live_now(series, STAT_connections), 3);
	ck_assert_uint_eq(live_now(series, STAT_messages_sent), 10);
	ck_assert_uint_eq(live_now(series, STAT_admin_refused), 2);
}
END_TEST

START_TEST(points_are_the_last_of_their_kind) {
	const struct live_point *p;
	size_t n = 0;

	ck_assert_ptr_null(live_point_at(series, 0));
	stat_set(STAT_connections, 7);
	measure(LIVE_POINT_S);
	p = live_point_at(series, 0);
	ck_assert_ptr_nonnull(p);
	ck_assert_double_eq_tol(p->value[LIVE_connections], 7, 0.01);
	ck_assert_double_eq_tol(p->value[LIVE_memory], 5000, 0.01);
	measure(2 * LIVE_POINTS * LIVE_POINT_S);
	while (live_point_at(series, n) != NULL)
		n++;
	ck_assert_uint_eq(n, LIVE_POINTS);
	for (size_t i = 1; i < n; i++)
		ck_assert_uint_eq(live_point_at(series, i)->wall_ms - live_point_at(series, i - 1)->wall_ms, LIVE_POINT_S * 1000);
	ck_assert_uint_le(live_newest(series)->wall_ms - live_point_at(series, n - 1)->wall_ms, LIVE_POINT_S * 1000);
}
END_TEST

START_TEST(processes_have_rates_of_their_own) {
	for (int i = 0; i < 30; i++) {
		stat_add(STAT_messages_sent, 50);
		measure(1);
	}
	ck_assert_double_eq_tol(series->process[worker].sent_rate, 50, 0.5);
	/* Somebody else in its place, who has done nothing yet. */
	stats_block_retire(map, worker);
	ck_assert_int_eq(stats_block_take(map, PROCESS_WORKER, 0), worker);
	atomic_store(&map->block[worker].pid, 1);
	stats_use_block(map, admin);
	now_ms += 1000;
	(void)live_series_measure(series, now_ms, now_ms, 0);
	ck_assert_double_eq_tol(series->process[worker].sent_rate, 0, 0.01);
}
END_TEST

START_TEST(processors_are_shared_out) {
	for (int i = 1; i <= 30; i++) {
		stat_set(STAT_cpu, (uint64_t)i * 500000);
		measure(1);
	}
	ck_assert_double_eq_tol(series->process[worker].cpu_rate, 500000, 5000);
	ck_assert_double_eq_tol(live_point_at(series, 4)->value[LIVE_cpu], 0.5, 0.01);
}
END_TEST

START_TEST(quantiles_are_of_the_last_seconds) {
	unsigned count;
	const uint64_t *bounds = stat_bounds(STAT_delivery_latency, &count);

	ck_assert(isnan(live_quantile(series, STAT_delivery_latency, LIVE_MINUTE_S, 0.5, 1)));
	/* 90 within the first class, 10 within the fourth. */
	for (int i = 0; i < 100; i++)
		stat_observe(STAT_delivery_latency, i < 90 ? 1 : bounds[3]);
	measure(LIVE_POINT_S - 1);
	ck_assert_double_eq_tol(live_quantile(series, STAT_delivery_latency, LIVE_MINUTE_S, 0.45, 1), (double)bounds[0] / 2e6, 1e-7);
	ck_assert_double_eq_tol(live_quantile(series, STAT_delivery_latency, LIVE_MINUTE_S, 0.9, 1), (double)bounds[0] / 1e6, 1e-7);
	ck_assert_double_eq_tol(live_quantile(series, STAT_delivery_latency, LIVE_MINUTE_S, 0.95, 1), (double)(bounds[2] + bounds[3]) / 2e6, 1e-7);
	ck_assert_double_eq_tol(live_quantile(series, STAT_delivery_latency, LIVE_MINUTE_S, 1, 1), (double)bounds[3] / 1e6, 1e-7);
	ck_assert(isnan(live_quantile(series, STAT_delivery_latency, LIVE_MINUTE_S, 0.5, 101)));
	ck_assert_double_eq_tol(live_point_at(series, 0)->value[LIVE_latency_p50], (double)bounds[0] * 50 / 90 / 1e6, 1e-6);
	measure(LIVE_POINT_S);
	ck_assert(isnan(live_quantile(series, STAT_delivery_latency, LIVE_RATE_S, 0.5, 1)));
	ck_assert(isnan(live_point_at(series, 1)->value[LIVE_latency_p50]));
	/* Above all bounds there is none to tell. */
	stat_observe(STAT_delivery_latency, bounds[count - 1] * 2);
	measure(1);
	ck_assert_double_eq_tol(live_quantile(series, STAT_delivery_latency, 1, 0.5, 1), (double)bounds[count - 1] / 1e6, 1e-7);
}
END_TEST

START_TEST(cases_are_those_of_their_metric) {
	size_t count;
	const struct stat_row *rows = live_cases("refusals", &count);

	ck_assert_str_eq(rows[0].value, "full");
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(rows[i].kind, STAT_IS_CASE);
	stat_add((enum stat_id)rows[count - 1].first, 50);
	measure(LIVE_POINT_S - 1);
	ck_assert_double_eq_tol(live_point_at(series, 0)->value[LIVE_refused], 12.5, 0.01);
}
END_TEST

static void judge(void) {
	live_judge(series, &signs, &verdict);
}

START_TEST(nothing_is_wrong) {
	stat_set(STAT_connections, 100000);
	measure(1);
	judge();
	ck_assert_int_eq(verdict.state, LIVE_WELL);
	ck_assert_uint_eq(verdict.count, 0);
}
END_TEST

/* One sentence each, and after a minute it is forgotten. */
START_TEST(a_counter_is_a_reason_for_a_minute) {
	stat_add(STAT_recoveries_failed, 3);
	measure(1);
	judge();
	ck_assert_int_eq(verdict.state, LIVE_TROUBLE);
	ck_assert_uint_eq(verdict.count, 1);
	ck_assert_str_eq(verdict.because[0], "clients came back too late to get all that they had missed: 3 in the last minute");
	measure(LIVE_MINUTE_S - 1);
	judge();
	ck_assert_int_eq(verdict.state, LIVE_TROUBLE);
	measure(1);
	judge();
	ck_assert_int_eq(verdict.state, LIVE_WELL);
}
END_TEST

START_TEST(the_worst_comes_first) {
	stat_add(STAT_recoveries_failed, 1);
	stat_add(STAT_limited_connections, 5);
	atomic_store(&map->host.restarts[PROCESS_WORKER], 2);
	signs.memory = MEMORY_TIGHT;
	signs.not_ready = slice_text("the broker is not ready");
	measure(1);
	judge();
	ck_assert_int_eq(verdict.state, LIVE_NOT_READY);
	ck_assert_uint_eq(verdict.count, 5);
	ck_assert_str_eq(verdict.because[0], "the broker is not ready");
	ck_assert_str_eq(verdict.because[1], "memory is tight: those who hold much are let go");
	ck_assert_str_eq(verdict.because[2], "newcomers are refused because max_connections or worker_connections is reached: 5 in the last minute");
	ck_assert_str_eq(verdict.because[3], "workers ended and were started again: 2 in the last minute");
	signs.not_ready = SLICE_EMPTY;
	judge();
	ck_assert_int_eq(verdict.state, LIVE_PRESSURE);
}
END_TEST

START_TEST(slow_clients_are_a_reason_when_they_are_many) {
	for (int i = 0; i < 9; i++)
		stat_add_in(STAT_closed, CLOSE_slow_client);
	measure(1);
	judge();
	ck_assert_int_eq(verdict.state, LIVE_WELL);
	stat_add_in(STAT_closed, CLOSE_send_timeout);
	measure(1);
	judge();
	ck_assert_int_eq(verdict.state, LIVE_PRESSURE);
}
END_TEST

START_TEST(a_queue_to_redis_that_fills) {
	stat_set(STAT_redis_queue_bytes, 500);
	stat_set(STAT_redis_waiting, 4);
	measure(1);
	judge();
	ck_assert_int_eq(verdict.state, LIVE_WELL);
	stat_set(STAT_redis_queue_bytes, 501);
	measure(1);
	judge();
	ck_assert_int_eq(verdict.state, LIVE_PRESSURE);
	ck_assert_str_eq(verdict.because[0], "the queue to Redis is more than half full: 4 publications wait");
}
END_TEST

START_TEST(late_messages) {
	for (int i = 0; i < 99; i++)
		stat_observe(STAT_delivery_latency, 900000);
	measure(1);
	judge();
	ck_assert_msg(verdict.state == LIVE_WELL, "a few messages are no reason");
	stat_observe(STAT_delivery_latency, 900000);
	measure(1);
	judge();
	ck_assert_int_eq(verdict.state, LIVE_PRESSURE);
	ck_assert_uint_eq(verdict.count, 1);
}
END_TEST

START_TEST(a_worker_that_has_too_much_to_do) {
	stat_set(STAT_max_open_files, 1000);
	stat_set(STAT_open_files, 899);
	for (int i = 1; i <= 20; i++) {
		stat_set(STAT_cpu, (uint64_t)i * 940000);
		measure(1);
	}
	judge();
	ck_assert_int_eq(verdict.state, LIVE_WELL);
	for (int i = 1; i <= 20; i++) {
		stat_add(STAT_cpu, 1000000);
		measure(1);
	}
	stat_set(STAT_open_files, 900);
	stat_set(STAT_accept_queue, 100);
	stat_set(STAT_loop_turn_longest, 1200000);
	measure(1);
	stat_set(STAT_slow_readers, 10);
	stat_set(STAT_connections, 200);
	stat_add(STAT_cpu, 1000000);
	measure(1);
	judge();
	ck_assert_int_eq(verdict.state, LIVE_PRESSURE);
	ck_assert_uint_eq(verdict.count, 4);
	ck_assert_str_eq(verdict.because[0], "a worker has 900 of the 1000 descriptors that it may have");
	ck_assert_str_eq(verdict.because[1], "newcomers wait: 100 connections are not accepted yet");
	ck_assert_str_eq(verdict.because[2], "10 clients take nothing of what they are sent");
	ck_assert_str_eq(verdict.because[3], "a worker was busy with one turn for 1.2 s in the last minute");
	stat_add(STAT_connections, 1);
	for (int i = 1; i <= 20; i++) {
		stat_add(STAT_cpu, 1000000);
		measure(1);
	}
	judge();
	ck_assert_uint_eq(verdict.count, 4);
	ck_assert_str_eq(verdict.because[0], "worker 0 is busy all the time: 99 % of a processor");
}
END_TEST

/* Whatever happens at once: the reasons are bounded. */
/* One that says how much it took is not heard of any more. */
START_TEST(a_process_that_hangs) {
	stat_set(STAT_cpu, 50);
	measure(10);
	judge();
	ck_assert_int_eq(verdict.state, LIVE_WELL);
	measure(1);
	judge();
	ck_assert_int_eq(verdict.state, LIVE_PRESSURE);
	ck_assert_uint_eq(verdict.count, 1);
	ck_assert_str_eq(verdict.because[0], "worker 0 hangs: it has done nothing for 10 s");
	stat_add(STAT_cpu, 1);
	measure(1);
	judge();
	ck_assert_int_eq(verdict.state, LIVE_WELL);
	atomic_store(&map->block[worker].kind, PROCESS_BROKER);
	measure(12);
	judge();
	ck_assert_str_eq(verdict.because[0], "the broker hangs: it has done nothing for 12 s");
}
END_TEST

START_TEST(everything_at_once) {
	signs = (struct live_signs){ .memory = MEMORY_SHORT, .not_ready = slice_text("the broker cannot be reached") };
	for (int i = 0; i < STAT_COUNT; i++)
		stat_add((enum stat_id)i, 1000);
	measure(1);
	judge();
	ck_assert_int_eq(verdict.state, LIVE_NOT_READY);
	ck_assert_uint_eq(verdict.count, LIVE_REASONS_MAX);
}
END_TEST

Suite *suite_live(void);
Suite *suite_live(void) {
	Suite *s = suite_create("live");
	TCase *c = tcase_create("series"), *v = tcase_create("verdict");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, rates_are_of_the_last_seconds);
	tcase_add_test(c, operators_are_no_clients);
	tcase_add_test(c, points_are_the_last_of_their_kind);
	tcase_add_test(c, processes_have_rates_of_their_own);
	tcase_add_test(c, processors_are_shared_out);
	tcase_add_test(c, quantiles_are_of_the_last_seconds);
	tcase_add_test(c, cases_are_those_of_their_metric);
	suite_add_tcase(s, c);
	tcase_add_checked_fixture(v, setup, teardown);
	tcase_add_test(v, nothing_is_wrong);
	tcase_add_test(v, a_counter_is_a_reason_for_a_minute);
	tcase_add_test(v, the_worst_comes_first);
	tcase_add_test(v, slow_clients_are_a_reason_when_they_are_many);
	tcase_add_test(v, a_queue_to_redis_that_fills);
	tcase_add_test(v, late_messages);
	tcase_add_test(v, a_worker_that_has_too_much_to_do);
	tcase_add_test(v, a_process_that_hangs);
	tcase_add_test(v, everything_at_once);
	suite_add_tcase(s, v);
	return s;
}
