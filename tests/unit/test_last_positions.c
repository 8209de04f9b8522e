/* test_last_positions - taken back once, in time; the oldest go first; memory is bounded */
#include "broker/last_positions.h"

#include <malloc.h>

#include "tests/unit/quiet_check.h"

enum { AGE_MS = 1000, BYTES = 1 << 20 };

static struct last_positions positions;

static void setup(void) {
	last_positions_init(&positions, BYTES, AGE_MS);
}

static void teardown(void) {
	last_positions_fini(&positions);
}

static void add(uint64_t hash, uint64_t offset, uint64_t now_ms) {
	struct position p = { offset, "epoch..." };

	last_positions_add(&positions, hash, &p, now_ms);
}

static bool take(uint64_t hash, uint64_t offset, uint64_t now_ms) {
	struct position p = { 0 };

	if (!last_positions_take(&positions, hash, &p, now_ms)) {
		ck_assert(p.offset == 0 && p.epoch[0] == '\0');
		return false;
	}
	ck_assert_uint_eq(p.offset, offset);
	ck_assert_mem_eq(p.epoch, "epoch...", ENGINE_EPOCH_LEN);
	return true;
}

START_TEST(taken_once) {
	add(1, 11, 0);
	add(2, 12, 0);
	ck_assert(!take(3, 0, 0));
	ck_assert(take(1, 11, 1));
	ck_assert(!take(1, 11, 1));
	add(1, 13, 2);
	ck_assert(take(1, 13, 3));
	ck_assert(take(2, 12, 3));
	ck_assert(!take(2, 12, 3));
}
END_TEST

START_TEST(not_for_ever) {
	add(1, 11, 0);
	add(2, 12, 1);
	ck_assert(!take(1, 11, AGE_MS));
	ck_assert(take(2, 12, AGE_MS));
	for (uint64_t i = 0; i < 10000; i++)
		add(i, i, AGE_MS + i / 100);
	ck_assert(take(5000, 5000, AGE_MS + 100));
	for (int i = 0; i < 4; i++)
		last_positions_expire(&positions, 2 * AGE_MS + 49);
	ck_assert_uint_eq(positions.count, 4999);
	ck_assert_uint_eq(positions.by_hash.count, 4999);
	ck_assert(!take(4999, 4999, AGE_MS + 100));
	ck_assert(take(5001, 5001, AGE_MS + 100));
	for (int i = 0; i < 4; i++)
		last_positions_expire(&positions, 3 * AGE_MS);
	ck_assert_uint_eq(positions.count, 0);
	ck_assert_ptr_null(positions.oldest);
}
END_TEST

/* Whether all stay, or each is taken at once. */
START_TEST(bounded) {
	size_t before = mallinfo2().uordblks, most;

	for (uint64_t i = 1; i <= 1000000; i++) {
		add(i * 77, i, 0);
		ck_assert(_i == 0 || take(i * 77, i, 0));
	}
	ck_assert_uint_lt(mallinfo2().uordblks - before, BYTES + BYTES / 8);
	most = positions.count;
	ck_assert_uint_gt(most, BYTES / 100);
	ck_assert(!take((1000000 - most) * 77, 0, 0));
	ck_assert_int_eq(take((1000001 - most) * 77, 1000001 - most, 0), _i == 0);
}
END_TEST

START_TEST(none_at_all) {
	last_positions_fini(&positions);
	last_positions_init(&positions, 0, AGE_MS);
	add(1, 11, 0);
	ck_assert(!take(1, 11, 0));
}
END_TEST

Suite *suite_last_positions(void);

Suite *suite_last_positions(void) {
	Suite *s = suite_create("last_positions");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, taken_once);
	tcase_add_test(t, not_for_ever);
	tcase_add_loop_test(t, bounded, 0, 2);
	tcase_add_test(t, none_at_all);
	suite_add_tcase(s, t);
	return s;
}
