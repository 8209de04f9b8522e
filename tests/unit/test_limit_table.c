/* test_limit_table - lookup, eviction and what the dead leave, in one window and in one process */
#include <check.h>
#include <sys/resource.h>

#include "server/limits/gcra.h"
#include "server/limits/limit_table.h"

enum { SEATS = 3, OTHER_SEAT = 1, NOBODY = 0 };

static struct limit_table table;
static struct errbuf err;
static const struct limit_now now = { .ms = 1000, .wall_ds = 100000 };
static const struct gcra rate = { .scale = (uint64_t)1000000 << 24, .tolerance_ns = UINT64_C(60000000000) };

static void setup(void) {
	ck_assert_msg(limit_table_init(&table, LIMIT_TABLE_WAYS, SEATS, &err), "%s", err.text);
}

static void teardown(void) {
	limit_table_fini(&table);
}

/* The lower bits say nothing of who it is: they are not kept. */
static uint64_t hash_of(uint64_t n) {
	return (n + 1) << 10 | 77;
}

static uint32_t touch(uint64_t n) {
	uint32_t at = limit_table_pin(&table, hash_of(n), &now);

	limit_table_unpin(&table);
	return at;
}

static bool is_there(uint64_t n) {
	return limit_table_find(&table, hash_of(n)) != LIMIT_TABLE_NONE;
}

static void fill(uint64_t first) {
	for (uint64_t n = first; n < first + LIMIT_TABLE_WAYS; n++)
		ck_assert_uint_ne(touch(n), LIMIT_TABLE_NONE);
}

static void owe(uint32_t at, enum limit_rate which, uint64_t ms) {
	uint64_t wait_ms;

	ck_assert_int_eq(gcra_take(limit_table_rate(&table, at, which), &rate, ms, now.ms, &wait_ms), LIMIT_OK);
}

static void set_key(uint32_t at, uint64_t key) {
	atomic_store(&table.keys[at], key);
}

static uint64_t marked(uint64_t n, uint32_t mark, uint32_t seat) {
	return (hash_of(n) & ~(uint64_t)LIMIT_MARK_MASK) | (mark + seat);
}

START_TEST(an_entry_is_found_again) {
	uint32_t at;

	ck_assert(!is_there(1));
	at = touch(1);
	ck_assert_uint_eq(limit_table_find(&table, hash_of(1)), at);
	ck_assert_uint_eq(touch(1), at);
	ck_assert(limit_table_is(&table, at, hash_of(1)) && !limit_table_is(&table, at, hash_of(2)));
	ck_assert_uint_ne(touch(2), at);
	/* A hash of zeros is one like others. */
	ck_assert_uint_eq(limit_table_find(&table, 0), LIMIT_TABLE_NONE);
	at = limit_table_pin(&table, 0, &now);
	ck_assert_uint_eq(limit_table_find(&table, 0), at);
}
END_TEST

START_TEST(a_new_entry_is_empty) {
	uint32_t at = touch(0);

	for (int i = 0; i < LIMIT_RATES; i++)
		atomic_store(limit_table_rate(&table, at, (enum limit_rate)i), 2000000);
	for (int i = 0; i < LIMIT_SANCTIONS; i++)
		atomic_store(limit_table_sanction(&table, at, (enum limit_sanction)i), limit_sanction_word(9999, 90000));
	for (uint64_t n = 1; is_there(0); n++)
		touch(n);
	for (int i = 0; i < LIMIT_RATES; i++)
		ck_assert_uint_eq(atomic_load(limit_table_rate(&table, at, (enum limit_rate)i)), 0);
	for (int i = 0; i < LIMIT_SANCTIONS; i++)
		ck_assert_uint_eq(atomic_load(limit_table_sanction(&table, at, (enum limit_sanction)i)), 0);
}
END_TEST

