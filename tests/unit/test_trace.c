/* test_trace - the last events of a process, read from another one */
#include <check.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/svc/stats.h"

static struct trace_ring *ring;
static struct trace_seen seen[TRACE_EVENTS];

static void setup(void) {
	ring = mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(ring, MAP_FAILED);
	trace_use(ring);
}

static void teardown(void) {
	static struct trace_ring other;

	trace_use(&other);
	munmap(ring, sizeof(*ring));
}

START_TEST(events_are_read_in_order) {
	ck_assert_uint_eq(trace_read(ring, seen), 0);
	trace_clock(1700000000123);
	trace_event(accept, 5, 17, 0);
	trace_clock(1700000000124);
	trace_event(message, 5, 64, 1);
	ck_assert_uint_eq(trace_read(ring, seen), 2);
	ck_assert_int_eq(seen[0].kind, TRACE_accept);
	ck_assert_uint_eq(seen[0].wall_ms, 1700000000123);
	ck_assert_uint_eq(seen[0].conn, 5);
	ck_assert_uint_eq(seen[0].a, 17);
	ck_assert_int_eq(seen[1].kind, TRACE_message);
	ck_assert_uint_eq(seen[1].wall_ms, 1700000000124);
	ck_assert_uint_eq(seen[1].b, 1);
	ck_assert_str_eq(trace_kind_name(TRACE_message), "message");
	ck_assert_str_eq(trace_kind_a(TRACE_message), "bytes");
	ck_assert_str_eq(trace_kind_b(TRACE_accept), "");
}
END_TEST

START_TEST(the_oldest_are_overwritten) {
	for (unsigned i = 0; i < 3 * TRACE_EVENTS; i++) {
		trace_event(deliver, 0, i, 0);
		ck_assert_uint_eq(trace_read(ring, seen), i < TRACE_EVENTS - 1 ? i + 1 : TRACE_EVENTS - 1);
		ck_assert_uint_eq(seen[0].a, i < TRACE_EVENTS - 1 ? 0 : i - (TRACE_EVENTS - 2));
	}
}
END_TEST

/* While it is read it is written: what is read is whole, and in order. */
START_TEST(a_living_process_is_read) {
	pid_t child = fork();
	int rounds = 0, status;
	uint64_t latest = 0;

	if (child == 0) {
		for (uint64_t i = 1; i <= 2000000; i++)
			trace_event(publish, i, i, i);
		_exit(0);
	}
	ck_assert_int_gt(child, 0);
	while (waitpid(child, &status, WNOHANG) == 0) {
		size_t n = trace_read(ring, seen);

		for (size_t i = 0; i < n; i++) {
			if (seen[i].conn != seen[i].a || seen[i].a != seen[i].b || seen[i].conn < latest || (i > 0 && seen[i].conn != seen[i - 1].conn + 1))
				ck_abort_msg("%zu of %zu is torn", i, n);
		}
		if (n > 0)
			latest = seen[0].conn;
		rounds++;
	}
	ck_assert_int_eq(status, 0);
	ck_assert_int_gt(rounds, 0);
	ck_assert_uint_eq(trace_read(ring, seen), TRACE_EVENTS - 1);
	ck_assert_uint_eq(seen[TRACE_EVENTS - 2].a, 2000000);
}
END_TEST

START_TEST(connections_have_the_ids_of_the_log) {
	struct id_source ids;
	char want[ID_TEXT_LEN + 1], text[ID_TEXT_LEN + 2];

	trace_conn_text(ring, 0, text);
	ck_assert_str_eq(text, "");
	trace_conn_text(ring, UINT64_MAX, text);
	ck_assert_str_eq(text, "18446744073709551615");
	id_source_init(&ids);
	trace_set_ids(&ids);
	id_text(&ids, 77, want);
	trace_conn_text(ring, 77, text);
	ck_assert_str_eq(text, want);
	trace_conn_text(ring, 0, text);
	ck_assert_str_eq(text, "");
}
END_TEST

/* It is the block's, and forgotten when another process takes that. */
START_TEST(a_ring_for_each_block) {
	struct errbuf e;
	int fd, block;
	struct stats_map *map = stats_map_new(&fd, &e);

	ck_assert_ptr_nonnull(map);
	block = stats_block_take(map, PROCESS_WORKER, 0);
	stats_use_block(map, block);
	trace_event(accept, 1, 2, 3);
	trace_serving(9);
	ck_assert_uint_eq(trace_read(&map->trace[block], seen), 1);
	stats_block_retire(map, block);
	ck_assert_uint_eq(trace_get(&map->trace[block].serving), 9);
	ck_assert_int_eq(stats_block_take(map, PROCESS_WORKER, 1), block);
	ck_assert_uint_eq(trace_read(&map->trace[block], seen), 0);
	ck_assert_uint_eq(trace_get(&map->trace[block].serving), 0);
	trace_use(ring);
	close(fd);
}
END_TEST

Suite *suite_trace(void);
Suite *suite_trace(void) {
	Suite *s = suite_create("trace");
	TCase *t = tcase_create("trace");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, events_are_read_in_order);
	tcase_add_test(t, the_oldest_are_overwritten);
	tcase_add_test(t, a_living_process_is_read);
	tcase_add_test(t, connections_have_the_ids_of_the_log);
	tcase_add_test(t, a_ring_for_each_block);
	suite_add_tcase(s, t);
	return s;
}
