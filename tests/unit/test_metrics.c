/* test_metrics - the two forms of /metrics: names, types, units, labels, histograms, and whose counts are shown */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "server/admin/metrics.h"

enum { MAX = 1 << 20, WORKERS = 64 };

static struct stats_map *map;
static struct buf text;
static int fd, worker, admin;

static uint64_t view(const void *arg UNUSED, const char *name) {
	return strcmp(name, "ready") == 0 ? 1 : strcmp(name, "start_time") == 0 ? 1700000000500000 : 7;
}

static const char *written(bool is_openmetrics, const char *engine) {
	struct metrics_source source = { .stats = map, .engine = engine, .view = view };

	buf_fini(&text);
	buf_init(&text, MAX);
	metrics_write(&source, is_openmetrics, &text);
	buf_add_u8(&text, '\0');
	ck_assert(!text.failed);
	return (const char *)text.data;
}

/* Whole lines. */
static void expect(bool is_openmetrics, const char *lines) {
	const char *all = written(is_openmetrics, "memory"), *at = strstr(all, lines);

	ck_assert_msg(at != NULL && (at == all || at[-1] == '\n'), "there is no\n%s", lines);
}

static void setup(void) {
	struct errbuf err;

	map = stats_map_new(&fd, &err);
	ck_assert_ptr_nonnull(map);
	atomic_store(&map->host.workers, 2);
	worker = stats_block_take(map, PROCESS_WORKER, 1);
	admin = stats_block_take(map, PROCESS_ADMIN, 0);
	stats_use_block(map, worker);
}

static void teardown(void) {
	buf_fini(&text);
	munmap(map, sizeof(*map));
	close(fd);
}

START_TEST(counters_and_gauges) {
	stat_add(STAT_connections_accepted, 12345678901234);
	stat_add(STAT_bytes_sent, 5);
	stat_set(STAT_connections, 3);
	expect(false, "# HELP herold_connections_accepted_total Client connections accepted.\n"
		      "# TYPE herold_connections_accepted_total counter\n"
		      "herold_connections_accepted_total 12345678901234\n");
	expect(true, "# HELP herold_connections_accepted Client connections accepted.\n"
		     "# TYPE herold_connections_accepted counter\n"
		     "herold_connections_accepted_total 12345678901234\n");
	expect(true, "# HELP herold_sent_bytes Bytes sent to clients.\n"
		     "# TYPE herold_sent_bytes counter\n"
		     "# UNIT herold_sent_bytes bytes\n"
		     "herold_sent_bytes_total 5\n");
	expect(false, "# TYPE herold_connections gauge\nherold_connections 3\n");
	expect(false, "herold_start_time_seconds 1700000000.500000\n");
	expect(false, "herold_ready 1\n");
}
END_TEST

START_TEST(labels) {
	stat_add(STAT_origins_refused, 2);
	stat_add_in(STAT_closed, 1);
	stat_set(STAT_cpu, 1234567);
	stat_add(STAT_messages_sent, 9);
	expect(false, "herold_refusals_total{kind=\"origin\"} 2\n");
	expect(false, "herold_connections_closed_total{reason=\"client_close\",class=\"normal\"} 1\n");
	expect(false, "herold_cpu_seconds_total{process=\"workers\"} 1.234567\n");
	expect(false, "herold_cpu_seconds_total{process=\"broker\"} 0.000000\n");
	expect(false, "herold_worker_messages_sent_total{worker=\"0\"} 0\nherold_worker_messages_sent_total{worker=\"1\"} 9\n");
	expect(false, "herold_restarts_total{process=\"worker\"} 7\n");
	/* A name that follows an end is no end. */
	ck_assert_ptr_null(strstr(written(false, "memory"), "close_timeout\""));
	ck_assert_ptr_null(strstr((const char *)text.data, "worker=\"2\""));
}
END_TEST

START_TEST(values_of_labels_are_escaped) {
	const char *all = written(false, "a\"b\\c\nd");

	ck_assert_ptr_nonnull(strstr(all, "engine=\"a\\\"b\\\\c\\nd\"} 1\n"));
}
END_TEST

