/* test_redis_info - servers that may be used and that may not, what they prove; kinds of errors; waiting */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/redis/redis_backoff.h"
#include "broker/redis/redis_info.h"
#include "broker/redis/redis_trouble.h"

#define GOOD "# Server\r\nredis_version:7.0.15\r\nloading:0\r\naof_enabled:1\r\nrole:master\r\nmaster_replid:abc\r\n"
#define NEVER "master_replid2:0000000000000000000000000000000000000000\r\n"

static const struct {
	const char *text, *why;	/* NULL: it may be used */
	bool was_replica, has_log, is_evicting;
} infos[] = {
	{ GOOD NEVER "maxmemory_policy:noeviction\r\n", NULL, false, true, false },
	{ GOOD "master_replid2:0001\r\n", NULL, true, true, false },
	{ GOOD, NULL, true, true, false },
	{ GOOD NEVER "aof_enabled:0\nmaxmemory_policy:allkeys-lru\n", NULL, false, false, true },
	{ GOOD NEVER "redis_version:10.1", NULL, false, true, false },
	{ GOOD NEVER "role:slave\r\n", "it is a replica", false, false, false },
	{ GOOD NEVER "loading:1\r\n", "it is loading its data", false, false, false },
	{ GOOD NEVER "redis_version:6.2.14\r\n", "it says that its version is \"6.2.14\", but 7.0 or newer is wanted", false, false, false },
	{ GOOD NEVER "redis_version:x\r\n", "version is \"x\"", false, false, false },
	{ GOOD NEVER "master_replid:\r\n", "does not say its replication id", false, false, false },
	{ "redis_version:7.0.15\r\nmaster_replid:abc\r\n", "it is a replica", false, false, false },
	{ "", "version is \"\"", false, false, false },
	{ "\n\n:\n::\nredis_version", "version is \"\"", false, false, false },
};

START_TEST(what_a_server_says_decides) {
	struct redis_info info;
	struct errbuf e = { "" };
	bool may = redis_info_read(slice_text(infos[_i].text), &info, &e);

	ck_assert_msg(may == (infos[_i].why == NULL), "%s", e.text);
	if (!may) {
		ck_assert_msg(strstr(e.text, infos[_i].why) != NULL, "%s", e.text);
		return;
	}
	ck_assert(slice_eq_text(info.replication_id, "abc"));
	ck_assert_int_eq(info.was_replica, infos[_i].was_replica);
	ck_assert_int_eq(info.has_log, infos[_i].has_log);
	ck_assert_int_eq(redis_info_is_evicting(&info), infos[_i].is_evicting);
}
END_TEST

static const struct {
	const char *text;
	enum redis_error kind;
	enum redis_remedy remedy;
} errors[] = {
	{ "NOSCRIPT No matching script. Please use EVAL.", REDIS_ERROR_NOSCRIPT, REDIS_LOAD },
	{ "STALE the generation is another one", REDIS_ERROR_STALE, REDIS_CHECK },
	{ "READONLY You can't write against a read only replica.", REDIS_ERROR_READONLY, REDIS_LEAVE },
	{ "LOADING Redis is loading the dataset in memory", REDIS_ERROR_LOADING, REDIS_LEAVE },
	{ "MASTERDOWN Link with MASTER is down", REDIS_ERROR_MASTERDOWN, REDIS_LEAVE },
	{ "OOM command not allowed when used memory > 'maxmemory'.", REDIS_ERROR_OOM, REDIS_KEEP },
	{ "MISCONF Errors writing to the AOF file", REDIS_ERROR_MISCONF, REDIS_KEEP },
	{ "BUSY Redis is busy running a script.", REDIS_ERROR_BUSY, REDIS_KEEP },
	{ "NOPERM this user has no permissions", REDIS_ERROR_NOPERM, REDIS_KEEP },
	{ "WRONGTYPE Operation against a key", REDIS_ERROR_ERR, REDIS_KEEP },
	{ "ERR something", REDIS_ERROR_ERR, REDIS_KEEP },
	{ "OOM", REDIS_ERROR_OOM, REDIS_KEEP },
	{ "", REDIS_ERROR_ERR, REDIS_KEEP },
};

START_TEST(errors_have_a_kind_and_a_remedy) {
	ck_assert_int_eq(redis_error_of(slice_text(errors[_i].text)), errors[_i].kind);
	ck_assert_int_eq(redis_error_remedy(errors[_i].kind), errors[_i].remedy);
}
END_TEST

static void refuse(struct redis_trouble *t, enum redis_script script, const char *text, uint64_t now_ms) {
	redis_trouble_refused(t, script, slice_text(text), "127.0.0.1:6379", now_ms);
}

