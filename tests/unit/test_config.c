/* test_config - every option: default, range, unit, list, environment, lines */
#include <check.h>
#include <stdlib.h>

#include "common/svc/config.h"
#include "common/svc/config_option.h"

static struct config config;
static struct errbuf err;

static void setup(void) {
	config_init(&config);
	err.text[0] = '\0';
}

static void teardown(void) {
	config_fini(&config);
}

static bool set(const char *name, const char *value) {
	return config_set(&config, slice_text(name), slice_text(value), &err);
}

START_TEST(defaults_are_those_of_the_table) {
	ck_assert_uint_eq(config.listen.count, 1);
	ck_assert_str_eq(config.listen.item[0], "0.0.0.0:8080");
	ck_assert_int_eq(config.workers, 0);
	ck_assert_int_eq(config.log_format, 0);
	ck_assert_int_eq(config.max_message_bytes, 1048576);
	ck_assert_str_eq(config.echo_prefix, "");
	ck_assert_uint_eq(config.system_users.count, 0);
	ck_assert(config_check(&config, &err));
}
END_TEST

START_TEST(every_integer_keeps_its_range) {
	size_t count;
	const struct config_option *o = config_options(&count);

	for (size_t i = 0; i < count; i++) {
		const int64_t *value = config_value(&config, &o[i]);
		char text[32];

		if (o[i].type != OPTION_IS_INT)
			continue;
		snprintf(text, sizeof(text), "%lld", (long long)o[i].min);
		ck_assert_msg(set(o[i].name, text) && *value == o[i].min, "%s=%s", o[i].name, text);
		snprintf(text, sizeof(text), "%lld", (long long)o[i].max);
		ck_assert_msg(set(o[i].name, text) && *value == o[i].max, "%s=%s", o[i].name, text);
		snprintf(text, sizeof(text), "%lld", (long long)o[i].max + 1);
		ck_assert_msg(!set(o[i].name, text), "%s=%s", o[i].name, text);
		ck_assert_ptr_nonnull(strstr(err.text, o[i].name));
		snprintf(text, sizeof(text), "%lld", (long long)o[i].min - 1);
		ck_assert_msg(!set(o[i].name, text), "%s=%s", o[i].name, text);
		ck_assert_msg(*value == o[i].max, "%s: the old value stays", o[i].name);
	}
}
END_TEST

static const struct {
	const char *name, *value;
	int64_t want;	/* -1: refused */
} numbers[] = {
	{ "max_message_bytes", "64k", 65536 },
	{ "max_message_bytes", "64K", 65536 },
	{ "max_message_bytes", "64m", 67108864 },
	{ "max_message_bytes", "65m", -1 },
	{ "history_total_bytes", "1g", 1073741824 },
	{ "history_total_bytes", "18014398509481984k", -1 },
	{ "max_message_bytes", "k", -1 },
	{ "max_message_bytes", "1kk", -1 },
	{ "workers", "1k", -1 },
	{ "workers", "", -1 },
	{ "workers", " 1", -1 },
	{ "workers", "+1", -1 },
	{ "workers", "1.5", -1 },
	{ "workers", "0x10", -1 },
	{ "workers", "99999999999999999999999", -1 },
};

START_TEST(numbers_and_units) {
	size_t count;
	const struct config_option *o = config_options(&count);
	bool is_taken = set(numbers[_i].name, numbers[_i].value);

	ck_assert_msg(is_taken == (numbers[_i].want >= 0), "%s=%s", numbers[_i].name, numbers[_i].value);
	for (size_t i = 0; is_taken && i < count; i++) {
		if (strcmp(o[i].name, numbers[_i].name) == 0)
			ck_assert_int_eq(*(const int64_t *)config_value(&config, &o[i]), numbers[_i].want);
	}
}
END_TEST

START_TEST(refusals_say_what_is_allowed) {
	ck_assert(!set("workers", "999"));
	ck_assert_str_eq(err.text, "workers: \"999\" is not allowed, but 0 to 256");
	ck_assert(!set("log_level", "loud"));
	ck_assert_str_eq(err.text, "log_level: \"loud\" is not allowed, but one of error, warn, info, debug");
	ck_assert(!set("chat_message_bytes", "1"));
	ck_assert_str_eq(err.text,
	    "chat_message_bytes: \"1\" is not allowed, but 256 to 1048576 bytes (k, m or g may follow the number)");
	ck_assert(!set("echo_prefix", "a\nb"));
	ck_assert_str_eq(err.text, "echo_prefix: this value is not allowed, but text in UTF-8 without control characters");
	ck_assert(!set("echo_prefix", "\xff"));
	ck_assert(!set("wrokers", "1"));
	ck_assert_str_eq(err.text, "there is no option \"wrokers\" (--help lists them)");
}
END_TEST

