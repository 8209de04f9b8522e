/* test_redis_pubsub - what is subscribed is heard, over losses too, in any number */
#include <check.h>
#include <stdio.h>

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
	redis_link_until(&shard, redis_link_is_ready);
}

static bool is_down(const struct redis_link *k) {
	return k->downs > 0;
}

static bool is_done(const struct redis_link *k) {
	return k->done == 1;
}

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
	buf_add_u8(&shard.heard, '\0');
	ck_assert_str_eq((const char *)shard.heard.data, text);
	buf_reset(&shard.heard);
}

START_TEST(what_is_subscribed_is_heard) {
	redis_link_start(&shard);
	redis_server_subscribe(shard.server, slice_text("room:1"));
	redis_fixture_start(&redis);
	redis_link_until(&shard, is_subscribed_once);
	redis_fixture_do(&redis, "PUBLISH herold:c:room:2 no");
	redis_fixture_do(&redis, "PUBLISH herold:c:room:1 yes");
	redis_link_until(&shard, has_message);
	want_heard("room:1=yes ");
	redis_server_unsubscribe(shard.server, slice_text("room:1"));
	redis_server_subscribe(shard.server, slice_text("room:2"));
	shard.subscribed = shard.messages = 0;
	redis_link_until(&shard, is_subscribed_once);
	redis_fixture_do(&redis, "PUBLISH herold:c:room:1 no");
	redis_fixture_do(&redis, "PUBLISH herold:c:room:2 yes");
	redis_link_until(&shard, has_message);
	want_heard("room:2=yes ");
}
END_TEST

/* Given back and taken again: subscribed() comes only for the last time that it was taken. */
START_TEST(a_channel_may_change_its_mind) {
	start_both();
	for (int flush = 0; flush < 2; flush++) {
		shard.subscribed = 0;
		for (int i = 0; i < 3; i++) {
			redis_server_subscribe(shard.server, slice_text("a"));
			if (flush)
				redis_server_flush(shard.server);
			redis_server_unsubscribe(shard.server, slice_text("a"));
			if (flush)
				redis_server_flush(shard.server);
		}
		redis_server_subscribe(shard.server, slice_text("a"));
		redis_link_until(&shard, is_subscribed_once);
		redis_link_run(&shard, 50);
		ck_assert_int_eq(shard.subscribed, 1);
		shard.messages = 0;
		redis_fixture_do(&redis, "PUBLISH herold:c:a x");
		redis_link_until(&shard, has_message);
		redis_server_unsubscribe(shard.server, slice_text("a"));
		redis_link_run(&shard, 50);
		redis_fixture_do(&redis, "PUBLISH herold:c:a x");
		redis_link_run(&shard, 50);
		ck_assert_int_eq(shard.messages, 1);
	}
}
END_TEST

static bool is_listening_again(const struct redis_link *k) {
	return k->listenings == 2 && k->subscribed == 2;
}

START_TEST(a_killed_pubsub_link_is_made_again_and_calls_go_on) {
	start_both();
	redis_server_subscribe(shard.server, slice_text("a"));
	redis_server_subscribe(shard.server, slice_text("b"));
	redis_link_run(&shard, 50);
	ck_assert_int_eq(shard.subscribed, 2);
	shard.subscribed = 0;
	redis_fixture_do(&redis, "CLIENT KILL TYPE pubsub");
	redis_link_until(&shard, is_listening_again);
	ck_assert_int_eq(shard.downs, 0);
	ck_assert_str_eq(shard.order, "ulDl");
	redis_link_call(&shard);
	redis_link_until(&shard, is_done);
	redis_fixture_do(&redis, "PUBLISH herold:c:a 1");
	redis_fixture_do(&redis, "PUBLISH herold:c:b 2");
	redis_link_until(&shard, has_two_messages);
	want_heard("a=1 b=2 ");
	ck_assert_uint_eq(redis_link_stat(STAT_redis_losses), 1);
}
END_TEST

START_TEST(a_killed_command_link_leaves_pubsub_alone) {
	start_both();
	redis_fixture_do(&redis, "CLIENT KILL TYPE normal");
	redis_link_until(&shard, is_down);
	redis_link_until(&shard, redis_link_is_ready);
	ck_assert_str_eq(shard.order, "uldu");
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
		redis_server_subscribe(shard.server, slice_of(name, (size_t)snprintf(name, sizeof(name), "channel-%d", i)));
	redis_link_until(&shard, are_many_subscribed);
	shard.subscribed = 0;
	redis_fixture_do(&redis, "CLIENT KILL TYPE pubsub");
	redis_link_until(&shard, are_many_subscribed);
	redis_fixture_do(&redis, "PUBLISH herold:c:channel-29999 x");
	redis_link_until(&shard, has_message);
	want_heard("channel-29999=x ");
	for (int i = 0; i < MANY; i++)
		redis_server_unsubscribe(shard.server, slice_of(name, (size_t)snprintf(name, sizeof(name), "channel-%d", i)));
	redis_link_run(&shard, 50);
	ck_assert_int_eq(shard.deafs, 1);
}
END_TEST

enum { LONG_NAMES = 10000, LONG_NAME_BYTES = 255 };

static void each_long_name(void (*what)(struct redis_server *s, struct slice channel)) {
	char name[LONG_NAME_BYTES + 1];

	for (int i = 0; i < LONG_NAMES; i++) {
		snprintf(name, sizeof(name), "%0*d", LONG_NAME_BYTES, i);
		what(shard.server, slice_of(name, LONG_NAME_BYTES));
	}
	redis_server_flush(shard.server);
}

static bool is_deaf(const struct redis_link *k) {
	return k->deafs == 1;
}

START_TEST(a_server_that_does_not_read_costs_so_much_memory) {
	shard.settings.command_timeout_ms = 20000;
	start_both();
	redis_fixture_pause(&redis, true);
	for (int i = 0; i < 20; i++) {
		each_long_name(redis_server_subscribe);
		each_long_name(redis_server_unsubscribe);
	}
	redis_link_until(&shard, is_deaf);
	ck_assert_ptr_nonnull(strstr(redis_server_trouble(shard.server), "is not heard: it does not read what it is sent"));
	redis_fixture_pause(&redis, false);
	redis_link_until(&shard, redis_link_is_ready);
}
END_TEST

Suite *suite_redis_pubsub(void);
Suite *suite_redis_pubsub(void) {
	Suite *s = suite_create("redis_pubsub");
	TCase *t = tcase_create("redis_pubsub");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_is_subscribed_is_heard);
	tcase_add_test(t, a_channel_may_change_its_mind);
	tcase_add_test(t, a_killed_pubsub_link_is_made_again_and_calls_go_on);
	tcase_add_test(t, a_killed_command_link_leaves_pubsub_alone);
	tcase_add_test(t, tens_of_thousands_of_channels_are_renewed);
	tcase_add_test(t, a_server_that_does_not_read_costs_so_much_memory);
	suite_add_tcase(s, t);
	return s;
}
