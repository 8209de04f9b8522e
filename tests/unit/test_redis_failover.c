/* test_redis_failover - links that are dead but look alive, and masters that Sentinels know */
#include <check.h>
#include <stdio.h>

#include "common/svc/config.h"
#include "tests/unit/redis_link.h"
#include "tests/unit/tcp_proxy.h"

enum { COMMANDS = 0, LISTENER = 1 };	/* connections in the order in which they are made */

static struct redis_fixture redis, replica, sentinel;
static struct redis_link shard;
static struct tcp_proxy proxy;

static void setup(void) {
	memset(&replica, 0, sizeof(replica));
	memset(&sentinel, 0, sizeof(sentinel));
	redis_fixture_init(&redis);
	redis_link_init(&shard, redis.port);
	tcp_proxy_start(&proxy, shard.loop, redis.port);
}

static void teardown(void) {
	tcp_proxy_stop(&proxy);
	redis_link_fini(&shard);
	redis_fixture_fini(&sentinel);
	redis_fixture_fini(&replica);
	redis_fixture_fini(&redis);
}

static bool is_subscribed(const struct redis_link *k) {
	return k->subscribed == 1;
}

static void start_and_subscribe(void) {
	redis_link_start(&shard);
	redis_link_until(&shard, redis_link_is_ready);
	redis_server_subscribe(shard.server, slice_text("a"));
	redis_link_until(&shard, is_subscribed);
}

static void start_through_proxy(void) {
	redis_fixture_start(&redis);
	shard.settings.url.port = proxy.port;
	start_and_subscribe();
}

static bool is_deaf(const struct redis_link *k) {
	return k->deafs == 1;
}

static bool is_subscribed_again(const struct redis_link *k) {
	return k->subscribed == 2;
}

static bool has_message(const struct redis_link *k) {
	return k->messages == 1;
}

static void want_it_heard_again(void) {
	redis_link_until(&shard, is_subscribed_again);
	ck_assert_str_eq(shard.order, "ulDl");
	ck_assert_uint_eq(redis_link_stat(STAT_redis_probes_lost), 1);
	redis_fixture_do(&redis, "PUBLISH herold:c:a x");
	redis_link_until(&shard, has_message);
}

START_TEST(a_pubsub_link_that_swallows_everything_is_noticed) {
	start_through_proxy();
	redis_link_run(&shard, 500);
	ck_assert_uint_eq(redis_link_stat(STAT_redis_probes_lost), 0);
	tcp_proxy_deaden(&proxy, LISTENER);
	redis_link_until(&shard, is_deaf);
	ck_assert_ptr_nonnull(strstr(redis_server_trouble(shard.server), "is not heard: a message to oneself did not come back"));
	want_it_heard_again();
}
END_TEST

/* Redis says at once that nobody has received the probe. */
START_TEST(a_pubsub_link_that_only_the_server_knows_closed_is_noticed) {
	start_through_proxy();
	tcp_proxy_hide_close(&proxy, LISTENER);
	redis_link_until(&shard, is_deaf);
	want_it_heard_again();
}
END_TEST

static bool is_down(const struct redis_link *k) {
	return k->downs == 1;
}

START_TEST(a_command_link_that_swallows_everything_is_noticed_by_its_deadline) {
	shard.settings.command_timeout_ms = 300;
	start_through_proxy();
	tcp_proxy_deaden(&proxy, COMMANDS);
	redis_link_call(&shard);
	redis_link_until(&shard, is_down);
	ck_assert_int_eq(shard.lost, 1);
	redis_link_until(&shard, redis_link_is_ready);
	ck_assert_uint_eq(redis_link_stat(STAT_redis_probes_lost), 0);
	ck_assert_str_eq(shard.order, "uldu");
}
END_TEST

/* --- Sentinels --- */

static struct text_list sentinels;
static char *addresses[2];
static char silent[] = "127.0.0.1:1", knowing[32];

