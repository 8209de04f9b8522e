/* test_stats - blocks taken and retired: counters never go backwards, gauges die with their process; histograms */
#include <check.h>
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/svc/stats.h"

static struct stats_map *map;
static struct stats_sums *sums;
static int fd;
static struct errbuf err;

static void setup(void) {
	map = stats_map_new(&fd, &err);
	ck_assert_msg(map != NULL, "%s", err.text);
	sums = mem_alloc(sizeof(*sums));
}

static void teardown(void) {
	mem_free(sums);
	munmap(map, sizeof(*map));
	close(fd);
}

START_TEST(counters_outlive_and_gauges_do_not) {
	int a = stats_block_take(map, PROCESS_WORKER, 0), b = stats_block_take(map, PROCESS_WORKER, 1);

	ck_assert_int_eq(a, STATS_PAST);
	ck_assert_int_eq(b, STATS_PAST + 1);
	ck_assert_int_eq(atomic_load(&map->host.blocks_end), STATS_PAST + 2);
	stats_use_block(map, a);
	stat_add(STAT_upgrades, 5);
	stat_set(STAT_connections, 7);
	stat_add_in(STAT_closed, 3);
	stats_use_block(map, b);
	stat_add(STAT_upgrades, 2);
	stat_add(STAT_connections, 2);
	stat_sub(STAT_connections, 1);
	ck_assert_uint_eq(stats_sum(map, STAT_upgrades), 7);
	ck_assert_uint_eq(stats_sum(map, STAT_connections), 8);
	stats_block_retire(map, a);
	ck_assert_uint_eq(stats_sum(map, STAT_upgrades), 7);
	ck_assert_uint_eq(stats_sum(map, STAT_connections), 1);
	ck_assert_uint_eq(stats_sum(map, (enum stat_id)(STAT_closed + 3)), 1);
	/* The freed block begins at nothing. */
	ck_assert_int_eq(stats_block_take(map, PROCESS_ADMIN, 0), a);
	ck_assert_int_eq(atomic_load(&map->host.blocks_end), STATS_PAST + 2);
	stats_use_block(map, a);
	ck_assert_uint_eq(stat_get(stats_own, STAT_upgrades), 0);
	ck_assert_int_eq(atomic_load(&stats_own->pid), (int)getpid());
	ck_assert_int_eq(atomic_load(&stats_own->kind), PROCESS_ADMIN);
	stat_add(STAT_upgrades, 1);
	ck_assert_uint_eq(stats_sum(map, STAT_upgrades), 8);
}
END_TEST

/* Of each row, whatever it is: what a process leaves behind is what counts up, in the sum, of its kind, and of its slot. */
START_TEST(every_row_is_retired_as_what_it_is) {
	enum stat_type head = STAT_TYPE_COUNTER;
	size_t count;
	const struct stat_row *rows = stat_rows(&count);

	for (int life = 0; life < 2; life++) {
		int block = stats_block_take(map, PROCESS_WORKER, 5);

		stats_use_block(map, block);
		for (int id = 0; id < STAT_COUNT; id++)
			stat_set((enum stat_id)id, (uint64_t)id + 1);
		stats_block_retire(map, block);
	}
	stats_take_sums(map, sums);
	for (size_t i = 0; i < count; i++) {
		if (rows[i].kind == STAT_HEADS_CASES)
			head = rows[i].type;
		if (rows[i].kind == STAT_IS_BY_WORKER || rows[i].kind == STAT_IS_BY_ADMIN || rows[i].first < 0)
			continue;
		for (int id = rows[i].first; id <= rows[i].last; id++) {
			bool stays = (rows[i].kind == STAT_IS_CASE ? head : rows[i].type) == STAT_TYPE_COUNTER;

			ck_assert_msg(sums->all[id] == (stays ? 2 * ((uint64_t)id + 1) : 0), "%s", rows[i].name);
			ck_assert_uint_eq(sums->kind[PROCESS_WORKER][id], sums->all[id]);
			ck_assert_uint_eq(stats_sum(map, (enum stat_id)id), sums->all[id]);
		}
	}
	ck_assert_uint_eq(sums->worker[5][STAT_OF_WORKER_messages_sent], 2 * (STAT_messages_sent + 1));
	ck_assert_uint_eq(sums->worker[5][STAT_OF_WORKER_connections], 0);
	ck_assert_uint_eq(sums->worker[4][STAT_OF_WORKER_messages_sent], 0);
}
END_TEST

