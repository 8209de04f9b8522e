/* test_memory_watch - limits of machines and containers, and what sockets take there */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/svc/memory_watch.h"
#include "common/svc/stats.h"

static char root[] = "/tmp/herold-memory-XXXXXX";

/* With the folders above it. */
static void put(const char *path, const char *text) {
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		mkdir(full, 0700);
		*at = '/';
	}
	f = fopen(full, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void setup(void) {
	memcpy(root + strlen(root) - 6, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(root));
	put("/proc/meminfo", "MemTotal:        1000 kB\nMemFree:          500 kB\n");
	put("/proc/net/sockstat", "sockets: used 15\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 7\nUDP: inuse 0 mem 3\n");
}

static void teardown(void) {
	char command[64];

	snprintf(command, sizeof(command), "rm -r '%s'", root);
	ck_assert_int_eq(system(command), 0);
}

/* Opens, reads, closes. */
static uint64_t sockets_of(struct memory_watch *w) {
	struct memory_use use;

	memory_watch_open(w, root);
	memory_use_now(w, &use);
	memory_watch_close(w);
	return use.sockets;
}

static uint64_t seven_pages(void) {
	return 7 * (uint64_t)sysconf(_SC_PAGESIZE);
}

static const struct {
	const char *groups, *path, *limit;
	uint64_t there_is;
} limits[] = {
	/* No cgroups, and none with a limit. */
	{ NULL, NULL, NULL, 1024000 },
	{ "0::/\n", "/sys/fs/cgroup/memory.max", "max\n", 1024000 },
	{ "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max", "2000000\n", 1024000 },
	{ "", "/sys/fs/cgroup/memory.max", "500000\n", 1024000 },
	{ "nothing\n:\n", "/sys/fs/cgroup/memory.max", "500000\n", 1024000 },
	{ "0::/a\n", "/sys/fs/cgroup/a/memory.max", "none", 1024000 },
	{ "3:cpu,memory2:/a\n", "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "500000\n", 1024000 },
	/* Version 2: of its own, of one above, of a container that does not see its own path. */
	{ "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max", "500000\n", 500000 },
	{ "0::/a/b\n", "/sys/fs/cgroup/a/memory.max", "500000\n", 500000 },
	{ "0::/docker/123\n", "/sys/fs/cgroup/memory.max", "500000\n", 500000 },
	/* Version 1, alone and beside version 2. */
	{ "4:memory:/a\n0::/\n", "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "500000\n", 500000 },
	{ "0::/\n3:cpu,memory,pids:/a/b", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "500000\n", 500000 },
	{ "4:memory:/a\n", "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n", 1024000 },
};

START_TEST(limit) {
	struct memory_watch w;

	if (limits[_i].groups != NULL) {
		put("/proc/self/cgroup", limits[_i].groups);
		put(limits[_i].path, limits[_i].limit);
	}
	ck_assert_uint_eq(sockets_of(&w), seven_pages());
	ck_assert_uint_eq(w.there_is, limits[_i].there_is);
	ck_assert_int_eq(w.is_container, limits[_i].there_is == 500000);
}
END_TEST

START_TEST(the_least_limit) {
	struct memory_watch w;

	put("/proc/self/cgroup", "0::/a/b\n");
	put("/sys/fs/cgroup/a/b/memory.max", "300000\n");
	put("/sys/fs/cgroup/a/memory.max", "200000\n");
	put("/sys/fs/cgroup/memory.max", "250000\n");
	put("/sys/fs/cgroup/a/b/memory.stat", "anon 1\nsock 2\n");
	put("/sys/fs/cgroup/a/memory.stat", "anon 1\nkernel 5\nnot_sock 4\nsock 4096\nvmalloc 0\n");
	ck_assert_uint_eq(sockets_of(&w), 4096);
	ck_assert_uint_eq(w.there_is, 200000);
	ck_assert(w.is_container);
}
END_TEST

START_TEST(nothing_is_known) {
	struct memory_watch w;

	teardown();
	ck_assert_uint_eq(sockets_of(&w), 0);
	ck_assert_uint_eq(w.there_is, 0);
	setup();
	put("/proc/net/sockstat", "sockets: used 15\nTCP: inuse 1\nUDP: inuse 0 mem 3\n");
	ck_assert_uint_eq(sockets_of(&w), 0);
}
END_TEST

START_TEST(read_again) {
	struct memory_use use;
	struct memory_watch w;

	memory_watch_open(&w, root);
	stat_set(STAT_client_queue_bytes, 1);
	stat_set(STAT_client_input_bytes, 20);
	stat_set(STAT_link_queue_bytes, 300);
	put("/proc/net/sockstat", "TCP: inuse 1 orphan 0 tw 0 alloc 1 mem 14");
	memory_use_now(&w, &use);
	ck_assert_uint_eq(memory_use_sum(&use), 321 + 2 * seven_pages());
	stat_set(STAT_client_queue_bytes, 0);
	stat_set(STAT_client_input_bytes, 0);
	stat_set(STAT_link_queue_bytes, 0);
	memory_watch_close(&w);
}
END_TEST

/* The machine that this runs on. */
START_TEST(here) {
	struct memory_watch w;

	memory_watch_open(&w, "");
	ck_assert_int_ge(w.fd, 0);
	ck_assert_uint_gt(w.there_is, 16 << 20);
	memory_watch_close(&w);
}
END_TEST

Suite *suite_memory_watch(void);
Suite *suite_memory_watch(void) {
	Suite *s = suite_create("memory_watch");
	TCase *t = tcase_create("memory_watch");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, limit, 0, ARRAY_LEN(limits));
	tcase_add_test(t, the_least_limit);
	tcase_add_test(t, nothing_is_known);
	tcase_add_test(t, read_again);
	tcase_add_test(t, here);
	suite_add_tcase(s, t);
	return s;
}
