/* test_stats - blocks taken and retired: counters never go backwards, gauges die with their process */
#include <check.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/svc/stats.h"

static struct stats_map *map;
static int fd;
static struct errbuf err;

static void setup(void) {
	map = stats_map_new(&fd, &err);
	ck_assert_msg(map != NULL, "%s", err.text);
}

static void teardown(void) {
	munmap(map, sizeof(*map));
	close(fd);
}

START_TEST(counters_outlive_and_gauges_do_not) {
	int a = stats_block_take(map, PROCESS_WORKER, 0), b = stats_block_take(map, PROCESS_WORKER, 1);

	ck_assert_int_eq(a, 1);
	ck_assert_int_eq(b, 2);
	ck_assert_int_eq(atomic_load(&map->host.blocks_end), 3);
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
	ck_assert_int_eq(atomic_load(&map->host.blocks_end), 3);
	stats_use_block(map, a);
	ck_assert_uint_eq(stat_get(stats_own, STAT_upgrades), 0);
	ck_assert_int_eq(atomic_load(&stats_own->pid), (int)getpid());
	ck_assert_int_eq(atomic_load(&stats_own->kind), PROCESS_ADMIN);
	stat_add(STAT_upgrades, 1);
	ck_assert_uint_eq(stats_sum(map, STAT_upgrades), 8);
}
END_TEST

START_TEST(blocks_run_out) {
	for (int i = 1; i < STATS_BLOCKS; i++)
		ck_assert_int_eq(stats_block_take(map, PROCESS_WORKER, i), i);
	ck_assert_int_eq(stats_block_take(map, PROCESS_WORKER, 0), -1);
	stats_block_retire(map, 500);
	ck_assert_int_eq(stats_block_take(map, PROCESS_WORKER, 0), 500);
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

START_TEST(gauges_are_told_from_counters) {
	ck_assert(stats_is_gauge(STAT_connections));
	ck_assert(!stats_is_gauge(STAT_upgrades));
	ck_assert(!stats_is_gauge(STAT_closed_last));
}
END_TEST

Suite *suite_stats(void);
Suite *suite_stats(void) {
	Suite *s = suite_create("stats");
	TCase *t = tcase_create("stats");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, counters_outlive_and_gauges_do_not);
	tcase_add_test(t, blocks_run_out);
	tcase_add_test(t, a_second_mapping_sees_the_same);
	tcase_add_test(t, gauges_are_told_from_counters);
	suite_add_tcase(s, t);
	return s;
}
