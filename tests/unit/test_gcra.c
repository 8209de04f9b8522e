/* test_gcra - a rate in one word: burst, pace, warning and what is owed */
#include <check.h>

#include "server/limits/gcra.h"

/* Not zero: the clock of a machine that has just started. */
enum { START_MS = 5 };

static _Atomic uint64_t word;
static uint64_t wait_ms;

static void setup(void) {
	atomic_store(&word, 0);
	wait_ms = 7;
}

static enum limit_verdict take(const struct gcra *g, uint64_t cost, uint64_t now_ms) {
	return gcra_take(&word, g, cost, now_ms, &wait_ms);
}

static int taken(const struct gcra *g, uint64_t cost, uint64_t now_ms, int most) {
	int n = 0;

	while (n < most && take(g, cost, now_ms) == LIMIT_OK)
		n++;
	return n;
}

START_TEST(a_hundred_a_minute) {
	struct gcra g = gcra_make(100, 60, 100);

	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(take(&g, 1, START_MS), LIMIT_OK);
		ck_assert_uint_eq(wait_ms, 0);
	}
	ck_assert_int_eq(take(&g, 1, START_MS), LIMIT_WARN);
	ck_assert_uint_eq(wait_ms, 600);
	ck_assert_int_eq(take(&g, 1, START_MS), LIMIT_OVER);
	ck_assert_uint_eq(wait_ms, 600);
	ck_assert_int_eq(take(&g, 1, START_MS + 599), LIMIT_OVER);
	ck_assert_uint_eq(wait_ms, 1);
	ck_assert_int_eq(take(&g, 1, START_MS + 600), LIMIT_OK);
	/* Who was let through again is warned again. */
	ck_assert_int_eq(take(&g, 1, START_MS + 600), LIMIT_WARN);
	ck_assert_uint_eq(wait_ms, 600);
	ck_assert_int_eq(take(&g, 1, START_MS + 600), LIMIT_OVER);
	ck_assert_int_eq(taken(&g, 1, START_MS + 600 + 60000, 1000), 100);
}
END_TEST

START_TEST(paced_clients_never_meet_it) {
	struct gcra g = gcra_make(100, 60, 100);

	for (uint64_t i = 0; i < 1000; i++)
		ck_assert_int_eq(take(&g, 1, START_MS + i * 600), LIMIT_OK);
	ck_assert_uint_eq(gcra_owed_ns(atomic_load(&word), START_MS + 999 * 600), 600 * UINT64_C(1000000));
	ck_assert_uint_eq(gcra_owed_ns(atomic_load(&word), START_MS + 1000 * 600), 0);
}
END_TEST

START_TEST(a_refused_one_costs_nothing) {
	struct gcra g = gcra_make(10, 1, 10);
	uint64_t before;

	ck_assert_int_eq(take(&g, 8, START_MS), LIMIT_OK);
	before = atomic_load(&word);
	ck_assert_int_eq(take(&g, 3, START_MS), LIMIT_WARN);
	ck_assert_uint_eq(wait_ms, 100);
	ck_assert_uint_eq(atomic_load(&word), before | 1);
	ck_assert_int_eq(take(&g, 3, START_MS), LIMIT_OVER);
	ck_assert_uint_eq(atomic_load(&word), before | 1);
	ck_assert_int_eq(take(&g, 2, START_MS), LIMIT_OK);
	ck_assert_int_eq(take(&g, 1, START_MS), LIMIT_WARN);
}
END_TEST

static const uint64_t limits[] = { 1, 2, 3, 7, 60, 100, 999, 1000, 4099, 30011 };

