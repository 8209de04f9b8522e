/* test_redis_server - a shard's two links with a real server: up, down, heard, and what its errors mean */
#include <check.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/redis_link.h"

static struct redis_fixture redis;
static struct redis_link shard;

static void setup(void) {
	redis_fixture_init(&redis);
	redis_link_init(&shard, redis.port);
}

static void teardown(void) {
	redis_link_fini(&shard);
	redis_fixture_fini(&redis);
}

static void start_both(void) {
	redis_fixture_start(&redis);
	redis_link_start(&shard);
	ck_assert(!redis_server_is_up(shard.server));
	redis_link_until(&shard, redis_link_is_ready);
}

static bool has_outcome(const struct redis_link *k) {
	return k->done + k->refused + k->lost > 0;
}

/* One call, to its outcome. */
static void call(void (*how)(struct redis_link *k)) {
	shard.done = shard.refused = shard.lost = 0;
	how(&shard);
	ck_assert(!has_outcome(&shard));
	redis_link_until(&shard, has_outcome);
	ck_assert_int_eq(shard.done + shard.refused + shard.lost, 1);
}

/* Until calls are done again. */
static void call_until_done(void (*how)(struct redis_link *k)) {
	for (int i = 0; i < 1000; i++) {
		call(how);
		if (shard.done == 1)
			return;
		redis_link_run(&shard, 5);
	}
	ck_abort_msg("calls are not done again");
}

static void option(const char *const *options, size_t count) {
	for (size_t i = 0; i < count; i++)
		redis.option[i] = options[i];
}

START_TEST(it_comes_up_and_calls_are_done) {
	char address[32];

	start_both();
	snprintf(address, sizeof(address), "127.0.0.1:%u", redis.port);
	ck_assert(slice_eq_text(redis_server_address(shard.server), address));
	ck_assert_str_eq(shard.order, "ul");
	ck_assert_uint_eq(strlen(shard.generation), 8);
	ck_assert_ptr_null(redis_server_trouble(shard.server));
	call(redis_link_call);
	ck_assert_int_eq(shard.done, 1);
	call(redis_link_call_writing);
	ck_assert_int_eq(shard.done, 1);
	ck_assert_uint_eq(redis_link_stat(STAT_redis_servers), 1);
	ck_assert_uint_eq(redis_link_stat(STAT_redis_up), 1);
	ck_assert_uint_eq(redis_link_stat(STAT_redis_listening), 1);
	ck_assert_uint_eq(redis_link_stat(STAT_redis_calls), 2);
	ck_assert_uint_eq(redis_link_stat(STAT_redis_connects), 2);
	ck_assert_uint_eq(redis_link_stat(STAT_redis_generations), 0);
}
END_TEST

START_TEST(it_has_two_connections_with_names) {
	redisReply *reply;
	int ours = 0;

	start_both();
	redis_link_run(&shard, 300);
	reply = redis_fixture_ask(&redis, "CLIENT LIST");
	for (const char *at = reply->str; (at = strstr(at, " name=herold:node1:")) != NULL; at++)
		ours++;
	ck_assert_int_eq(ours, 2);
	ck_assert_ptr_nonnull(strstr(reply->str, " name=herold:node1:commands "));
	ck_assert_ptr_nonnull(strstr(reply->str, " name=herold:node1:listener "));
	freeReplyObject(reply);
}
END_TEST

START_TEST(nobody_there_is_said_until_somebody_is) {
	redis_link_start(&shard);
	ck_assert_ptr_nonnull(strstr(redis_server_trouble(shard.server), "it is being connected to"));
	redis_link_run(&shard, 200);
	ck_assert_ptr_nonnull(strstr(redis_server_trouble(shard.server), "cannot be used: Connection refused"));
	redis_fixture_start(&redis);
	redis_link_until(&shard, redis_link_is_ready);
	ck_assert_ptr_null(redis_server_trouble(shard.server));
}
END_TEST

/* --- generations --- */

static bool is_down(const struct redis_link *k) {
	return k->downs > 0;
}

static void restart(void) {
	redis_fixture_kill(&redis);
	redis_link_until(&shard, is_down);
	redis_fixture_start(&redis);
	redis_link_until(&shard, redis_link_is_ready);
	ck_assert_int_eq(shard.ups, 2);
}

