/* test_engine_redis - two hosts and a real redis-server: one order, exact snapshots, and books that balance whatever fails */
#include <check.h>
#include <stdio.h>

#include "broker/redis_ring.h"
#include "common/svc/stats.h"
#include "tests/unit/redis_hosts.h"

static struct redis_fixture redis, second;

static const char *url_of(const struct redis_fixture *f) {
	static char url[64];

	snprintf(url, sizeof(url), "redis://127.0.0.1:%u", f->port);
	return url;
}

static void setup(void) {
	redis_fixture_init(&redis);
	redis_fixture_init(&second);
}

static void teardown(void) {
	hosts_end();
	redis_fixture_fini(&redis);
	redis_fixture_fini(&second);
}

static void start_with(const char *const *options) {
	redis_fixture_start(&redis);
	hosts_start(url_of(&redis), options);
	hosts_until(hosts_all_ready);
}

static void start(void) {
	start_with(NULL);
	hosts_subscribe_all();
}

static void keep_everything(void) {
	static const char *const options[] = { "--appendonly", "yes", "--appendfsync", "always" };

	memcpy(redis.option, options, sizeof(options));
}

/* --- what works when all is well --- */

START_TEST(one_order_on_all_hosts) {
	start();
	hosts.rate = 20;
	hosts_run(500);
	hosts_close_books();
	ck_assert_uint_gt(hosts.published, 500);
	ck_assert_uint_eq(hosts_count(IPC_OK), hosts.published);
	for (uint32_t i = 0; i < hosts.published; i++) {
		const struct host_publication *p = &hosts.book[i];

		ck_assert_uint_eq(hosts.host[1].channel[p->channel].order[p->offset - 1], i);
	}
	ck_assert_uint_eq(stat_get(stats_own, STAT_redis_gaps_filled), 0);
	ck_assert_uint_eq(stat_get(stats_own, STAT_redis_gaps_lost), 0);
	ck_assert_uint_eq(stat_get(stats_own, STAT_redis_waiting), 0);
	ck_assert_uint_eq(stat_get(stats_own, STAT_redis_up), HOSTS);
}
END_TEST

START_TEST(a_repeat_is_answered_with_the_first) {
	uint32_t first, again;

	start();
	first = hosts_publish(0, 0, "one and the same");
	hosts_until(hosts_all_answered);
	hosts_publish(1, 0, NULL);
	again = hosts_publish(1, 0, "one and the same");
	hosts_until(hosts_all_answered);
	ck_assert_int_eq(hosts.book[first].result, IPC_OK);
	ck_assert_int_eq(hosts.book[again].result, IPC_REPEATED);
	ck_assert_uint_eq(hosts.book[again].offset, hosts.book[first].offset);
	ck_assert_str_eq(hosts.book[again].epoch, hosts.book[first].epoch);
	ck_assert_uint_eq(stat_get(stats_own, STAT_idempotency_hits), 1);
	hosts_close_books();
}
END_TEST

START_TEST(snapshots_are_exactly_where_they_belong) {
	start();
	hosts.rate = 8;
	hosts.peek_rate = 4;
	hosts_run(1000);
	hosts_close_books();
	for (int i = 0; i < HOSTS * HOST_CHANNELS; i++) {
		ck_assert_uint_gt(hosts.host[i % HOSTS].channel[i / HOSTS].peeks, 20);
		ck_assert_uint_eq(hosts.host[i % HOSTS].channel[i / HOSTS].resets, 0);
	}
}
END_TEST

static bool has_ended(void) {
	return stat_get(stats_own, STAT_channels) < HOST_CHANNELS;
}

START_TEST(coming_and_going_under_load) {
	start();
	hosts.rate = 8;
	for (int i = 0; i < 20; i++) {
		hosts_unsubscribe(1, i % HOST_CHANNELS);
		hosts_run(i % 3 * 10);
		hosts_subscribe(1, i % HOST_CHANNELS);
		hosts_until(hosts_all_live);
	}
	/* After a while its channel is given back in Redis too. */
	hosts_unsubscribe(1, 0);
	hosts_until(has_ended);
	hosts_run(50);
	hosts_subscribe(1, 0);
	hosts_until(hosts_all_live);
	hosts.rate = 0;
	hosts_until(hosts_all_answered);
	for (uint32_t i = 0; i < hosts.published; i++)
		ck_assert_uint_eq(hosts.host[0].channel[hosts.book[i].channel].seen[i], 1);
}
END_TEST