START_TEST(sums_and_bounds) {
	uint32_t at = limit_table_pin(&table, hash_of(1), &now);

	for (table.seat = 0; table.seat < SEATS; table.seat++)
		ck_assert(limit_table_hold(&table, at, LIMIT_ROOMS, SEATS));
	for (table.seat = 0; table.seat < SEATS; table.seat++)
		ck_assert(!limit_table_hold(&table, at, LIMIT_ROOMS, SEATS));
	ck_assert_uint_eq(limit_table_sum(&table, at, LIMIT_ROOMS), SEATS);
	ck_assert_uint_eq(limit_table_sum(&table, at, LIMIT_CONNECTIONS), 0);
	table.seat = 2;
	ck_assert(limit_table_hold(&table, at, LIMIT_ROOMS, 0));
	limit_table_drop(&table, at, LIMIT_ROOMS);
	limit_table_drop(&table, at, LIMIT_ROOMS);
	table.seat = 1;
	ck_assert(limit_table_hold(&table, at, LIMIT_ROOMS, SEATS));
	ck_assert_uint_eq(limit_table_sum(&table, at, LIMIT_ROOMS), SEATS);
}
END_TEST

/* --- eviction --- */

START_TEST(who_owes_least_goes) {
	fill(0);
	for (uint64_t n = 0; n < LIMIT_TABLE_WAYS; n++)
		owe(touch(n), (enum limit_rate)(n % LIMIT_RATES), 1000 + (n * 7 + 5) % LIMIT_TABLE_WAYS);
	/* Each newcomer pushes out the next one, and owes most himself. */
	for (uint64_t i = 0; i < LIMIT_TABLE_WAYS; i++) {
		uint64_t goes = 0;

		while ((goes * 7 + 5) % LIMIT_TABLE_WAYS != i)
			goes++;
		ck_assert(is_there(goes));
		owe(touch(100 + i), LIMIT_BYTES, 50000);
		ck_assert(!is_there(goes));
	}
}
END_TEST

START_TEST(debts_end) {
	struct limit_now later = { .ms = now.ms + 2000, .wall_ds = now.wall_ds + 20 };

	fill(0);
	for (uint64_t n = 0; n < LIMIT_TABLE_WAYS; n++)
		owe(touch(n), LIMIT_MESSAGES, n == 20 ? 2000 : 3000 + n);
	ck_assert_uint_ne(limit_table_pin(&table, hash_of(100), &later), LIMIT_TABLE_NONE);
	ck_assert(!is_there(20));
}
END_TEST

START_TEST(the_held_stay) {
	fill(0);
	for (uint64_t n = 0; n < LIMIT_TABLE_WAYS; n++) {
		table.seat = (uint32_t)(n % SEATS);
		ck_assert(n == 9 || limit_table_hold(&table, touch(n), (enum limit_holding)(n % LIMIT_HOLDINGS), 0));
	}
	owe(touch(9), LIMIT_MESSAGES, 60000);
	for (uint64_t n = 100; n < 1000; n++)
		ck_assert_uint_ne(touch(n), LIMIT_TABLE_NONE);
	for (uint64_t n = 0; n < LIMIT_TABLE_WAYS; n++)
		ck_assert(is_there(n) == (n != 9));
	ck_assert(limit_table_hold(&table, touch(9), LIMIT_CONNECTIONS, 0));
	ck_assert_uint_eq(touch(100), LIMIT_TABLE_NONE);
	for (uint64_t n = 0; n < LIMIT_TABLE_WAYS; n++)
		ck_assert_uint_eq(atomic_load(&table.keys[touch(n)]), marked(n, 0, 0));
}
END_TEST

START_TEST(the_pinned_stay) {
	uint32_t at[SEATS];

	for (table.seat = 0; table.seat < SEATS; table.seat++)
		at[table.seat] = limit_table_pin(&table, hash_of(table.seat), &now);
	table.seat = 0;
	for (uint64_t n = 100; n < 1000; n++) {
		/* The pin of this process moves on. */
		ck_assert_uint_ne(limit_table_pin(&table, hash_of(n), &now), LIMIT_TABLE_NONE);
	}
	ck_assert(!is_there(0));
	ck_assert(limit_table_is(&table, at[1], hash_of(1)) && limit_table_is(&table, at[2], hash_of(2)));
}
END_TEST

