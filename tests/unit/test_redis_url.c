/* test_redis_url - every form of a server's address, and what is refused without showing a password */
#include <check.h>
#include <stdlib.h>

#include "common/svc/redis_url.h"

static const struct {
	const char *text, *host, *path, *user, *password;
	uint16_t port, database;
	bool is_tls;
	const char *name;
} good[] = {
	{ "redis://127.0.0.1:6379/0", "127.0.0.1", NULL, NULL, NULL, 6379, 0, false, "127.0.0.1:6379/0" },
	{ "redis://redis", "redis", NULL, NULL, NULL, 6379, 0, false, "redis:6379/0" },
	{ "redis://redis/", "redis", NULL, NULL, NULL, 6379, 0, false, "redis:6379/0" },
	{ "redis://redis/3", "redis", NULL, NULL, NULL, 6379, 3, false, "redis:6379/3" },
	{ "redis://redis?db=4", "redis", NULL, NULL, NULL, 6379, 4, false, "redis:6379/4" },
	{ "redis://redis/?db=4", "redis", NULL, NULL, NULL, 6379, 4, false, "redis:6379/4" },
	{ "rediss://cache.example.org:6380/1", "cache.example.org", NULL, NULL, NULL, 6380, 1, true, "cache.example.org:6380/1" },
	{ "REDIS://a_b-c:1", "a_b-c", NULL, NULL, NULL, 1, 0, false, "a_b-c:1/0" },
	{ "redis://ada:secret@h:65535/65535", "h", NULL, "ada", "secret", 65535, 65535, false, "h:65535/65535" },
	{ "redis://:secret@h", "h", NULL, NULL, "secret", 6379, 0, false, "h:6379/0" },
	{ "redis://a%40b:p%3a%2F%25@h", "h", NULL, "a@b", "p:/%", 6379, 0, false, "h:6379/0" },
	{ "redis://:a:b+c@h", "h", NULL, NULL, "a:b+c", 6379, 0, false, "h:6379/0" },
	{ "redis://[::1]", "::1", NULL, NULL, NULL, 6379, 0, false, "[::1]:6379/0" },
	{ "redis://:x@[fe80::1]:7/2", "fe80::1", NULL, NULL, "x", 7, 2, false, "[fe80::1]:7/2" },
	{ "redis:///run/redis.sock", NULL, "/run/redis.sock", NULL, NULL, 0, 0, false, "unix:/run/redis.sock/0" },
	{ "unix:///run/redis.sock?db=2", NULL, "/run/redis.sock", NULL, NULL, 0, 2, false, "unix:/run/redis.sock/2" },
	{ "unix://ada:secret@/run/a%20b", NULL, "/run/a b", "ada", "secret", 0, 0, false, "unix:/run/a b/0" },
};

static void check_text(const char *got, const char *want, const char *of) {
	ck_assert_msg((got == NULL) == (want == NULL) && (got == NULL || strcmp(got, want) == 0), "%s: %s", of,
	    got != NULL ? got : "none");
}

START_TEST(every_form_is_read) {
	struct redis_url u;
	struct errbuf e = { "" };
	char name[300];

	ck_assert_msg(redis_url_parse(slice_text(good[_i].text), &u, &e), "%s: %s", good[_i].text, e.text);
	check_text(u.host, good[_i].host, good[_i].text);
	check_text(u.path, good[_i].path, good[_i].text);
	check_text(u.user, good[_i].user, good[_i].text);
	check_text(u.password, good[_i].password, good[_i].text);
	ck_assert_uint_eq(u.port, good[_i].port);
	ck_assert_uint_eq(u.database, good[_i].database);
	ck_assert_int_eq(u.is_tls, good[_i].is_tls);
	ck_assert_uint_eq(redis_url_name(&u, name, sizeof(name)), strlen(good[_i].name));
	ck_assert_str_eq(name, good[_i].name);
	ck_assert_uint_eq(redis_url_name(&u, name, 4), 3);
	ck_assert_uint_eq(strlen(name), 3);
	redis_url_fini(&u);
	redis_url_fini(&u);
}
END_TEST