START_TEST(a_kind_is_over_when_its_script_works) {
	struct redis_trouble t = { 0 };

	refuse(&t, REDIS_SCRIPT_publish, "OOM x", 1000);
	refuse(&t, REDIS_SCRIPT_publish, "OOM y", 1001);
	refuse(&t, REDIS_SCRIPT_enter, "MISCONF z", 1002);
	ck_assert_uint_eq(t.open, 2);
	ck_assert_uint_eq(t.kind[REDIS_ERROR_OOM].count, 2);
	ck_assert_str_eq(t.text, "MISCONF z");
	redis_trouble_done(&t, REDIS_SCRIPT_read, "", 1003);
	ck_assert_uint_eq(t.open, 2);
	redis_trouble_done(&t, REDIS_SCRIPT_publish, "", 1004);
	ck_assert_uint_eq(t.open, 1);
	ck_assert_uint_eq(t.kind[REDIS_ERROR_OOM].count, 0);
	redis_trouble_done(&t, REDIS_SCRIPT_read, "", 11002);
	ck_assert_uint_eq(t.open, 1);
	redis_trouble_done(&t, REDIS_SCRIPT_read, "", 11003);
	ck_assert_uint_eq(t.open, 0);
	refuse(&t, REDIS_SCRIPT_publish, "OOM x", 20000);
	redis_trouble_forget(&t);
	ck_assert_uint_eq(t.open, 0);
}
END_TEST

static int count_lines(FILE *file, const char *words) {
	char line[1024];
	int count = 0;

	rewind(file);
	while (fgets(line, sizeof(line), file) != NULL)
		count += strstr(line, words) != NULL;
	return count;
}

/* One channel whose key is not ours among others, or a memory that is about full: every other call is refused. */
START_TEST(what_comes_and_goes_is_not_logged_each_time) {
	struct redis_trouble t = { 0 };
	FILE *file = tmpfile();

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
	for (uint64_t i = 0; i < 100; i++) {
		refuse(&t, REDIS_SCRIPT_publish, "OOM x", 1000 + i);
		ck_assert_uint_eq(t.open, 1);
		redis_trouble_done(&t, REDIS_SCRIPT_publish, "", 1000 + i);
		ck_assert_uint_eq(t.open, 0);
	}
	ck_assert_int_eq(count_lines(file, "Redis refuses calls"), 1);
	ck_assert_int_eq(count_lines(file, "Redis takes calls again"), 1);
	/* What lasts then is said all the same. */
	for (uint64_t i = 0; i < 100; i++)
		refuse(&t, REDIS_SCRIPT_publish, "OOM x", 2000 + 100 * i);
	ck_assert_int_eq(count_lines(file, "Redis refuses calls"), 2);
	redis_trouble_done(&t, REDIS_SCRIPT_publish, "", 13000);
	ck_assert_int_eq(count_lines(file, "error=OOM refused=100"), 1);
	fclose(file);
}
END_TEST

START_TEST(a_long_error_is_cut) {
	struct redis_trouble t = { 0 };
	char text[1000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	refuse(&t, REDIS_SCRIPT_publish, text, 1);
	ck_assert_uint_eq(strlen(t.text), sizeof(t.text) - 1);
}
END_TEST

START_TEST(waiting_doubles_up_to_two_seconds) {
	struct redis_backoff b = { 0 }, shorter = { .most_ms = 250 };
	static const uint64_t means[] = { 50, 100, 200, 400, 800, 1600, 2000, 2000 };

	for (size_t i = 0; i < ARRAY_LEN(means); i++) {
		uint64_t ms = redis_backoff_next(&b);

		ck_assert_uint_ge(ms, means[i] / 2);
		ck_assert_uint_le(ms, means[i] * 3 / 2);
		ck_assert_uint_le(redis_backoff_next(&shorter), 375);
	}
}
END_TEST

Suite *suite_redis_info(void);
Suite *suite_redis_info(void) {
	Suite *s = suite_create("redis_info");
	TCase *t = tcase_create("redis_info");

	tcase_add_loop_test(t, what_a_server_says_decides, 0, (int)ARRAY_LEN(infos));
	tcase_add_loop_test(t, errors_have_a_kind_and_a_remedy, 0, (int)ARRAY_LEN(errors));
	tcase_add_test(t, a_kind_is_over_when_its_script_works);
	tcase_add_test(t, what_comes_and_goes_is_not_logged_each_time);
	tcase_add_test(t, a_long_error_is_cut);
	tcase_add_test(t, waiting_doubles_up_to_two_seconds);
	suite_add_tcase(s, t);
	return s;
}
