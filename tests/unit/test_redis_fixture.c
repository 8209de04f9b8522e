/* test_redis_fixture - a server starts, keeps its port over a restart, and leaves nothing behind */
#include <check.h>
#include <signal.h>
#include <unistd.h>

#include "tests/unit/redis_fixture.h"

static struct redis_fixture redis;

static void setup(void) {
	redis_fixture_init(&redis);
}

static void teardown(void) {
	redis_fixture_fini(&redis);
}

START_TEST(what_is_kept_is_there_after_a_restart) {
	redisReply *reply;

	memcpy(redis.option, ((const char *[]){ "--appendonly", "yes", "--appendfsync", "always", NULL }), 5 * sizeof(char *));
	redis_fixture_start(&redis);
	redis_fixture_do(&redis, "SET %s %b", "name", "a\0b", (size_t)3);
	redis_fixture_kill(&redis);
	redis_fixture_start(&redis);
	reply = redis_fixture_ask(&redis, "GET name");
	ck_assert(slice_eq(slice_of(reply->str, reply->len), slice_of("a\0b", 3)));
	freeReplyObject(reply);
}
END_TEST

START_TEST(nothing_is_left_behind) {
	char folder[REDIS_FIXTURE_PATH];
	pid_t pid;

	redis_fixture_start(&redis);
	pid = redis.pid;
	memcpy(folder, redis.folder, sizeof(folder));
	redis_fixture_pause(&redis, true);
	redis_fixture_pause(&redis, false);
	redis_fixture_do(&redis, "PING");
	redis_fixture_fini(&redis);
	ck_assert_int_ne(access(folder, F_OK), 0);
	ck_assert_int_ne(kill(pid, 0), 0);
}
END_TEST

Suite *suite_redis_fixture(void);
Suite *suite_redis_fixture(void) {
	Suite *s = suite_create("redis_fixture");
	TCase *t = tcase_create("redis_fixture");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_is_kept_is_there_after_a_restart);
	tcase_add_test(t, nothing_is_left_behind);
	suite_add_tcase(s, t);
	return s;
}