START_TEST(enums_are_positions) {
	ck_assert(set("locale", "de"));
	ck_assert_int_eq(config.locale, LOCALE_DE);
	ck_assert(!set("locale", "d"));
	ck_assert(!set("locale", "en|de"));
	ck_assert(!set("locale", ""));
	ck_assert_int_eq(config.locale, LOCALE_DE);
}
END_TEST

START_TEST(lists_are_split_and_trimmed) {
	ck_assert(set("listen", "127.0.0.1:1, [::1]:2 ,unix:/tmp/x"));
	ck_assert_uint_eq(config.listen.count, 3);
	ck_assert_str_eq(config.listen.item[1], "[::1]:2");
	ck_assert_str_eq(config.listen.item[2], "unix:/tmp/x");
	ck_assert(!set("listen", "a,,b"));
	ck_assert(!set("listen", "a,"));
	ck_assert(!set("listen", ",a"));
	ck_assert(!set("listen", " "));
	ck_assert_uint_eq(config.listen.count, 3);
	ck_assert(set("system_users", "u1"));
	ck_assert(set("system_users", ""));
	ck_assert_uint_eq(config.system_users.count, 0);
}
END_TEST

START_TEST(addresses_are_checked) {
	ck_assert(!set("admin_listen", ""));
	ck_assert_str_eq(err.text, "admin_listen: 0 addresses are not allowed, but 1 to 16");
	ck_assert(!set("admin_listen", "127.0.0.1:80,localhost:80"));
	ck_assert_ptr_nonnull(strstr(err.text, "admin_listen: \"localhost:80\" is no address (names are not looked up)"));
	ck_assert_str_eq(config.admin_listen.item[0], "127.0.0.1:8081");
	ck_assert_uint_eq(config.admin_listen.count, 1);
}
END_TEST

START_TEST(proxies_are_checked) {
	ck_assert(set("listen", "127.0.0.1:1,127.0.0.1:2 proxy_protocol,unix:/tmp/x proxy_protocol"));
	ck_assert(!config_check(&config, &err));
	ck_assert_str_eq(err.text, "\"127.0.0.1:2 proxy_protocol\": nobody may come there, because trusted_proxies is empty");
	ck_assert(set("trusted_proxies", "10.0.0.0/8, unix"));
	ck_assert_uint_eq(config.trusted_proxies.count, 2);
	ck_assert(config_check(&config, &err));
	ck_assert(!set("trusted_proxies", "10.0.0.0/8,proxy.example.com"));
	ck_assert_str_eq(err.text, "trusted_proxies: \"proxy.example.com\" is no address or network: want IPV4, IPV4/BITS, IPV6, IPV6/BITS or unix");
	ck_assert_uint_eq(config.trusted_proxies.count, 2);
	ck_assert(!set("listen", "127.0.0.1:1 proxy"));
	ck_assert(!set("listen", " proxy_protocol"));
	ck_assert(!set("admin_listen", "127.0.0.1:1 proxy_protocol"));
	ck_assert_str_eq(err.text, "admin_listen: the PROXY protocol is not spoken here");
}
END_TEST

START_TEST(combinations_are_checked) {
	ck_assert(config_check(&config, &err));
	ck_assert(set("history_total_bytes", "1m") && set("history_bytes", "2m"));
	ck_assert(!config_check(&config, &err));
	ck_assert_str_eq(err.text, "history_bytes (2097152) is more than history_total_bytes (1048576): lower the one or raise the other");
	ck_assert(set("history_total_bytes", "4m") && set("link_queue_bytes", "8m"));
	ck_assert(!config_check(&config, &err));
	ck_assert_str_eq(err.text, "link_queue_bytes (8388608) is less than 13631488, four times the largest message of the link: raise it, "
	    "or lower max_message_bytes (1048576) or history_bytes (2097152)");
}
END_TEST

static const struct {
	const char *url, *sentinels, *why;	/* NULL: allowed */
} redis[] = {
	{ "redis://a,redis://a:6380,unix:///run/redis.sock", "", NULL },
	{ "redis://:secret@a/2", "one:26379,[::1]:1,two", NULL },
	{ "", "", "redis_url: 0 are not allowed, but 1 to 64" },
	{ "redis://a,http://:secret@b", "", "redis_url: number 2 is not allowed: it begins with none of redis://, rediss://, unix://" },
	{ "redis://a,redis://:secret@a:6379", "", "redis_url: a:6379/0 stands there twice" },
	{ "redis://a", "one,redis://two", "redis_sentinels: \"redis://two\" is not allowed: the port is none, 1 to 65535" },
	{ "redis://a,redis://b", "one", "redis_url: 2 are not allowed beside redis_sentinels, who know one master" },
};