START_TEST(the_highest_is_no_sum) {
	for (int i = 0; i < 3; i++) {
		stats_use_block(map, stats_block_take(map, i < 2 ? PROCESS_WORKER : PROCESS_BROKER, i));
		stat_set(STAT_loop_turn_longest, i == 1 ? 900 : 100);
		stat_set(STAT_open_files, 10 + (uint64_t)i);
		stat_set(STAT_connections, 10);
	}
	stats_take_sums(map, sums);
	ck_assert_uint_eq(sums->all[STAT_loop_turn_longest], 900);
	ck_assert_uint_eq(sums->kind[PROCESS_WORKER][STAT_open_files], 11);
	ck_assert_uint_eq(sums->kind[PROCESS_BROKER][STAT_open_files], 12);
	ck_assert_uint_eq(sums->kind[PROCESS_ADMIN][STAT_open_files], 0);
	ck_assert_uint_eq(sums->all[STAT_connections], 30);
	ck_assert_uint_eq(sums->worker[1][STAT_OF_WORKER_loop_turn_longest], 900);
	ck_assert_uint_eq(sums->worker[0][STAT_OF_WORKER_loop_turn_longest], 100);
}
END_TEST

/* A value at a bound belongs below it; one above all is counted and summed, too. */
START_TEST(a_histogram_sorts_its_values) {
	const struct {
		uint64_t value;
		unsigned bucket;
	} cases[] = { { 0, 0 }, { 100, 0 }, { 101, 1 }, { 250, 1 }, { 1000000, 11 }, { 1000001, 12 }, { UINT32_MAX, 12 } };
	unsigned count;
	const uint64_t *bounds = stat_bounds(STAT_loop_turn, &count);
	uint64_t sum = 0;

	ck_assert_uint_eq(count, 12);
	ck_assert_uint_eq(bounds[0], 100);
	ck_assert_int_eq(STAT_loop_turn_last - STAT_loop_turn, (int)count + 1);
	stats_use_block(map, stats_block_take(map, PROCESS_WORKER, 0));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t before = stat_get(stats_own, (enum stat_id)(STAT_loop_turn + cases[i].bucket));

		stat_observe(STAT_loop_turn, cases[i].value);
		ck_assert_uint_eq(stat_get(stats_own, (enum stat_id)(STAT_loop_turn + cases[i].bucket)), before + 1);
		sum += cases[i].value;
		ck_assert_uint_eq(stat_get(stats_own, STAT_loop_turn_last), sum);
	}
}
END_TEST

START_TEST(bounds_rise_and_rows_are_whole) {
	size_t count;
	const struct stat_row *rows = stat_rows(&count);
	int next = 0;

	for (size_t i = 0; i < count; i++) {
		if (rows[i].kind == STAT_IS_HISTOGRAM) {
			unsigned bound_count;
			const uint64_t *bounds = stat_bounds((enum stat_id)rows[i].first, &bound_count);

			for (unsigned k = 0; k < bound_count; k++)
				ck_assert_uint_lt(bounds[k], bounds[k + 1]);
			ck_assert_uint_eq(bounds[bound_count], UINT64_MAX);
		}
		ck_assert_uint_gt(strlen(rows[i].help), 5);
		if (rows[i].first < 0 || rows[i].kind == STAT_IS_BY_WORKER || rows[i].kind == STAT_IS_BY_ADMIN)
			continue;
		ck_assert_int_eq(rows[i].first, next);
		next = rows[i].last + 1;
	}
	ck_assert_int_eq(next, STAT_COUNT);
}
END_TEST