START_TEST(the_sanctioned_stay) {
	uint64_t banned = limit_sanction_word(10001, 50000), over = limit_sanction_word(10000, 50000);
	uint64_t lifted = limit_sanction_word(0, 99500), lifted_long_ago = limit_sanction_word(0, 99400);

	fill(0);
	for (uint64_t n = 0; n < LIMIT_TABLE_WAYS; n++)
		atomic_store(limit_table_sanction(&table, touch(n), (enum limit_sanction)(n % 2)), n < 30 ? banned : lifted);
	ck_assert_uint_eq(touch(100), LIMIT_TABLE_NONE);
	atomic_store(limit_table_sanction(&table, touch(3), LIMIT_MUTED), over);
	ck_assert_uint_ne(touch(100), LIMIT_TABLE_NONE);
	ck_assert(!is_there(3));
	atomic_store(limit_table_sanction(&table, touch(100), LIMIT_MUTED), banned);
	atomic_store(limit_table_sanction(&table, touch(31), LIMIT_MUTED), lifted_long_ago);
	ck_assert_uint_ne(touch(101), LIMIT_TABLE_NONE);
	ck_assert(!is_there(31));
}
END_TEST

/* --- what others are about to do, or were when they died --- */

START_TEST(who_is_going_is_kept_by_a_pin) {
	uint32_t at = touch(1);

	set_key(at, marked(1, LIMIT_GOING, OTHER_SEAT));
	ck_assert_uint_eq(limit_table_find(&table, hash_of(1)), at);
	ck_assert(limit_table_is(&table, at, hash_of(1)));
	ck_assert_uint_eq(touch(1), at);
	ck_assert_uint_eq(atomic_load(&table.keys[at]), marked(1, 0, 0));
}
END_TEST

START_TEST(who_is_going_is_left_to_who_sends_him) {
	fill(0);
	for (uint64_t n = 0; n < LIMIT_TABLE_WAYS; n++)
		set_key(touch(n), n == 5 ? marked(n, 0, 0) : marked(n, LIMIT_GOING, OTHER_SEAT));
	ck_assert_uint_ne(touch(100), LIMIT_TABLE_NONE);
	ck_assert(!is_there(5));
	owe(touch(100), LIMIT_MESSAGES, 1);
	for (uint64_t n = 0; n < LIMIT_TABLE_WAYS; n++)
		ck_assert(n == 5 || is_there(n));
}
END_TEST

START_TEST(who_comes_and_never_arrives) {
	for (uint32_t at = 0; at < LIMIT_TABLE_WAYS; at++) {
		set_key(at, marked(1, LIMIT_COMING, OTHER_SEAT));
		ck_assert(!is_there(1));
		ck_assert_uint_ne(touch(1), LIMIT_TABLE_NONE);
		for (uint32_t i = 0; i < LIMIT_TABLE_WAYS; i++)
			ck_assert_uint_eq(atomic_load(&table.keys[i]), i == 0 ? marked(1, 0, 0) : NOBODY);
		set_key(0, NOBODY);
	}
}
END_TEST

START_TEST(busy_ways_are_left_alone) {
	for (uint32_t at = 0; at < LIMIT_TABLE_WAYS - 1; at++)
		set_key(at, LIMIT_BUSY + OTHER_SEAT);
	ck_assert_uint_eq(touch(1), LIMIT_TABLE_WAYS - 1);
	ck_assert_uint_eq(touch(2), LIMIT_TABLE_WAYS - 1);
	ck_assert(!is_there(1));
	set_key(LIMIT_TABLE_WAYS - 1, LIMIT_BUSY + OTHER_SEAT);
	ck_assert_uint_eq(touch(3), LIMIT_TABLE_NONE);
}
END_TEST