START_TEST(a_restart_without_its_data_is_another_generation) {
	char before[64];

	start_both();
	snprintf(before, sizeof(before), "%s", shard.generation);
	restart();
	ck_assert_str_ne(shard.generation, before);
	ck_assert_uint_eq(redis_link_stat(STAT_redis_generations), 1);
	ck_assert_uint_eq(redis_link_stat(STAT_redis_losses), 2);
	call(redis_link_call);
	ck_assert_int_eq(shard.done, 1);
}
END_TEST

static const struct {
	const char *before, *after;	/* appendfsync */
	bool is_kept;
} logs[] = { { "always", "always", true }, { "everysec", "everysec", false }, { "everysec", "always", false } };

START_TEST(a_restart_keeps_its_generation_only_if_nothing_can_be_lost) {
	const char *const options[] = { "--appendonly", "yes", "--appendfsync", logs[_i].before };
	const char *const options_after[] = { "--appendonly", "yes", "--appendfsync", logs[_i].after };
	char before[64];

	option(options, ARRAY_LEN(options));
	start_both();
	snprintf(before, sizeof(before), "%s", shard.generation);
	option(options_after, ARRAY_LEN(options_after));
	restart();
	ck_assert_int_eq(strcmp(shard.generation, before) == 0, logs[_i].is_kept);
	ck_assert_uint_eq(redis_link_stat(STAT_redis_generations), !logs[_i].is_kept);
}
END_TEST

static bool is_up_twice(const struct redis_link *k) {
	return k->ups == 2;
}

START_TEST(a_server_that_was_emptied_is_another_generation) {
	char before[64];

	start_both();
	snprintf(before, sizeof(before), "%s", shard.generation);
	redis_fixture_do(&redis, "FLUSHALL");
	call(redis_link_call);
	ck_assert_int_eq(shard.refused, 1);
	redis_link_until(&shard, is_up_twice);
	ck_assert_str_ne(shard.generation, before);
	ck_assert_int_eq(shard.downs, 0);
	call(redis_link_call);
	ck_assert_int_eq(shard.done, 1);
	ck_assert_str_eq(shard.order, "ulu");
}
END_TEST

START_TEST(scripts_that_are_gone_are_loaded_again) {
	start_both();
	redis_fixture_do(&redis, "SCRIPT FLUSH");
	call(redis_link_call);
	ck_assert_int_eq(shard.refused, 1);
	call_until_done(redis_link_call);
	ck_assert_int_eq(shard.ups, 1);
	ck_assert_int_eq(shard.downs, 0);
	ck_assert_uint_ge(redis_link_stat(STAT_redis_errors), 1);
}
END_TEST

/* --- servers that may not be used --- */

START_TEST(a_replica_is_not_used) {
	struct redis_fixture master;
	char port[8];
	const char *const options[] = { "--replicaof", "127.0.0.1", port };

	redis_fixture_init(&master);
	redis_fixture_start(&master);
	snprintf(port, sizeof(port), "%u", master.port);
	option(options, ARRAY_LEN(options));
	redis_fixture_start(&redis);
	redis_link_start(&shard);
	redis_link_run(&shard, 500);
	ck_assert_int_eq(shard.ups, 0);
	ck_assert_ptr_nonnull(strstr(redis_server_trouble(shard.server), "it is a replica, which takes no writes"));
	redis_fixture_do(&redis, "REPLICAOF NO ONE");
	redis_link_until(&shard, redis_link_is_ready);
	redis_fixture_fini(&master);
}
END_TEST

START_TEST(a_master_that_becomes_a_replica_is_left) {
	struct redis_fixture master;

	redis_fixture_init(&master);
	redis_fixture_start(&master);
	start_both();
	redis_fixture_do(&redis, "REPLICAOF 127.0.0.1 %d", master.port);
	call(redis_link_call_writing);
	ck_assert_int_eq(shard.done, 0);
	redis_link_until(&shard, is_down);
	ck_assert_ptr_nonnull(redis_server_trouble(shard.server));
	redis_fixture_do(&redis, "REPLICAOF NO ONE");
	redis_link_until(&shard, redis_link_is_ready);
	ck_assert_uint_eq(redis_link_stat(STAT_redis_generations), 1);
	redis_fixture_fini(&master);
}
END_TEST

START_TEST(a_password_that_is_wrong_is_said) {
	const char *const options[] = { "--requirepass", "secret" };
	static char wrong[] = "wrong", right[] = "secret";

	option(options, ARRAY_LEN(options));
	redis_fixture_start(&redis);
	redis_link_start(&shard);
	redis_link_run(&shard, 200);
	ck_assert_ptr_nonnull(strstr(redis_server_trouble(shard.server), "NOAUTH"));
	redis_server_free(&shard.server);
	shard.settings.url.password = wrong;
	redis_link_start(&shard);
	redis_link_run(&shard, 200);
	ck_assert_ptr_nonnull(strstr(redis_server_trouble(shard.server), "login refused: WRONGPASS"));
	redis_server_free(&shard.server);
	shard.settings.url.password = right;
	redis_link_start(&shard);
	redis_link_until(&shard, redis_link_is_ready);
}
END_TEST