START_TEST(the_burst_is_exact) {
	uint64_t limit = limits[_i];

	for (uint64_t period = 1; period <= 60; period += 59) {
		struct gcra g = gcra_make(limit, period, limit), doubled = gcra_make(limit, period, 2 * limit);

		atomic_store(&word, 0);
		ck_assert_int_eq(taken(&g, 1, START_MS, 1000000), (int)limit);
		ck_assert_int_eq(take(&g, 1, START_MS), LIMIT_OVER);
		ck_assert_uint_ge(wait_ms, 1);
		ck_assert_uint_le(wait_ms, period * 1000 / limit + 1);
		ck_assert_int_eq(take(&g, 1, START_MS + wait_ms), LIMIT_OK);
		atomic_store(&word, 0);
		ck_assert_int_eq(taken(&doubled, 1, START_MS, 1000000), (int)(2 * limit));
		atomic_store(&word, 0);
		ck_assert_int_eq(take(&g, limit, START_MS), LIMIT_OK);
		ck_assert_int_eq(take(&g, 1, START_MS), LIMIT_WARN);
	}
}
END_TEST

START_TEST(costs_beyond_a_burst_take_a_burst) {
	struct gcra g = gcra_make(1024, 1, 4096);

	ck_assert_int_eq(take(&g, UINT64_MAX, START_MS), LIMIT_OK);
	ck_assert_int_eq(take(&g, 1, START_MS), LIMIT_WARN);
	ck_assert_int_eq(take(&g, UINT64_MAX, START_MS), LIMIT_OVER);
	ck_assert_uint_eq(wait_ms, 4000);
	ck_assert_int_eq(take(&g, UINT64_MAX, START_MS + 4000), LIMIT_OK);
}
END_TEST

START_TEST(extremes) {
	struct gcra none = gcra_make(0, 60, 0), fast = gcra_make(UINT64_C(1) << 40, 1, UINT64_C(1) << 42), slow = gcra_make(1, 60, 10000);

	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(take(&none, UINT64_MAX, START_MS), LIMIT_OK);
	ck_assert_uint_eq(atomic_load(&word), 0);
	/* 1 TiB a second, 64 KiB at a time: 60 ns each. */
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(take(&fast, 65536, START_MS), LIMIT_OK);
	ck_assert_uint_eq(gcra_owed_ns(atomic_load(&word), START_MS), 1000 * 59);
	ck_assert_int_eq(take(&fast, UINT64_C(1) << 42, START_MS), LIMIT_WARN);
	atomic_store(&word, 0);
	ck_assert_int_eq(taken(&slow, 1, START_MS, 100000), 10000);
	ck_assert_int_eq(take(&slow, 10000, START_MS), LIMIT_OVER);
	ck_assert_uint_eq(wait_ms, 10000 * UINT64_C(60000));
	/* After 200 years without a restart. */
	ck_assert_int_eq(take(&slow, 10000, UINT64_C(6311520000000)), LIMIT_OK);
	ck_assert_int_eq(take(&slow, 1, UINT64_C(6311520000000)), LIMIT_WARN);
	ck_assert_uint_eq(wait_ms, 60000);
}
END_TEST

/* Another process's clock reading may be a little older. */
START_TEST(time_that_goes_back) {
	struct gcra g = gcra_make(10, 1, 10);

	ck_assert_int_eq(taken(&g, 1, START_MS + 1000, 5), 5);
	ck_assert_int_eq(taken(&g, 1, START_MS + 900, 100), 4);
	ck_assert_uint_eq(wait_ms, 100);
	ck_assert_int_eq(taken(&g, 1, START_MS + 1000, 100), 1);
}
END_TEST

Suite *suite_gcra(void);
Suite *suite_gcra(void) {
	Suite *s = suite_create("gcra");
	TCase *t = tcase_create("gcra");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, a_hundred_a_minute);
	tcase_add_test(t, paced_clients_never_meet_it);
	tcase_add_test(t, a_refused_one_costs_nothing);
	tcase_add_loop_test(t, the_burst_is_exact, 0, (int)ARRAY_LEN(limits));
	tcase_add_test(t, costs_beyond_a_burst_take_a_burst);
	tcase_add_test(t, extremes);
	tcase_add_test(t, time_that_goes_back);
	suite_add_tcase(s, t);
	return s;
}