START_TEST(history_and_lists) {
	struct host *far = &hosts.host[1];
	char epoch[EPOCH_TEXT_MAX + 1];

	start_with(NULL);
	hosts_history(1, 0, 0, "", 0, 10);
	ck_assert(far->history.count == 0 && far->history.offset == 0 && far->history.epoch[0] == '\0' && far->history.flags == 0);
	for (int i = 0; i < 10; i++)
		hosts_publish(0, 0, NULL);
	hosts_publish(0, 3, NULL);
	hosts_until(hosts_all_answered);
	hosts_history(1, 0, IPC_BEFORE, "", 0, 4);
	ck_assert(far->history.count == 4 && far->history.numbers[0] == 6 && far->history.offset == 10);
	ck_assert_uint_eq(far->history.flags, IPC_SNAPSHOT_MORE);
	memcpy(epoch, far->history.epoch, sizeof(epoch));
	hosts_history(1, 0, IPC_SINCE, epoch, 7, 10);
	ck_assert(far->history.count == 3 && far->history.numbers[0] == 7 && far->history.flags == IPC_SNAPSHOT_RECOVERED);
	hosts_history(1, 0, IPC_SINCE, "another", 7, 10);
	ck_assert(far->history.count == 0 && far->history.flags == 0 && far->history.offset == 10);
	hosts_member_add(0, 0, 1);
	hosts_member_add(0, 0, 2);
	hosts_member_add(1, 0, 3);
	hosts_members(1, 0, 2);
	ck_assert_str_eq(far->list, "1 2 ");
	ck_assert(far->more == 1 && far->list_result == IPC_OK);
	hosts_channels(1, "room:", "", 10);
	ck_assert_str_eq(far->list, "room:a room:c ");
	hosts_channels(1, "", "", 1);
	ck_assert_str_eq(far->list, "room:a ");
	ck_assert_uint_eq(far->more, 1);
	hosts_channels(1, "room:", "room:a", 10);
	ck_assert_str_eq(far->list, "room:c ");
}
END_TEST

static bool has_both(void) {
	return hosts.host[0].channel[0].has[1] && hosts.host[1].channel[0].has[1] && hosts.host[0].channel[0].has[2] &&
	    hosts.host[1].channel[0].has[2];
}

static bool has_first_left(void) {
	return !hosts.host[0].channel[0].has[1] && !hosts.host[1].channel[0].has[1];
}

START_TEST(who_comes_and_goes_is_told_once_on_all_hosts) {
	start();
	hosts_member_add(0, 0, 1);
	ck_assert(hosts.host[0].member_result == IPC_OK && hosts.host[0].is_new);
	hosts_member_add(1, 0, 1);
	ck_assert(hosts.host[1].member_result == IPC_OK && !hosts.host[1].is_new);
	hosts_member_add(1, 0, 2);
	hosts_until(has_both);
	hosts_member_remove(0, 0, 1);
	hosts_run(300);
	ck_assert(has_both());
	hosts_member_remove(1, 0, 1);
	hosts_until(has_first_left);
	for (int i = 0; i < HOSTS; i++)
		ck_assert(hosts.host[i].channel[0].joined == 2 && hosts.host[i].channel[0].left == 1);
}
END_TEST

/* --- trouble --- */

/* A Redis that is lost again and again is connected to after up to 3 s: with this, nothing is given up before. */
static const char *const patient[] = { "redis_wait_ms=20000", NULL };

static void start_patient(void) {
	start_with(patient);
	hosts_subscribe_all();
}

static void check_no_resets(void) {
	for (int i = 0; i < HOSTS * HOST_CHANNELS; i++)
		ck_assert_uint_eq(hosts.host[i % HOSTS].channel[i / HOSTS].resets, 0);
}