START_TEST(redis_is_checked_where_it_is_used) {
	ck_assert(set("redis_url", redis[_i].url));
	ck_assert(set("redis_sentinels", redis[_i].sentinels));
	ck_assert(config_check(&config, &err));
	ck_assert(set("engine", "redis"));
	ck_assert_int_eq(config_check(&config, &err), redis[_i].why == NULL);
	if (redis[_i].why != NULL)
		ck_assert_str_eq(err.text, redis[_i].why);
}
END_TEST

static void expect_refused(const char *why) {
	ck_assert(!config_check(&config, &err));
	ck_assert_str_eq(err.text, why);
}

START_TEST(auth_needs_its_files) {
	ck_assert(set("auth", "token"));
	expect_refused("auth: \"token\" is not allowed without a token_file");
	ck_assert(set("token_file", "/tokens.json") && config_check(&config, &err) && set("auth", "jwt"));
	expect_refused("auth: \"jwt\" is not allowed without a jwt_key or jwt_key_set");
	ck_assert(set("jwt_key", "/a,/b"));
	expect_refused("jwt_algorithm: 0 are not allowed, but as many as jwt_key has files (2)");
	ck_assert(set("jwt_algorithm", "RS256,HS256") && config_check(&config, &err) && set("jwt_key_id", "a"));
	expect_refused("jwt_key_id: 1 are not allowed, but none, or as many as jwt_key has files (2)");
	ck_assert(set("jwt_key_id", "a,b") && config_check(&config, &err));
}
END_TEST

START_TEST(what_a_reload_may_change_is_exchanged) {
	struct config other;

	config_init(&other);
	ck_assert(set("token_file", "/a") && set("jwt_key", "/b,/c") && set("log_level", "debug") && set("workers", "7"));
	config_swap_reloadable(&config, &other);
	ck_assert_str_eq(other.token_file, "/a");
	ck_assert_str_eq(other.jwt_key.item[1], "/c");
	ck_assert_str_eq(config.token_file, "");
	ck_assert_uint_eq(config.jwt_key.count, 0);
	ck_assert_int_ne(other.log_level, config.log_level);
	ck_assert_int_eq(config.workers, 7);
	ck_assert_int_eq(other.workers, 0);
	config_fini(&other);
}
END_TEST

static const struct {
	const char *name, *value, *why;
} redis_limits[] = {
	{ "redis_wait_ms", "199", NULL },
	{ "redis_wait_ms", "5000", "redis_wait_ms (5000) is not less than broker_timeout_ms (5000), by which the asker has given up: lower the "
	    "one or raise the other" },
	{ "redis_queue_bytes", "1m", "redis_queue_bytes (1048576) is less than twice max_message_bytes (1048576): raise the one or lower the "
	    "other" },
};

START_TEST(memory_for_clients_is_not_too_little) {
	ck_assert(set("memory_bytes", "33554431"));
	ck_assert(!config_check(&config, &err));
	ck_assert_str_eq(err.text, "memory_bytes: 33554431 is not allowed, but 0, or at least 33554432");
	ck_assert(set("memory_bytes", "32m"));
	ck_assert(config_check(&config, &err));
	ck_assert(set("memory_bytes", "0"));
	ck_assert(config_check(&config, &err));
}
END_TEST

START_TEST(limits_of_redis_fit_together) {
	const char *why = redis_limits[_i].why;

	/* The clock of the queue moves on every 100 ms. */
	ck_assert_int_eq(set(redis_limits[_i].name, redis_limits[_i].value), why != NULL);
	if (why == NULL)
		return;
	ck_assert(config_check(&config, &err));
	ck_assert(set("engine", "redis"));
	ck_assert(!config_check(&config, &err));
	ck_assert_str_eq(err.text, why);
}
END_TEST

START_TEST(environment_names_options) {
	char *good[] = { (char[]){ "PATH=/bin" }, (char[]){ "HEROLD_WORKERS=3" }, (char[]){ "HEROLD_ECHO_PREFIX=a=b" }, (char[]){ "HEROLDX=1" }, NULL };
	char *bad[] = { (char[]){ "HEROLD_WORKERS=many" }, NULL };

	ck_assert(config_set_environment(&config, good, &err));
	ck_assert_int_eq(config.workers, 3);
	ck_assert_str_eq(config.echo_prefix, "a=b");
	ck_assert(!config_set_environment(&config, bad, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "\"many\" is not allowed"));
}
END_TEST