START_TEST(what_this_build_cannot_do_is_refused) {
	struct errbuf e = { "" };

	ck_assert(redis_server_check(&shard.settings, &e));
	shard.settings.url.is_tls = true;
	if (!redis_server_check(&shard.settings, &e))
		ck_assert_str_eq(e.text, "rediss:// needs a hiredis with TLS, which this program was not built with");
}
END_TEST

/* --- errors --- */

static const struct {
	const char *trouble, *cure, *text;
} refusals[] = {
	{ "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "refuses calls: OOM command not allowed" },
	{ "CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "refuses calls: NOREPLICAS" },
	{ "ACL SETUSER default -evalsha", "ACL SETUSER default +evalsha", "refuses calls: NOPERM" },
	{ "SET herold:m:a text", "DEL herold:m:a", "refuses calls: WRONGTYPE" },
};

START_TEST(errors_refuse_and_the_link_stays) {
	start_both();
	redis_fixture_do(&redis, refusals[_i].trouble);
	for (int i = 0; i < 3; i++) {
		call(redis_link_call_writing);
		ck_assert_int_eq(shard.refused, 1);
	}
	ck_assert_msg(strstr(redis_server_trouble(shard.server), refusals[_i].text) != NULL, "%s", redis_server_trouble(shard.server));
	ck_assert_uint_eq(redis_link_stat(STAT_redis_errors), 3);
	redis_fixture_do(&redis, refusals[_i].cure);
	call(redis_link_call_writing);
	ck_assert_int_eq(shard.done, 1);
	ck_assert_ptr_null(redis_server_trouble(shard.server));
	ck_assert_str_eq(shard.order, "ul");
}
END_TEST

/* Somebody's endless script: Redis says so after a while, and answers nothing until then. */
START_TEST(a_busy_server_refuses_and_the_link_stays) {
	const char *const options[] = { "--busy-reply-threshold", "50" };
	redisContext *somebody;
	int ended;

	option(options, ARRAY_LEN(options));
	start_both();
	somebody = redis_fixture_connect(&redis);
	ck_assert_int_eq(redisAppendCommand(somebody, "EVAL %s 0", "while true do end"), REDIS_OK);
	ck_assert_int_eq(redisBufferWrite(somebody, &ended), REDIS_OK);
	do
		call(redis_link_call_writing);
	while (shard.done == 1);
	ck_assert_int_eq(shard.refused, 1);
	ck_assert_ptr_nonnull(strstr(redis_server_trouble(shard.server), "refuses calls: BUSY"));
	redis_fixture_do(&redis, "SCRIPT KILL");
	call_until_done(redis_link_call_writing);
	ck_assert_str_eq(shard.order, "ul");
	redisFree(somebody);
}
END_TEST

/* --- the log --- */

/* How often `words` stand in what was logged since standard error became `file`. */
static int count_lines(FILE *file, const char *words) {
	char line[1024];
	int count = 0;

	rewind(file);
	while (fgets(line, sizeof(line), file) != NULL)
		count += strstr(line, words) != NULL;
	return count;
}

START_TEST(what_lasts_is_logged_once) {
	const char *const options[] = { "--maxmemory-policy", "allkeys-lru" };
	FILE *file = tmpfile();

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
	option(options, ARRAY_LEN(options));
	redis_link_start(&shard);
	redis_link_run(&shard, 500);
	redis_fixture_start(&redis);
	redis_link_until(&shard, redis_link_is_ready);
	redis_fixture_do(&redis, "CONFIG SET min-replicas-to-write 1");
	for (int i = 0; i < 10; i++)
		call(redis_link_call_writing);
	redis_fixture_do(&redis, "CONFIG SET min-replicas-to-write 0");
	call(redis_link_call_writing);
	for (int i = 0; i < 2; i++) {
		redis_fixture_do(&redis, "CLIENT KILL TYPE normal");
		shard.downs = 0;
		redis_link_until(&shard, is_down);
		redis_link_until(&shard, redis_link_is_ready);
	}
	ck_assert_int_eq(count_lines(file, "Redis cannot be used"), 1);
	ck_assert_int_eq(count_lines(file, "maxmemory_policy=allkeys-lru"), 1);
	ck_assert_int_eq(count_lines(file, "Redis refuses calls"), 1);
	ck_assert_int_eq(count_lines(file, "error=NOREPLICAS refused=10"), 1);
	ck_assert_int_eq(count_lines(file, "Redis is lost"), 2);
	ck_assert_int_eq(count_lines(file, "Redis is up"), 3);
	fclose(file);
}
END_TEST

/* --- a server that stands still --- */

START_TEST(a_short_stop_loses_nothing) {
	shard.settings.command_timeout_ms = 3000;
	start_both();
	redis_fixture_pause(&redis, true);
	redis_link_call(&shard);
	redis_link_run(&shard, 1000);
	ck_assert(!has_outcome(&shard));
	redis_fixture_pause(&redis, false);
	redis_link_until(&shard, has_outcome);
	redis_link_run(&shard, 500);
	ck_assert_int_eq(shard.done, 1);
	ck_assert_str_eq(shard.order, "ul");
	ck_assert_uint_eq(redis_link_stat(STAT_redis_probes_lost), 0);
}
END_TEST

START_TEST(a_long_stop_loses_the_link_with_what_was_sent) {
	shard.settings.command_timeout_ms = 300;
	shard.settings.connect_timeout_ms = 300;
	start_both();
	redis_fixture_pause(&redis, true);
	redis_link_call(&shard);
	redis_link_until(&shard, is_down);
	ck_assert_int_eq(shard.lost, 1);
	ck_assert_ptr_nonnull(strstr(redis_server_trouble(shard.server), "no answer within 300 ms"));
	redis_fixture_pause(&redis, false);
	redis_link_until(&shard, redis_link_is_ready);
}
END_TEST

START_TEST(calls_under_way_are_lost_with_the_server) {
	start_both();
	redis_fixture_pause(&redis, true);
	redis_link_call(&shard);
	redis_link_run(&shard, 50);
	redis_fixture_kill(&redis);
	redis_link_until(&shard, is_down);
	ck_assert_int_eq(shard.lost, 1);
	/* Whoever calls nevertheless is refused, later. */
	redis_link_call(&shard);
	ck_assert_int_eq(shard.refused, 0);
	redis_link_run(&shard, 50);
	ck_assert_int_eq(shard.refused, 1);
}
END_TEST

START_TEST(calls_under_way_are_lost_at_the_end) {
	start_both();
	redis_link_call(&shard);
	redis_server_flush(shard.server);
	redis_server_free(&shard.server);
	ck_assert_int_eq(shard.lost, 1);
	ck_assert_ptr_null(shard.server);
}
END_TEST

static void add_links(TCase *t) {
	tcase_add_test(t, it_comes_up_and_calls_are_done);
	tcase_add_test(t, it_has_two_connections_with_names);
	tcase_add_test(t, nobody_there_is_said_until_somebody_is);
	tcase_add_test(t, a_restart_without_its_data_is_another_generation);
	tcase_add_loop_test(t, a_restart_keeps_its_generation_only_if_nothing_can_be_lost, 0, (int)ARRAY_LEN(logs));
	tcase_add_test(t, a_server_that_was_emptied_is_another_generation);
	tcase_add_test(t, scripts_that_are_gone_are_loaded_again);
	tcase_add_test(t, a_replica_is_not_used);
	tcase_add_test(t, a_master_that_becomes_a_replica_is_left);
	tcase_add_test(t, a_password_that_is_wrong_is_said);
	tcase_add_test(t, what_this_build_cannot_do_is_refused);
	tcase_add_loop_test(t, errors_refuse_and_the_link_stays, 0, (int)ARRAY_LEN(refusals));
	tcase_add_test(t, a_busy_server_refuses_and_the_link_stays);
	tcase_add_test(t, what_lasts_is_logged_once);
}

static void add_ends(TCase *t) {
	tcase_add_test(t, a_short_stop_loses_nothing);
	tcase_add_test(t, a_long_stop_loses_the_link_with_what_was_sent);
	tcase_add_test(t, calls_under_way_are_lost_with_the_server);
	tcase_add_test(t, calls_under_way_are_lost_at_the_end);
}

Suite *suite_redis_server(void);
Suite *suite_redis_server(void) {
	Suite *s = suite_create("redis_server");
	TCase *t = tcase_create("redis_server");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	add_links(t);
	add_ends(t);
	suite_add_tcase(s, t);
	return s;
}
