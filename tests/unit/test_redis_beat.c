/* test_redis_beat - the script beat in a real server: leases, the quiet time, and the end of what dead nodes held */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/redis_script_world.h"

enum { LEASE_MS = 60000 };

static uint64_t budget, lease_ms;

static void reset(void) {
	rw_reset();
	budget = 1000;
	lease_ms = LEASE_MS;
}

static int compare_replies(const void *a, const void *b) {
	const redisReply *const *left = a, *const *right = b;

	return strcmp((*left)->str, (*right)->str);
}

/* "IS_KNOWN ENDED JSON .."; the words of the nodes sorted: leases may end in the same millisecond. */
static const char *beat(const char *node) {
	static char text[1024];
	const redisReply *r;
	size_t len;

	rw.node = slice_text(node);
	call_begin(REDIS_SCRIPT_beat, "lyhj");
	call_text(node);
	call_number(lease_ms);
	call_text(node);
	call_number(budget);
	call_text("t:");
	call_number(100);
	call_number(30000);
	r = call_end();
	ck_assert_uint_eq(r->elements, 3);
	qsort(r->element[2]->element, r->element[2]->elements, sizeof(redisReply *), compare_replies);
	len = (size_t)snprintf(text, sizeof(text), "%d %d", (int)number_at(r, 0), (int)number_at(r, 1));
	for (size_t i = 0; i < r->element[2]->elements; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, " %s", text_at(r->element[2], i));
	return text;
}

static void enter(const char *node, const char *channel, const char *member) {
	rw.node = slice_text(node);
	rw.channel = slice_text(channel);
	call_begin(REDIS_SCRIPT_enter, "wzvhn");
	call_text(channel);
	call_text(node);
	call_text(member);
	call_text("token-0123456789");
	call_text("info");
	call_number(1);
	call_text("life-1");
	call_pubsub();
	call_number(100);
	call_number(30000);
	call_number(0);
	call_end();
}

static bool is_there(const char *channel, const char *member) {
	return rw_number("HEXISTS t:w:%s %s", channel, member) == 1;
}

/* Its lease is over. */
static void die(const char *node) {
	rw_do("ZADD t:l 1 %s", node);
}

/* As if somebody had been beating all the time. */
static void nothing_was_the_matter(void) {
	rw_do("HSET t:y last %s quiet 0", rw_text("HGET t:y last"));
}

START_TEST(a_lease) {
	ck_assert_str_eq(beat("n1"), "0 0 n1");
	ck_assert_str_eq(beat("n1"), "1 0 n1");
	ck_assert_str_eq(beat("n2"), "0 0 n1 n2");
	rw_check_expiry("t:j:n2", LEASE_MS - 30000, LEASE_MS);
	die("n1");
	ck_assert_str_eq(beat("n2"), "1 0 n2");
	/* It is over, but nothing was ended: so nothing has to be said again. */
	ck_assert_str_eq(beat("n1"), "1 0 n1 n2");
}
END_TEST

START_TEST(a_dead_node) {
	beat("n1");
	beat("n2");
	nothing_was_the_matter();
	enter("n1", "room", "ann");
	enter("n2", "room", "ann");
	enter("n2", "room", "bob");
	enter("n2", "room:2", "cid");
	rw_listen();
	rw.channel = slice_text("room");
	die("n2");
	ck_assert_str_eq(beat("n1"), "1 3 n1");
	ck_assert(is_there("room", "ann") && !is_there("room", "bob") && !is_there("room:2", "cid"));
	ck_assert_int_eq(rw_number("EXISTS t:h:n2"), 0);
	ck_assert_str_eq(rw_text("ZSCORE t:l n2"), "");
	ck_assert_str_eq(rw_heard(), "-2:cid=info/0");
	rw_check_expiry("t:w:room:2", 1, 30000);
	/* Once in the cluster. */
	ck_assert_str_eq(beat("n1"), "1 0 n1");
	ck_assert_str_eq(rw_heard(), "");
	/* It was only asleep: everything has to be said again. */
	ck_assert_str_eq(beat("n2"), "0 0 n1 n2");
}
END_TEST

START_TEST(in_bounded_steps) {
	int ended = 0, steps = 0, is_known, now;

	beat("n1");
	beat("n2");
	beat("n3");
	nothing_was_the_matter();
	for (int i = 0; i < 250; i++) {
		char name[16];

		snprintf(name, sizeof(name), "m%d", i);
		enter(i < 150 ? "n2" : "n3", "room", name);
	}
	die("n2");
	die("n3");
	budget = 60;
	do {
		ck_assert_int_eq(sscanf(beat("n1"), "%d %d", &is_known, &now), 2);
		ck_assert_int_le(now, 60);
		ended += now;
		steps++;
	} while (rw_number("ZCARD t:l") > 1);
	ck_assert_int_eq(ended, 250);
	ck_assert_int_ge(steps, 5);
	ck_assert_int_eq(rw_number("ZCARD t:z:room"), 0);
}
END_TEST