/* As Kubernetes sets them for a service named herold. */
START_TEST(unknown_variables_are_left_alone_and_named) {
	char *environment[] = { (char[]){ "HEROLD_PORT=tcp://10.0.0.1:8080" }, (char[]){ "HEROLD_WORKERS=3" }, (char[]){ "PATH=/bin" },
		(char[]){ "HEROLD_SERVICE_HOST=10.0.0.1" }, (char[]){ "HEROLD_" },
		(char[]){ "HEROLD_PORT_8080_TCP_OF_A_NAME_THAT_IS_LONGER_THAN_ALL_THE_OPTIONS_OF_THE_PROGRAM=" }, NULL };
	struct buf names;

	buf_init(&names, 4096);
	ck_assert(config_set_environment(&config, environment, &err));
	ck_assert_int_eq(config.workers, 3);
	config_add_unknown_variables(environment, &names);
	ck_assert(slice_eq_text(buf_slice(&names), "HEROLD_PORT,HEROLD_SERVICE_HOST,HEROLD_,"
	    "HEROLD_PORT_8080_TCP_OF_A_NAME_THAT_IS_LONGER_THAN_ALL_THE_OPTIONS_OF_THE_PROGRAM"));
	buf_fini(&names);
}
END_TEST

START_TEST(lines_carry_everything) {
	struct buf lines, again;
	struct config copy;

	buf_init(&lines, 65536);
	buf_init(&again, 65536);
	ck_assert(set("echo_prefix", "= \"x\", y\\ \xc3\xa4") && set("system_users", "a,b") && set("workers", "7"));
	config_write_lines(&config, &lines);
	config_init(&copy);
	ck_assert(config_read_lines(&copy, buf_slice(&lines), &err));
	config_write_lines(&copy, &again);
	ck_assert(slice_eq(buf_slice(&lines), buf_slice(&again)));
	ck_assert_str_eq(copy.echo_prefix, config.echo_prefix);
	ck_assert(!config_read_lines(&copy, slice_text("workers=1\nnothing\n"), &err));
	config_fini(&copy);
	buf_fini(&lines);
	buf_fini(&again);
}
END_TEST

START_TEST(changes_are_named) {
	struct config other;
	struct buf out;

	config_init(&other);
	buf_init(&out, 1000);
	ck_assert(set("workers", "2") && set("log_level", "debug") && set("locale", "de"));
	config_add_changes(&config, &other, true, &out);
	ck_assert(slice_eq_text(buf_slice(&out), "log_level"));
	buf_reset(&out);
	config_add_changes(&config, &other, false, &out);
	ck_assert(slice_eq_text(buf_slice(&out), "workers,locale"));
	buf_fini(&out);
	config_fini(&other);
}
END_TEST

START_TEST(pages_name_every_option) {
	size_t count;
	const struct config_option *o = config_options(&count);
	void (*const pages[])(struct buf *) = { config_print_help, config_print_reference };
	struct buf out;

	buf_init(&out, 1 << 20);
	for (size_t p = 0; p <= ARRAY_LEN(pages); p++) {
		buf_reset(&out);
		if (p < ARRAY_LEN(pages))
			pages[p](&out);
		else
			config_print(&config, &out);
		buf_add_u8(&out, 0);
		for (size_t i = 0; i < count; i++)
			ck_assert_msg(strstr((char *)out.data, o[i].name) != NULL, "%s", o[i].name);
	}
	ck_assert_ptr_nonnull(strstr((char *)out.data, "  \"listen\": [\"0.0.0.0:8080\"],\n"));
	buf_fini(&out);
}
END_TEST

Suite *suite_config(void);
Suite *suite_config(void) {
	Suite *s = suite_create("config");
	TCase *t = tcase_create("config");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, defaults_are_those_of_the_table);
	tcase_add_test(t, every_integer_keeps_its_range);
	tcase_add_loop_test(t, numbers_and_units, 0, (int)ARRAY_LEN(numbers));
	tcase_add_test(t, refusals_say_what_is_allowed);
	tcase_add_test(t, enums_are_positions);
	tcase_add_test(t, lists_are_split_and_trimmed);
	tcase_add_test(t, addresses_are_checked);
	tcase_add_test(t, proxies_are_checked);
	tcase_add_test(t, combinations_are_checked);
	tcase_add_loop_test(t, redis_is_checked_where_it_is_used, 0, (int)ARRAY_LEN(redis));
	tcase_add_test(t, auth_needs_its_files);
	tcase_add_test(t, what_a_reload_may_change_is_exchanged);
	tcase_add_test(t, memory_for_clients_is_not_too_little);
	tcase_add_loop_test(t, limits_of_redis_fit_together, 0, (int)ARRAY_LEN(redis_limits));
	tcase_add_test(t, environment_names_options);
	tcase_add_test(t, unknown_variables_are_left_alone_and_named);
	tcase_add_test(t, lines_carry_everything);
	tcase_add_test(t, changes_are_named);
	tcase_add_test(t, pages_name_every_option);
	suite_add_tcase(s, t);
	return s;
}