START_TEST(killed_and_back_with_its_data) {
	keep_everything();
	start_patient();
	hosts.rate = 4;
	hosts.peek_rate = 1;
	for (int i = 0; i < 3; i++) {
		hosts_run(200);
		redis_fixture_kill(&redis);
		hosts_run(100);
		redis_fixture_start(&redis);
		hosts_until(hosts_all_ready);
	}
	hosts_run(200);
	hosts_close_books();
	check_no_resets();
	ck_assert_uint_gt(stat_get(stats_own, STAT_redis_losses), 5);
	ck_assert_uint_gt(stat_get(stats_own, STAT_redis_retries), 0);
	ck_assert_uint_eq(hosts_count(IPC_UNCERTAIN), 0);
}
END_TEST

START_TEST(killed_and_back_without) {
	start();
	hosts.rate = 4;
	hosts_run(200);
	redis_fixture_kill(&redis);
	redis_fixture_start(&redis);
	hosts_until(hosts_all_ready);
	hosts_run(500);
	hosts.rate = 0;
	hosts_until(hosts_all_answered);
	/* What was acknowledged just before may have been on its way to us when it died. All else has come, and once. */
	for (int c = 0; c < HOST_CHANNELS; c++)
		hosts_publish(0, c, NULL);
	hosts_until(hosts_all_answered);
	hosts_run(500);
	hosts_until(hosts_all_live);
	for (int i = 0; i < HOSTS * HOST_CHANNELS; i++) {
		const struct host_channel *ch = &hosts.host[i % HOSTS].channel[i / HOSTS];

		ck_assert_uint_eq(ch->resets, 1);
		ck_assert_uint_eq(ch->order[ch->count - 1], hosts.published - HOST_CHANNELS + (unsigned)(i / HOSTS));
	}
	ck_assert_uint_eq(stat_get(stats_own, STAT_redis_generations), HOSTS);
}
END_TEST

START_TEST(pubsub_is_cut_again_and_again) {
	start();
	hosts.rate = 6;
	hosts.peek_rate = 1;
	for (int i = 0; i < 15; i++) {
		redis_fixture_do(&redis, "CLIENT KILL TYPE pubsub");
		hosts_run(100);
	}
	hosts_close_books();
	check_no_resets();
	ck_assert_uint_eq(hosts_count(IPC_OK), hosts.published);
	ck_assert_uint_gt(stat_get(stats_own, STAT_redis_gaps_filled), 0);
	ck_assert_uint_eq(stat_get(stats_own, STAT_redis_gaps_lost), 0);
}
END_TEST

START_TEST(commands_are_cut_again_and_again) {
	start_patient();
	hosts.rate = 6;
	hosts.peek_rate = 1;
	for (int i = 0; i < 10; i++) {
		redis_fixture_do(&redis, "CLIENT KILL TYPE normal SKIPME yes");
		hosts_run(150);
	}
	hosts_close_books();
	check_no_resets();
	ck_assert_uint_eq(hosts_count(IPC_OK), hosts.published);
}
END_TEST

START_TEST(emptied) {
	start();
	hosts.rate = 4;
	for (int i = 0; i < 3; i++) {
		hosts_run(300);
		redis_fixture_do(&redis, "FLUSHALL");
	}
	hosts_run(500);
	hosts_close_books();
	for (int i = 0; i < HOSTS * HOST_CHANNELS; i++)
		ck_assert_uint_ge(hosts.host[i % HOSTS].channel[i / HOSTS].resets, 1);
	/* Whoever comes later has another epoch. */
	hosts_history(0, 0, IPC_SINCE, hosts.book[0].epoch, hosts.book[0].offset, 10);
	ck_assert_uint_eq(hosts.host[0].history.flags & IPC_SNAPSHOT_RECOVERED, 0);
}
END_TEST

static bool is_answered_late(void) {
	return hosts.answered == hosts.published && hosts_all_ready();
}