START_TEST(histograms) {
	stat_observe(STAT_connection_duration, 500000);
	stat_observe(STAT_connection_duration, 1000000);
	stat_observe(STAT_connection_duration, 700000000000);
	expect(false, "# TYPE herold_connection_duration_seconds histogram\n"
		      "herold_connection_duration_seconds_bucket{le=\"1\"} 2\n"
		      "herold_connection_duration_seconds_bucket{le=\"10\"} 2\n");
	expect(false, "herold_connection_duration_seconds_bucket{le=\"604800\"} 2\n"
		      "herold_connection_duration_seconds_bucket{le=\"+Inf\"} 3\n"
		      "herold_connection_duration_seconds_sum 700001.500000\n"
		      "herold_connection_duration_seconds_count 3\n");
	expect(true, "# UNIT herold_connection_duration_seconds seconds\n"
		     "herold_connection_duration_seconds_bucket{le=\"1.0\"} 2\n");
	expect(true, "herold_loop_turn_seconds_bucket{le=\"0.00025\"} 0\n");
}
END_TEST

/* Whoever looks at the server is no client of it; what is refused there counts. */
START_TEST(operators_are_no_clients) {
	stat_add(STAT_connections_accepted, 3);
	stat_add_in(STAT_http_status, 1);
	stats_use_block(map, admin);
	stat_add(STAT_connections_accepted, 100);
	stat_add_in(STAT_http_status, 1);
	stat_observe(STAT_connection_duration, 1);
	stat_add(STAT_admin_refused, 4);
	stat_add(STAT_publications, 2);
	expect(false, "herold_connections_accepted_total 3\n");
	stat_add_in(STAT_http_status, 1);
	expect(false, "herold_http_responses_total{code=\"200\"} 1\n#");
	expect(false, "herold_admin_responses_total{code=\"200\"} 2\n#");
	expect(false, "herold_connection_duration_seconds_sum 0.000000\nherold_connection_duration_seconds_count 0\n");
	expect(false, "herold_refusals_total{kind=\"admin_token\"} 4\n");
	expect(false, "herold_publications_total 2\n");
}
END_TEST

START_TEST(the_dead_are_counted_and_not_shown) {
	stat_add(STAT_messages_received, 40);
	stat_set(STAT_connections, 40);
	stats_block_retire(map, worker);
	stats_use_block(map, stats_block_take(map, PROCESS_WORKER, 1));
	stat_add(STAT_messages_received, 2);
	stat_set(STAT_connections, 2);
	expect(false, "herold_messages_received_total 42\n");
	expect(false, "herold_connections 2\n");
	expect(false, "herold_worker_messages_received_total{worker=\"1\"} 42\n");
	expect(false, "herold_worker_connections{worker=\"1\"} 2\n");
}
END_TEST

/* Every line is a comment or a sample of the metric whose TYPE stands above it, and no metric comes twice. */
START_TEST(well_formed_with_many_workers) {
	char metric[128] = "", seen[MAX / 8] = "", name[160];

	atomic_store(&map->host.workers, WORKERS);
	(void)written(true, "redis");
	for (char *line = (char *)text.data, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		*end = '\0';
		if (sscanf(line, "# HELP %127s", metric) == 1) {
			snprintf(name, sizeof(name), " %s ", metric);
			ck_assert_msg(strstr(seen, name) == NULL, "%s comes twice", metric);
			strncat(seen, name, sizeof(seen) - strlen(seen) - 1);
		} else if (line[0] == '#') {
			ck_assert_msg(strcmp(line, "# EOF") == 0 ? end[1] == '\0' : strncmp(line + 7, metric, strlen(metric)) == 0, "%s", line);
		} else {
			ck_assert_msg(strncmp(line, metric, strlen(metric)) == 0, "%s of %s", line, metric);
			ck_assert_msg(strpbrk(line, "\t\r") == NULL && strchr(line, ' ') != NULL, "%s", line);
		}
	}
	ck_assert_ptr_nonnull(strstr(seen, " herold_worker_slow_readers "));
	ck_assert_uint_lt(text.len, MAX / 8);
}
END_TEST

Suite *suite_metrics(void);
Suite *suite_metrics(void) {
	Suite *s = suite_create("metrics");
	TCase *t = tcase_create("metrics");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, counters_and_gauges);
	tcase_add_test(t, labels);
	tcase_add_test(t, values_of_labels_are_escaped);
	tcase_add_test(t, histograms);
	tcase_add_test(t, operators_are_no_clients);
	tcase_add_test(t, the_dead_are_counted_and_not_shown);
	tcase_add_test(t, well_formed_with_many_workers);
	suite_add_tcase(s, t);
	return s;
}