static const struct {
	const char *text, *why;
} bad[] = {
	{ "", "want redis://" },
	{ "h:6379", "want redis://" },
	{ "redis:/h", "want redis://" },
	{ "http://:secret@h", "begins with none of" },
	{ "redis://", "host is missing" },
	{ "redis://:6379", "host is missing" },
	{ "redis://a b", "no name and no address" },
	{ "redis://a,b", "no name and no address" },
	{ "redis://h:", "port is none" },
	{ "redis://h:0", "port is none" },
	{ "redis://h:65536", "port is none" },
	{ "redis://h:secret", "port is none" },
	{ "redis://[::1", "no IPv6 address" },
	{ "redis://[h]", "no IPv6 address" },
	{ "redis://[::1]6379", "only a port may follow" },
	{ "redis://h/x", "database is no number" },
	{ "redis://h/65536", "database is no number" },
	{ "redis://h/1/2", "database is no number" },
	{ "redis://h/1?db=1", "stands there twice" },
	{ "redis://h?timeout=1", "only db=NUMBER" },
	{ "redis://h?db=", "only db=NUMBER" },
	{ "redis://secret@h", "before @ stands" },
	{ "redis://ada:@h", "before @ stands" },
	{ "redis://:secret%@h", "not well percent-encoded" },
	{ "redis://:secret%00@h", "not well percent-encoded" },
	{ "redis://secret%zz:x@h", "not well percent-encoded" },
	{ "redis://:secret/x@h", "host is missing" },
	{ "redis://ada:secret/x@h", "port is none" },
	{ "unix://h/run/redis.sock", "has no host" },
	{ "unix:///", "path has 2 to 107 bytes" },
	{ "rediss:///run/redis.sock", "host is missing" },
};

START_TEST(bad_ones_are_refused_without_their_password) {
	struct redis_url u;
	struct errbuf e = { "" };

	ck_assert_msg(!redis_url_parse(slice_text(bad[_i].text), &u, &e), "%s", bad[_i].text);
	ck_assert_msg(strstr(e.text, bad[_i].why) != NULL, "%s: %s", bad[_i].text, e.text);
	ck_assert_ptr_null(strstr(e.text, "secret"));
	redis_url_fini(&u);
}
END_TEST

START_TEST(what_is_long_is_refused) {
	static const char *const before[] = { "redis://", "redis:///", "redis://:" };
	static const char *const behind[] = { "", "", "@h" };

	for (size_t i = 0; i < ARRAY_LEN(before); i++) {
		struct redis_url u;
		struct errbuf e = { "" };
		char text[2048], filler[1200];

		memset(filler, 'a', sizeof(filler) - 1);
		filler[sizeof(filler) - 1] = '\0';
		snprintf(text, sizeof(text), "%s%s%s", before[i], filler, behind[i]);
		ck_assert_msg(!redis_url_parse(slice_text(text), &u, &e), "%s...", before[i]);
		ck_assert_str_ne(e.text, "");
	}
}
END_TEST

START_TEST(sentinels_are_a_host_and_a_port) {
	struct errbuf e;
	uint16_t port;
	char *host;

	ck_assert(redis_url_parse_host(slice_text("one.example:26380"), 26379, &host, &port, &e));
	ck_assert_str_eq(host, "one.example");
	ck_assert_uint_eq(port, 26380);
	free(host);
	ck_assert(redis_url_parse_host(slice_text("[::1]"), 26379, &host, &port, &e));
	ck_assert_str_eq(host, "::1");
	ck_assert_uint_eq(port, 26379);
	free(host);
	ck_assert(!redis_url_parse_host(slice_text("redis://one"), 26379, &host, &port, &e));
	ck_assert(!redis_url_parse_host(slice_text(""), 26379, &host, &port, &e));
}
END_TEST

Suite *suite_redis_url(void);
Suite *suite_redis_url(void) {
	Suite *s = suite_create("redis_url");
	TCase *t = tcase_create("redis_url");

	tcase_add_loop_test(t, every_form_is_read, 0, (int)ARRAY_LEN(good));
	tcase_add_loop_test(t, bad_ones_are_refused_without_their_password, 0, (int)ARRAY_LEN(bad));
	tcase_add_test(t, what_is_long_is_refused);
	tcase_add_test(t, sentinels_are_a_host_and_a_port);
	suite_add_tcase(s, t);
	return s;
}