START_TEST(stopped) {
	static const char *const options[] = { "redis_wait_ms=300", "redis_timeout_ms=800", NULL };

	start_with(options);
	hosts_subscribe_all();
	hosts.rate = 2;
	hosts_run(100);
	redis_fixture_pause(&redis, true);
	hosts_run(1500);
	ck_assert(!hosts_all_ready());
	redis_fixture_pause(&redis, false);
	hosts_run(500);
	hosts.rate = 0;
	hosts_until(is_answered_late);
	hosts_close_books();
	check_no_resets();
	ck_assert_uint_gt(hosts_count(IPC_UNCERTAIN), 0);
	ck_assert_uint_gt(hosts_count(IPC_UNAVAILABLE), 0);
	ck_assert_uint_gt(hosts_count(IPC_OK), 0);
}
END_TEST

START_TEST(not_there_yet) {
	static const char *const options[] = { "redis_wait_ms=200", NULL };

	hosts_start(url_of(&redis), options);
	ck_assert_ptr_nonnull(engine_redis.trouble(hosts.host[0].engine));
	hosts_subscribe(0, 0);
	hosts_publish(0, 0, NULL);
	hosts_members(0, 0, 10);
	ck_assert_uint_eq(hosts.host[0].list_result, IPC_UNAVAILABLE);
	hosts_channels(0, "", "", 10);
	ck_assert_uint_eq(hosts.host[0].list_result, IPC_UNAVAILABLE);
	hosts_history(0, 0, IPC_BEFORE, "", 0, 10);
	ck_assert_uint_eq(hosts.host[0].history.flags, IPC_SNAPSHOT_UNAVAILABLE);
	hosts_until(hosts_all_answered);
	ck_assert_int_eq(hosts.book[0].result, IPC_UNAVAILABLE);
	hosts_run(300);
	ck_assert_uint_gt(hosts.host[0].unavailable_reads, 0);
	redis_fixture_start(&redis);
	hosts_until(hosts_all_ready);
	hosts_until(hosts_all_live);
	hosts_publish(1, 0, NULL);
	hosts_until(hosts_all_answered);
	hosts_run(100);
	ck_assert_uint_eq(hosts.host[0].channel[0].seen[1], 1);
}
END_TEST

/* --- several servers --- */

static bool first_is_in_trouble(void) {
	const char *trouble = engine_redis.trouble(hosts.host[0].engine);

	return trouble != NULL && strstr(trouble, "Redis 127.0.0.1") != NULL;
}

/* Whether both servers have a channel: that depends on their ports. */
static bool is_spread(void) {
	char text[2][32];
	const char *const names[] = { text[0], text[1] };
	struct redis_ring ring;
	struct errbuf e;
	size_t on_second = 0;

	snprintf(text[0], sizeof(text[0]), "127.0.0.1:%u/0", redis.port);
	snprintf(text[1], sizeof(text[1]), "127.0.0.1:%u/0", second.port);
	ck_assert(redis_ring_init(&ring, names, ARRAY_LEN(names), &e));
	for (int i = 0; i < HOST_CHANNELS; i++)
		on_second += redis_ring_find(&ring, slice_text(host_channel_names[i]));
	redis_ring_fini(&ring);
	return on_second > 0 && on_second < HOST_CHANNELS;
}

START_TEST(two_servers) {
	static const char *const options[] = { "redis_wait_ms=200", NULL };
	char urls[128];
	unsigned good = 0, bad = 0;
	uint32_t before;

	while (!is_spread())
		second.port = redis_fixture_free_port();
	redis_fixture_start(&redis);
	redis_fixture_start(&second);
	snprintf(urls, sizeof(urls), "%s", url_of(&redis));
	snprintf(urls + strlen(urls), sizeof(urls) - strlen(urls), ",%s", url_of(&second));
	hosts_start(urls, options);
	hosts_until(hosts_all_ready);
	hosts_subscribe_all();
	hosts.rate = 4;
	hosts_run(200);
	hosts_close_books();
	hosts_channels(0, "", "", 10);
	ck_assert_str_eq(hosts.host[0].list, "$users room:a room:b room:c ");
	hosts_channels(0, "", "$users", 2);
	ck_assert_str_eq(hosts.host[0].list, "room:a room:b ");
	ck_assert_uint_eq(hosts.host[0].more, 1);
	redis_fixture_kill(&second);
	hosts_until(first_is_in_trouble);
	before = hosts.published;
	for (int c = 0; c < HOST_CHANNELS; c++)
		hosts_publish(0, c, NULL);
	hosts_until(hosts_all_answered);
	for (uint32_t i = before; i < hosts.published; i++) {
		good += hosts.book[i].result == IPC_OK;
		bad += hosts.book[i].result == IPC_UNAVAILABLE;
	}
	ck_assert_uint_eq(good + bad, HOST_CHANNELS);
	ck_assert_uint_gt(good, 0);
	hosts_channels(0, "", "", 10);
	ck_assert_uint_eq(hosts.host[0].list_result, IPC_UNAVAILABLE);
}
END_TEST