/* A master, a replica of it, a Sentinel that knows them; and before it in the list, one that is not there. */
static void start_all(void) {
	static char port[8];
	char path[REDIS_FIXTURE_PATH + 32];
	FILE *file;

	redis_fixture_start(&redis);
	redis_fixture_init(&replica);
	snprintf(port, sizeof(port), "%u", redis.port);
	memcpy(replica.option, ((const char *[]){ "--replicaof", "127.0.0.1", port }), 3 * sizeof(char *));
	redis_fixture_start(&replica);
	redis_fixture_init(&sentinel);
	sentinel.is_sentinel = true;
	snprintf(path, sizeof(path), "%s/sentinel.conf", sentinel.folder);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fprintf(file, "sentinel monitor mymaster 127.0.0.1 %u 1\nsentinel down-after-milliseconds mymaster 500\n"
	    "sentinel failover-timeout mymaster 3000\n", redis.port);
	fclose(file);
	redis_fixture_start(&sentinel);
	snprintf(knowing, sizeof(knowing), "127.0.0.1:%u", sentinel.port);
	addresses[0] = silent;
	addresses[1] = knowing;
	sentinels = (struct text_list){ addresses, 2 };
	shard.settings.sentinels = &sentinels;
	shard.settings.url.host = NULL;
}

static bool knows_replica(void) {
	redisReply *reply = redis_fixture_ask(&sentinel, "SENTINEL REPLICAS mymaster");
	bool is = reply->type == REDIS_REPLY_ARRAY && reply->elements == 1;

	freeReplyObject(reply);
	return is;
}

static bool is_promoted(const struct redis_link *k) {
	return redis_link_is_ready(k) && k->ups == 2;
}

START_TEST(a_promoted_replica_is_found_and_is_another_generation) {
	char address[32], before[64];

	start_all();
	start_and_subscribe();
	snprintf(before, sizeof(before), "%s", shard.generation);
	snprintf(address, sizeof(address), "127.0.0.1:%u", redis.port);
	ck_assert(slice_eq_text(redis_server_address(shard.server), address));
	for (int i = 0; !knows_replica(); i++) {
		ck_assert_int_lt(i, 1000);
		redis_link_run(&shard, 20);
	}
	redis_fixture_kill(&redis);
	redis_link_until(&shard, is_promoted);
	snprintf(address, sizeof(address), "127.0.0.1:%u", replica.port);
	ck_assert(slice_eq_text(redis_server_address(shard.server), address));
	ck_assert_str_ne(shard.generation, before);
	ck_assert_uint_eq(redis_link_stat(STAT_redis_generations), 1);
	redis_link_until(&shard, is_subscribed_again);
	redis_fixture_do(&replica, "PUBLISH herold:c:a x");
	redis_link_until(&shard, has_message);
}
END_TEST

START_TEST(sentinels_that_do_not_know_are_said) {
	start_all();
	shard.settings.master_name = "another";
	redis_link_start(&shard);
	redis_link_run(&shard, 300);
	ck_assert_int_eq(shard.ups, 0);
	ck_assert_msg(strstr(redis_server_trouble(shard.server), "it knows no master \"another\"") != NULL ||
		strstr(redis_server_trouble(shard.server), "Sentinel 127.0.0.1:1: Connection refused") != NULL, "%s",
	    redis_server_trouble(shard.server));
}
END_TEST

Suite *suite_redis_failover(void);
Suite *suite_redis_failover(void) {
	Suite *s = suite_create("redis_failover");
	TCase *t = tcase_create("redis_failover");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_pubsub_link_that_swallows_everything_is_noticed);
	tcase_add_test(t, a_pubsub_link_that_only_the_server_knows_closed_is_noticed);
	tcase_add_test(t, a_command_link_that_swallows_everything_is_noticed_by_its_deadline);
	tcase_add_test(t, a_promoted_replica_is_found_and_is_another_generation);
	tcase_add_test(t, sentinels_that_do_not_know_are_said);
	suite_add_tcase(s, t);
	return s;
}