START_TEST(blocks_run_out) {
	for (int i = STATS_PAST; i < STATS_BLOCKS; i++)
		ck_assert_int_eq(stats_block_take(map, PROCESS_WORKER, i % STATS_SLOTS), i);
	ck_assert_int_eq(stats_block_take(map, PROCESS_WORKER, 0), -1);
	stats_block_retire(map, STATS_PAST + 500);
	ck_assert_int_eq(stats_block_take(map, PROCESS_WORKER, 0), STATS_PAST + 500);
}
END_TEST

START_TEST(a_second_mapping_sees_the_same) {
	struct stats_map *again = stats_map_open(fd, &err);

	ck_assert_ptr_nonnull(again);
	stats_use_block(map, stats_block_take(map, PROCESS_BROKER, 0));
	stat_add(STAT_channels, 3);
	ck_assert_uint_eq(stats_sum(again, STAT_channels), 3);
	munmap(again, sizeof(*again));
	ck_assert_ptr_null(stats_map_open(-1, &err));
}
END_TEST

START_TEST(the_living_are_found) {
	const struct stats_block *b;
	int index = 0, found = 0;

	ck_assert_ptr_null(stats_next(map, &index));
	for (int i = 0; i < 4; i++)
		(void)stats_block_take(map, PROCESS_WORKER, i);
	stats_block_retire(map, STATS_PAST + 1);
	while ((b = stats_next(map, &index)) != NULL) {
		ck_assert_int_ne(atomic_load(&b->slot), 1);
		found++;
	}
	ck_assert_int_eq(found, 3);
}
END_TEST

/* Of a process that was taken over, and writes what it likes. */
START_TEST(what_is_no_index_is_none) {
	static const int wrong[] = { -1, PROCESS_KINDS, 1 << 30, INT_MIN, INT_MAX };
	int index = 0;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		int block = stats_block_take(map, PROCESS_WORKER, 3);

		stats_use_block(map, block);
		atomic_store(&stats_own->kind, wrong[i]);
		ck_assert_int_eq(stats_kind(stats_own), PROCESS_NONE);
		index = 0;
		ck_assert_ptr_null(stats_next(map, &index));
		stats_take_sums(map, sums);
		stats_block_retire(map, block);
		block = stats_block_take(map, PROCESS_WORKER, 3);
		stats_use_block(map, block);
		atomic_store(&stats_own->slot, wrong[i]);
		stats_take_sums(map, sums);
		stats_block_retire(map, block);
	}
	atomic_store(&map->host.blocks_end, INT_MAX);
	ck_assert_int_eq(stats_blocks_end(map), STATS_BLOCKS);
	index = 0;
	ck_assert_ptr_null(stats_next(map, &index));
	atomic_store(&map->host.blocks_end, INT_MIN);
	ck_assert_ptr_null(stats_next(map, &index));
}
END_TEST

Suite *suite_stats(void);
Suite *suite_stats(void) {
	Suite *s = suite_create("stats");
	TCase *t = tcase_create("stats");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, counters_outlive_and_gauges_do_not);
	tcase_add_test(t, every_row_is_retired_as_what_it_is);
	tcase_add_test(t, the_highest_is_no_sum);
	tcase_add_test(t, a_histogram_sorts_its_values);
	tcase_add_test(t, bounds_rise_and_rows_are_whole);
	tcase_add_test(t, blocks_run_out);
	tcase_add_test(t, a_second_mapping_sees_the_same);
	tcase_add_test(t, the_living_are_found);
	tcase_add_test(t, what_is_no_index_is_none);
	suite_add_tcase(s, t);
	return s;
}