START_TEST(what_the_dead_leave) {
	uint32_t at = touch(1), going = touch(2), coming = touch(3), busy = touch(4), of_others = touch(5);

	table.seat = OTHER_SEAT;
	ck_assert(limit_table_hold(&table, at, LIMIT_CONNECTIONS, 0) && limit_table_hold(&table, at, LIMIT_CONNECTIONS, 0));
	ck_assert(limit_table_hold(&table, at, LIMIT_ROOMS, 0) && limit_table_hold(&table, going, LIMIT_ROOMS, 0));
	ck_assert_uint_eq(limit_table_pin(&table, hash_of(1), &now), at);
	atomic_store(&table.seats[OTHER_SEAT].connections, 7);
	table.seat = OTHER_SEAT + 1;
	ck_assert(limit_table_hold(&table, at, LIMIT_CONNECTIONS, 0));
	set_key(going, marked(2, LIMIT_GOING, OTHER_SEAT));
	set_key(coming, marked(3, LIMIT_COMING, OTHER_SEAT));
	set_key(busy, LIMIT_BUSY + OTHER_SEAT);
	set_key(of_others, marked(5, LIMIT_GOING, OTHER_SEAT + 1));
	atomic_store(&table.seats[OTHER_SEAT + 1].connections, 3);
	limit_table_clear_seat(&table, OTHER_SEAT);
	ck_assert_uint_eq(limit_table_sum(&table, at, LIMIT_CONNECTIONS), 1);
	ck_assert_uint_eq(limit_table_sum(&table, at, LIMIT_ROOMS), 0);
	ck_assert_uint_eq(limit_table_sum(&table, going, LIMIT_ROOMS), 0);
	ck_assert_uint_eq(atomic_load(&table.seats[OTHER_SEAT].pin), 0);
	ck_assert_uint_eq(atomic_load(&table.seats[OTHER_SEAT].connections), 0);
	ck_assert_uint_eq(atomic_load(&table.seats[OTHER_SEAT + 1].connections), 3);
	ck_assert_uint_eq(atomic_load(&table.keys[going]), marked(2, 0, 0));
	ck_assert_uint_eq(atomic_load(&table.keys[coming]), NOBODY);
	ck_assert_uint_eq(atomic_load(&table.keys[busy]), NOBODY);
	ck_assert_uint_eq(atomic_load(&table.keys[of_others]), marked(5, LIMIT_GOING, OTHER_SEAT + 1));
}
END_TEST

START_TEST(sizes) {
	struct limit_table t;

	/* 64 bytes for each entry and 8 for each worker, and the page that all share. */
	ck_assert(limit_table_init(&t, 131072, 2 + 1, &err));
	ck_assert_uint_eq(t.entries, 131072);
	ck_assert_uint_le(t.bytes, 131072 * (64 + 2 * 8) + 4096);
	limit_table_fini(&t);
	ck_assert(limit_table_init(&t, 1025, LIMIT_TABLE_SEATS_MAX, &err));
	ck_assert_uint_eq(t.entries, 1056);
	for (uint64_t n = 0; n < 100000; n++)
		ck_assert_uint_lt(limit_table_pin(&t, n * UINT64_C(0x9e3779b97f4a7c15), &now), 1056);
	for (uint32_t at = 0; at < t.entries; at++)
		ck_assert_uint_gt(atomic_load(&t.keys[at]), LIMIT_MARK_MASK);
	limit_table_fini(&t);
}
END_TEST

START_TEST(without_memory) {
	struct rlimit before, none;
	struct limit_table t;
	bool is_made;

	ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
	none = (struct rlimit){ 0, before.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &none), 0);
	is_made = limit_table_init(&t, 131072, SEATS, &err);
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &before), 0);
	ck_assert(!is_made);
	ck_assert_str_eq(err.text, "no memory for 131072 limit_entries (10486080 bytes): Cannot allocate memory");
	limit_table_fini(&t);
}
END_TEST

Suite *suite_limit_table(void);
Suite *suite_limit_table(void) {
	Suite *s = suite_create("limit_table");
	TCase *t = tcase_create("table");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, an_entry_is_found_again);
	tcase_add_test(t, a_new_entry_is_empty);
	tcase_add_test(t, sums_and_bounds);
	tcase_add_test(t, who_owes_least_goes);
	tcase_add_test(t, debts_end);
	tcase_add_test(t, the_held_stay);
	tcase_add_test(t, the_pinned_stay);
	tcase_add_test(t, the_sanctioned_stay);
	tcase_add_test(t, who_is_going_is_kept_by_a_pin);
	tcase_add_test(t, who_is_going_is_left_to_who_sends_him);
	tcase_add_test(t, who_comes_and_never_arrives);
	tcase_add_test(t, busy_ways_are_left_alone);
	tcase_add_test(t, what_the_dead_leave);
	tcase_add_test(t, sizes);
	tcase_add_test(t, without_memory);
	suite_add_tcase(s, t);
	return s;
}
