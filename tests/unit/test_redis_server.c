/* test_redis_server - a shard's two links with a real server: up, down, heard, and what its errors mean */
#include <check.h>
#include <stdio.h>

#include "tests/unit/redis_link.h"

static struct redis_fixture redis;
static struct redis_link link;

static void setup(void) {
	redis_fixture_init(&redis);
	redis_link_init(&link, redis.port);
}

static void teardown(void) {
	redis_link_fini(&link);
	redis_fixture_fini(&redis);
}

static void start_both(void) {
	redis_fixture_start(&redis);
	redis_link_start(&link);
	ck_assert(!redis_server_is_up(link.server));
	redis_link_until(&link, redis_link_is_ready);
}

static bool has_outcome(const struct redis_link *k) {
	return k->done + k->refused + k->lost > 0;
}

/* One call, to its outcome. */
static void call(void (*how)(struct redis_link *k)) {
	link.done = link.refused = link.lost = 0;
	how(&link);
	ck_assert(!has_outcome(&link));
	redis_link_until(&link, has_outcome);
	ck_assert_int_eq(link.done + link.refused + link.lost, 1);
}

/* Until calls are done again. */
static void call_until_done(void (*how)(struct redis_link *k)) {
	for (int i = 0; i < 1000; i++) {
		call(how);
		if (link.done == 1)
			return;
		redis_link_run(&link, 5);
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
	ck_assert(slice_eq_text(redis_server_address(link.server), address));
	ck_assert_str_eq(link.order, "ul");
	ck_assert_uint_eq(strlen(link.generation), 8);
	ck_assert_ptr_null(redis_server_trouble(link.server));
	call(redis_link_call);
	ck_assert_int_eq(link.done, 1);
	call(redis_link_call_writing);
	ck_assert_int_eq(link.done, 1);
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
	redis_link_run(&link, 300);
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
	redis_link_start(&link);
	ck_assert_ptr_nonnull(strstr(redis_server_trouble(link.server), "it is being connected to"));
	redis_link_run(&link, 200);
	ck_assert_ptr_nonnull(strstr(redis_server_trouble(link.server), "cannot be used: Connection refused"));
	redis_fixture_start(&redis);
	redis_link_until(&link, redis_link_is_ready);
	ck_assert_ptr_null(redis_server_trouble(link.server));
}
END_TEST

/* --- generations --- */

static bool is_down(const struct redis_link *k) {
	return k->downs > 0;
}

static void restart(void) {
	redis_fixture_kill(&redis);
	redis_link_until(&link, is_down);
	redis_fixture_start(&redis);
	redis_link_until(&link, redis_link_is_ready);
	ck_assert_int_eq(link.ups, 2);
}

START_TEST(a_restart_without_its_data_is_another_generation) {
	char before[64];

	start_both();
	snprintf(before, sizeof(before), "%s", link.generation);
	restart();
	ck_assert_str_ne(link.generation, before);
	ck_assert_uint_eq(redis_link_stat(STAT_redis_generations), 1);
	ck_assert_uint_eq(redis_link_stat(STAT_redis_losses), 2);
	call(redis_link_call);
	ck_assert_int_eq(link.done, 1);
}
END_TEST

static const struct {
	const char *appendfsync;
	bool is_kept;
} logs[] = { { "always", true }, { "everysec", false } };

START_TEST(a_restart_keeps_its_generation_only_if_nothing_can_be_lost) {
	const char *const options[] = { "--appendonly", "yes", "--appendfsync", logs[_i].appendfsync };
	char before[64];

	option(options, ARRAY_LEN(options));
	start_both();
	snprintf(before, sizeof(before), "%s", link.generation);
	restart();
	ck_assert_int_eq(strcmp(link.generation, before) == 0, logs[_i].is_kept);
	ck_assert_uint_eq(redis_link_stat(STAT_redis_generations), !logs[_i].is_kept);
}
END_TEST

static bool is_up_twice(const struct redis_link *k) {
	return k->ups == 2;
}

START_TEST(a_server_that_was_emptied_is_another_generation) {
	char before[64];

	start_both();
	snprintf(before, sizeof(before), "%s", link.generation);
	redis_fixture_do(&redis, "FLUSHALL");
	call(redis_link_call);
	ck_assert_int_eq(link.refused, 1);
	redis_link_until(&link, is_up_twice);
	ck_assert_str_ne(link.generation, before);
	ck_assert_int_eq(link.downs, 0);
	call(redis_link_call);
	ck_assert_int_eq(link.done, 1);
	ck_assert_str_eq(link.order, "ulu");
}
END_TEST

START_TEST(scripts_that_are_gone_are_loaded_again) {
	start_both();
	redis_fixture_do(&redis, "SCRIPT FLUSH");
	call(redis_link_call);
	ck_assert_int_eq(link.refused, 1);
	call_until_done(redis_link_call);
	ck_assert_int_eq(link.ups, 1);
	ck_assert_int_eq(link.downs, 0);
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
	redis_link_start(&link);
	redis_link_run(&link, 500);
	ck_assert_int_eq(link.ups, 0);
	ck_assert_ptr_nonnull(strstr(redis_server_trouble(link.server), "it is a replica, which takes no writes"));
	redis_fixture_do(&redis, "REPLICAOF NO ONE");
	redis_link_until(&link, redis_link_is_ready);
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
	ck_assert_int_eq(link.done, 0);
	redis_link_until(&link, is_down);
	ck_assert_ptr_nonnull(redis_server_trouble(link.server));
	redis_fixture_do(&redis, "REPLICAOF NO ONE");
	redis_link_until(&link, redis_link_is_ready);
	ck_assert_uint_eq(redis_link_stat(STAT_redis_generations), 1);
	redis_fixture_fini(&master);
}
END_TEST

START_TEST(a_password_that_is_wrong_is_said) {
	const char *const options[] = { "--requirepass", "secret" };
	static char wrong[] = "wrong", right[] = "secret";

	option(options, ARRAY_LEN(options));
	redis_fixture_start(&redis);
	redis_link_start(&link);
	redis_link_run(&link, 200);
	ck_assert_ptr_nonnull(strstr(redis_server_trouble(link.server), "NOAUTH"));
	redis_server_free(&link.server);
	link.settings.url.password = wrong;
	redis_link_start(&link);
	redis_link_run(&link, 200);
	ck_assert_ptr_nonnull(strstr(redis_server_trouble(link.server), "login refused: WRONGPASS"));
	redis_server_free(&link.server);
	link.settings.url.password = right;
	redis_link_start(&link);
	redis_link_until(&link, redis_link_is_ready);
}
END_TEST

START_TEST(what_this_build_cannot_do_is_refused) {
	struct errbuf e = { "" };

	ck_assert(redis_server_check(&link.settings, &e));
	link.settings.url.is_tls = true;
	if (!redis_server_check(&link.settings, &e))
		ck_assert_str_eq(e.text, "rediss:// needs a hiredis with TLS, which this program was not built with");
}
END_TEST

/* --- errors --- */

START_TEST(memory_that_is_full_refuses_and_the_link_stays) {
	start_both();
	call(redis_link_call_writing);
	ck_assert_int_eq(link.done, 1);
	redis_fixture_do(&redis, "CONFIG SET maxmemory 1");
	for (int i = 0; i < 3; i++) {
		call(redis_link_call_writing);
		ck_assert_int_eq(link.refused, 1);
	}
	ck_assert_ptr_nonnull(strstr(redis_server_trouble(link.server), "refuses calls: OOM"));
	ck_assert_uint_eq(redis_link_stat(STAT_redis_errors), 3);
	redis_fixture_do(&redis, "CONFIG SET maxmemory 0");
	call(redis_link_call_writing);
	ck_assert_int_eq(link.done, 1);
	ck_assert_ptr_null(redis_server_trouble(link.server));
	ck_assert_int_eq(link.downs, 0);
}
END_TEST

/* --- pub/sub --- */

static bool is_subscribed_once(const struct redis_link *k) {
	return k->subscribed == 1;
}

static bool has_message(const struct redis_link *k) {
	return k->messages == 1;
}

static bool has_two_messages(const struct redis_link *k) {
	return k->messages == 2;
}

static void want_heard(const char *text) {
	buf_add_u8(&link.heard, '\0');
	ck_assert_str_eq((const char *)link.heard.data, text);
	buf_reset(&link.heard);
}

START_TEST(what_is_subscribed_is_heard) {
	redis_link_start(&link);
	redis_server_subscribe(link.server, slice_text("room:1"));
	redis_fixture_start(&redis);
	redis_link_until(&link, is_subscribed_once);
	redis_fixture_do(&redis, "PUBLISH herold:c:room:2 no");
	redis_fixture_do(&redis, "PUBLISH herold:c:room:1 yes");
	redis_link_until(&link, has_message);
	want_heard("room:1=yes ");
	redis_server_unsubscribe(link.server, slice_text("room:1"));
	redis_server_subscribe(link.server, slice_text("room:2"));
	link.subscribed = link.messages = 0;
	redis_link_until(&link, is_subscribed_once);
	redis_fixture_do(&redis, "PUBLISH herold:c:room:1 no");
	redis_fixture_do(&redis, "PUBLISH herold:c:room:2 yes");
	redis_link_until(&link, has_message);
	want_heard("room:2=yes ");
}
END_TEST

/* Given back and taken again: subscribed() comes only for the last time that it was taken. */
START_TEST(a_channel_may_change_its_mind) {
	start_both();
	for (int flush = 0; flush < 2; flush++) {
		link.subscribed = 0;
		for (int i = 0; i < 3; i++) {
			redis_server_subscribe(link.server, slice_text("a"));
			if (flush)
				redis_server_flush(link.server);
			redis_server_unsubscribe(link.server, slice_text("a"));
			if (flush)
				redis_server_flush(link.server);
		}
		redis_server_subscribe(link.server, slice_text("a"));
		redis_link_until(&link, is_subscribed_once);
		redis_link_run(&link, 50);
		ck_assert_int_eq(link.subscribed, 1);
		link.messages = 0;
		redis_fixture_do(&redis, "PUBLISH herold:c:a x");
		redis_link_until(&link, has_message);
		redis_server_unsubscribe(link.server, slice_text("a"));
		redis_link_run(&link, 50);
		redis_fixture_do(&redis, "PUBLISH herold:c:a x");
		redis_link_run(&link, 50);
		ck_assert_int_eq(link.messages, 1);
	}
}
END_TEST

static bool is_listening_again(const struct redis_link *k) {
	return k->listenings == 2 && k->subscribed == 2;
}

START_TEST(a_killed_pubsub_link_is_made_again_and_calls_go_on) {
	start_both();
	redis_server_subscribe(link.server, slice_text("a"));
	redis_server_subscribe(link.server, slice_text("b"));
	redis_link_run(&link, 50);
	ck_assert_int_eq(link.subscribed, 2);
	link.subscribed = 0;
	redis_fixture_do(&redis, "CLIENT KILL TYPE pubsub");
	redis_link_until(&link, is_listening_again);
	ck_assert_int_eq(link.downs, 0);
	ck_assert_str_eq(link.order, "ulDl");
	call(redis_link_call);
	ck_assert_int_eq(link.done, 1);
	redis_fixture_do(&redis, "PUBLISH herold:c:a 1");
	redis_fixture_do(&redis, "PUBLISH herold:c:b 2");
	redis_link_until(&link, has_two_messages);
	want_heard("a=1 b=2 ");
	ck_assert_uint_eq(redis_link_stat(STAT_redis_losses), 1);
}
END_TEST

START_TEST(a_killed_command_link_leaves_pubsub_alone) {
	start_both();
	redis_fixture_do(&redis, "CLIENT KILL TYPE normal");
	redis_link_until(&link, is_down);
	redis_link_until(&link, redis_link_is_ready);
	ck_assert_str_eq(link.order, "uldu");
	ck_assert_uint_eq(redis_link_stat(STAT_redis_generations), 0);
}
END_TEST

enum { MANY = 30000 };

static bool are_many_subscribed(const struct redis_link *k) {
	return k->subscribed == MANY;
}

START_TEST(tens_of_thousands_of_channels_are_renewed) {
	char name[32];

	start_both();
	for (int i = 0; i < MANY; i++)
		redis_server_subscribe(link.server, slice_of(name, (size_t)snprintf(name, sizeof(name), "channel-%d", i)));
	redis_link_until(&link, are_many_subscribed);
	link.subscribed = 0;
	redis_fixture_do(&redis, "CLIENT KILL TYPE pubsub");
	redis_link_until(&link, are_many_subscribed);
	redis_fixture_do(&redis, "PUBLISH herold:c:channel-29999 x");
	redis_link_until(&link, has_message);
	want_heard("channel-29999=x ");
	for (int i = 0; i < MANY; i++)
		redis_server_unsubscribe(link.server, slice_of(name, (size_t)snprintf(name, sizeof(name), "channel-%d", i)));
	redis_link_run(&link, 50);
	ck_assert_int_eq(link.deafs, 1);
}
END_TEST

enum { LONG_NAMES = 10000, LONG_NAME_BYTES = 255 };

static void each_long_name(void (*what)(struct redis_server *s, struct slice channel)) {
	char name[LONG_NAME_BYTES + 1];

	for (int i = 0; i < LONG_NAMES; i++) {
		snprintf(name, sizeof(name), "%0*d", LONG_NAME_BYTES, i);
		what(link.server, slice_of(name, LONG_NAME_BYTES));
	}
	redis_server_flush(link.server);
}

static bool is_deaf(const struct redis_link *k) {
	return k->deafs == 1;
}

START_TEST(a_server_that_does_not_read_costs_so_much_memory) {
	link.settings.command_timeout_ms = 20000;
	start_both();
	redis_fixture_pause(&redis, true);
	for (int i = 0; i < 20; i++) {
		each_long_name(redis_server_subscribe);
		each_long_name(redis_server_unsubscribe);
	}
	redis_link_until(&link, is_deaf);
	ck_assert_ptr_nonnull(strstr(redis_server_trouble(link.server), "is not heard: it does not read what it is sent"));
	redis_fixture_pause(&redis, false);
	redis_link_until(&link, redis_link_is_ready);
}
END_TEST

/* --- a server that stands still --- */

START_TEST(a_short_stop_loses_nothing) {
	link.settings.command_timeout_ms = 3000;
	start_both();
	redis_fixture_pause(&redis, true);
	redis_link_call(&link);
	redis_link_run(&link, 1000);
	ck_assert(!has_outcome(&link));
	redis_fixture_pause(&redis, false);
	redis_link_until(&link, has_outcome);
	redis_link_run(&link, 500);
	ck_assert_int_eq(link.done, 1);
	ck_assert_str_eq(link.order, "ul");
	ck_assert_uint_eq(redis_link_stat(STAT_redis_probes_lost), 0);
}
END_TEST

START_TEST(a_long_stop_loses_the_link_with_what_was_sent) {
	link.settings.command_timeout_ms = 300;
	link.settings.connect_timeout_ms = 300;
	start_both();
	redis_fixture_pause(&redis, true);
	redis_link_call(&link);
	redis_link_until(&link, is_down);
	ck_assert_int_eq(link.lost, 1);
	ck_assert_ptr_nonnull(strstr(redis_server_trouble(link.server), "no answer within 300 ms"));
	redis_fixture_pause(&redis, false);
	redis_link_until(&link, redis_link_is_ready);
}
END_TEST

START_TEST(calls_under_way_are_lost_with_the_server) {
	start_both();
	redis_fixture_pause(&redis, true);
	redis_link_call(&link);
	redis_link_run(&link, 50);
	redis_fixture_kill(&redis);
	redis_link_until(&link, is_down);
	ck_assert_int_eq(link.lost, 1);
	/* Whoever calls nevertheless is refused, later. */
	redis_link_call(&link);
	ck_assert_int_eq(link.refused, 0);
	redis_link_run(&link, 50);
	ck_assert_int_eq(link.refused, 1);
}
END_TEST

START_TEST(calls_under_way_are_lost_at_the_end) {
	start_both();
	redis_link_call(&link);
	redis_server_flush(link.server);
	redis_server_free(&link.server);
	ck_assert_int_eq(link.lost, 1);
	ck_assert_ptr_null(link.server);
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
	tcase_add_test(t, memory_that_is_full_refuses_and_the_link_stays);
}

static void add_pubsub(TCase *t) {
	tcase_add_test(t, what_is_subscribed_is_heard);
	tcase_add_test(t, a_channel_may_change_its_mind);
	tcase_add_test(t, a_killed_pubsub_link_is_made_again_and_calls_go_on);
	tcase_add_test(t, a_killed_command_link_leaves_pubsub_alone);
	tcase_add_test(t, tens_of_thousands_of_channels_are_renewed);
	tcase_add_test(t, a_server_that_does_not_read_costs_so_much_memory);
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
	add_pubsub(t);
	suite_add_tcase(s, t);
	return s;
}