/* A node that wakes up while its holds are being ended: those that are still there stay, but it says everything again. */
START_TEST(awake_again_amid_its_end) {
	beat("n1");
	beat("n2");
	nothing_was_the_matter();
	enter("n2", "room", "ann");
	enter("n2", "room", "bob");
	die("n2");
	budget = 1;
	ck_assert_str_eq(beat("n1"), "1 1 n1");
	budget = 0;
	ck_assert_str_eq(beat("n2"), "0 0 n1 n2");
	ck_assert_str_eq(beat("n2"), "1 0 n1 n2");
	budget = 1000;
	ck_assert_str_eq(beat("n1"), "1 0 n1 n2");
	ck_assert_int_eq(is_there("room", "ann") + is_there("room", "bob"), 1);
}
END_TEST

/* Of all nodes at once: it was the server that was away. */
START_TEST(quiet_after_an_outage) {
	uint64_t now;

	beat("n1");
	beat("n2");
	enter("n2", "room", "ann");
	now = rw_now_ms();
	rw_do("HSET t:y last %" PRIu64 " quiet 0", now - LEASE_MS / 2 - 1000);
	die("n1");
	die("n2");
	ck_assert_str_eq(beat("n1"), "1 0 n1");
	ck_assert(is_there("room", "ann"));
	ck_assert_int_ge(strtoll(rw_text("HGET t:y quiet"), NULL, 10), (int64_t)now + LEASE_MS);
	/* It stays so until the time is over, however often somebody beats. */
	ck_assert_str_eq(beat("n1"), "1 0 n1");
	nothing_was_the_matter();
	ck_assert_str_eq(beat("n1"), "1 1 n1");
	ck_assert(!is_there("room", "ann"));
}
END_TEST

START_TEST(quiet_at_first) {
	enter("n2", "room", "ann");
	rw_do("ZADD t:l 1 n2");
	ck_assert_str_eq(beat("n1"), "0 0 n1");
	ck_assert(is_there("room", "ann"));
}
END_TEST

START_TEST(no_quiet_while_somebody_beats) {
	uint64_t now;

	beat("n1");
	beat("n2");
	enter("n2", "room", "ann");
	now = rw_now_ms();
	rw_do("HSET t:y last %" PRIu64 " quiet 0", now - LEASE_MS / 4);
	die("n2");
	ck_assert_str_eq(beat("n1"), "1 1 n1");
	ck_assert(!is_there("room", "ann"));
}
END_TEST

/* In real time. */
START_TEST(leases_end_by_themselves) {
	int is_known, ended = 0;

	lease_ms = 60;
	beat("n2");
	enter("n2", "room", "ann");
	for (int i = 0; ended == 0; i++) {
		ck_assert_int_lt(i, 2000);
		rw_wait_ms(5);
		ck_assert_int_eq(sscanf(beat("n1"), "%d %d", &is_known, &ended), 2);
	}
	ck_assert_int_eq(ended, 1);
	ck_assert_str_eq(beat("n1") + 1, " 0 n1");
	ck_assert(!is_there("room", "ann"));
}
END_TEST

START_TEST(any_bytes) {
	char node[] = "n:\xff 2";

	beat("n1");
	beat(node);
	nothing_was_the_matter();
	enter(node, ":\xc3\xa4:", "m:\xff");
	rw_listen();
	die("unknown");
	rw_do("ZADD t:l 1 %b", node, strlen(node));
	ck_assert_str_eq(beat("n1"), "1 1 n1");
	ck_assert_str_eq(rw_heard(), "-2:m:\xff=info/0");
}
END_TEST

/* Leases do not end because somebody has filled the memory. */
START_TEST(memory_is_full) {
	beat("n1");
	beat("n2");
	nothing_was_the_matter();
	enter("n2", "room", "ann");
	die("n2");
	rw_do("CONFIG SET maxmemory 1");
	ck_assert_str_eq(beat("n1"), "1 1 n1");
	ck_assert_str_eq(beat("n3"), "0 0 n1 n3");
	rw_do("CONFIG SET maxmemory 0");
	ck_assert(!is_there("room", "ann"));
}
END_TEST

START_TEST(another_generation) {
	rw.generation = "G2";
	call_begin(REDIS_SCRIPT_beat, "lyhj");
	ck_assert(slice_starts_with(slice_text(call_end_error()), "STALE "));
}
END_TEST

Suite *suite_redis_beat(void);
Suite *suite_redis_beat(void) {
	Suite *s = suite_create("redis_beat");
	TCase *t = tcase_create("redis_beat");

	tcase_set_timeout(t, 60);
	tcase_add_unchecked_fixture(t, rw_setup, rw_teardown);
	tcase_add_checked_fixture(t, reset, NULL);
	tcase_add_test(t, a_lease);
	tcase_add_test(t, a_dead_node);
	tcase_add_test(t, in_bounded_steps);
	tcase_add_test(t, awake_again_amid_its_end);
	tcase_add_test(t, quiet_after_an_outage);
	tcase_add_test(t, quiet_at_first);
	tcase_add_test(t, no_quiet_while_somebody_beats);
	tcase_add_test(t, leases_end_by_themselves);
	tcase_add_test(t, any_bytes);
	tcase_add_test(t, memory_is_full);
	tcase_add_test(t, another_generation);
	suite_add_tcase(s, t);
	return s;
}