/* --- the cluster's nodes --- */

static const char *nodes_of_first(void) {
	static char text[65536];
	struct buf out;

	buf_init(&out, sizeof(text) - 1);
	engine_redis.nodes(hosts.host[0].engine, &out);
	snprintf(text, sizeof(text), "%.*s", (int)out.len, (const char *)out.data);
	buf_fini(&out);
	return text;
}

static bool good_one_is_there(void) {
	return strstr(nodes_of_first(), "\"node\":\"good\"") != NULL;
}

/* Whoever may write into Redis: what is no description of a node is not shown, and says nothing of lists. */
START_TEST(nonsense_is_no_node) {
	static const char *const options[] = { "node_lease_seconds=2", NULL };
	static const char *const nonsense[] = { "{}", "{\"node\"}", "{\"node\":\"\xff\",\"servers\":\"x\"}", "{\"node\":\"a\\\",\"servers\":\"x\"}",
		"{\"node\":\"a\",\"servers\":\"x\"},{}", "{\"node\":\"a\",,\"servers\":\"x\"}", "{\"node\":\"a\n\",\"servers\":\"x\"}",
		"{\"node\":-,\"servers\":\"x\"}", "{\"node\":01,\"servers\":\"x\"}", "{\"node\":\"a\",\"servers\":\"x\"", "{\"node\":[],\"servers\":\"x\"}",
		"{\"node\":\"a\",\"servers\":\"x\",}", "" };

	start_with(options);
	for (size_t i = 0; i < ARRAY_LEN(nonsense); i++) {
		redis_fixture_do(&redis, "ZADD herold:l 99999999999999 nonsense%d", (int)i);
		redis_fixture_do(&redis, "SET herold:j:nonsense%d %s", (int)i, nonsense[i]);
	}
	redis_fixture_do(&redis, "ZADD herold:l 99999999999999 good");
	redis_fixture_do(&redis, "SET herold:j:good %s", "{\"node\":\"good\",\"servers\":\"one\",\"new\":10}");
	hosts_until(good_one_is_there);
	ck_assert_ptr_null(strstr(nodes_of_first(), "\"x\""));
	ck_assert_ptr_null(strstr(nodes_of_first(), "{}"));
	ck_assert(hosts_all_ready());
}
END_TEST

Suite *suite_engine_redis(void);

Suite *suite_engine_redis(void) {
	Suite *s = suite_create("engine_redis");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, setup, teardown);
	tcase_set_timeout(all, 120);
	tcase_add_test(all, one_order_on_all_hosts);
	tcase_add_test(all, a_repeat_is_answered_with_the_first);
	tcase_add_test(all, snapshots_are_exactly_where_they_belong);
	tcase_add_test(all, coming_and_going_under_load);
	tcase_add_test(all, history_and_lists);
	tcase_add_test(all, who_comes_and_goes_is_told_once_on_all_hosts);
	tcase_add_test(all, killed_and_back_with_its_data);
	tcase_add_test(all, killed_and_back_without);
	tcase_add_test(all, pubsub_is_cut_again_and_again);
	tcase_add_test(all, commands_are_cut_again_and_again);
	tcase_add_test(all, emptied);
	tcase_add_test(all, stopped);
	tcase_add_test(all, not_there_yet);
	tcase_add_test(all, two_servers);
	tcase_add_test(all, nonsense_is_no_node);
	suite_add_tcase(s, all);
	return s;
}
