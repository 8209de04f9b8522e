/* test_redis_presence_nodes - two hosts and a real Redis: everybody comes and goes once in the cluster, whatever happens to its parts */
#include <stdlib.h>

#include "broker/redis_presence.h"
#include "common/svc/log.h"
#include "common/svc/stats.h"
#include "tests/unit/model.h"
#include "tests/unit/redis_fixture.h"

enum { LEASE_MS = 900, WAIT_MS = 5000, STEP_MS = 5, PATIENCE_MS = 20000, MEMBERS = 40, HOSTS = 2, WATCHER = HOSTS, MANY = 20000 };

struct host {
	struct redis_server *server;
	struct redis_presence *presence;	/* NULL: the watcher's */
	uint32_t results[IPC_FULL + 1];
	uint32_t news;	/* results that were arrivals in the cluster */
	size_t nodes;	/* as last heard */
	bool is_listening;
	char name[8];
};

static struct redis_fixture redis;
static struct evloop *loop;
static struct evloop_timer timer;
static struct redis_url url;
static struct host host[HOSTS + 1];
static bool (*is_reached)(void);
static uint64_t given_up_ms;
static uint32_t members_max;
/* Heard by the watcher, of members m0 .. */
static uint32_t joined[MEMBERS], left[MEMBERS], joined_ever, left_ever;

/* --- a host --- */

static void on_up(void *arg, struct slice generation) {
	struct host *h = arg;

	if (h->presence != NULL)
		redis_presence_on_up(h->presence, h->server, generation);
}

static void on_state(void *arg UNUSED) {
}

static void on_subscribed(void *arg, struct slice channel UNUSED) {
	((struct host *)arg)->is_listening = true;
}

static void on_message(void *arg UNUSED, struct slice channel, struct slice payload) {
	struct redis_payload p;
	int member;

	MUST(slice_eq_text(channel, "room"));
	MUST(redis_payload_read(payload, &p));
	MUST(p.type == REDIS_JOINED || p.type == REDIS_LEFT);
	*(p.type == REDIS_JOINED ? &joined_ever : &left_ever) += 1;
	MUST(p.member.len < 8 && p.member.ptr[0] == 'm');
	member = (int)strtol((const char *)p.member.ptr + 1, NULL, 10);
	if (member >= MEMBERS)
		return;
	if (p.type == REDIS_JOINED)
		MUST(joined[member]++ == left[member]);
	else
		MUST(++left[member] == joined[member]);
}

static void member_result(void *arg, struct ticket t UNUSED, struct ipc_member_result *r) {
	struct host *h = arg;

	h->results[r->result]++;
	h->news += r->is_new;
}

static struct redis_server *server_of(void *arg, struct slice channel UNUSED) {
	return ((struct host *)arg)->server;
}

static void describe(void *arg, struct buf *out) {
	buf_addf(out, "{\"node\":\"%s\"}", ((struct host *)arg)->name);
}

static void hear_nodes(void *arg, const struct redis_server *s UNUSED, const struct redis_reply *list) {
	((struct host *)arg)->nodes = redis_reply_count(list);
}

static void open_host(int at) {
	static const struct text_list no_sentinels;
	static const struct redis_server_ops server_ops = { .up = on_up, .down = on_state, .listening = on_state, .deaf = on_state,
		.subscribed = on_subscribed, .message = on_message };
	static const struct redis_presence_ops ops = { member_result, server_of, describe, hear_nodes, redis_server_is_up,
		redis_server_call };
	struct host *h = &host[at];
	struct redis_presence_settings settings = { "t:", SLICE_EMPTY, LEASE_MS, WAIT_MS, 1000, members_max };
	struct redis_server_settings server = { .url = url, .sentinels = &no_sentinels, .master_name = "", .prefix = "t:",
		.connect_timeout_ms = 1000, .command_timeout_ms = 1000, .probe_ms = 1000 };

	memset(h, 0, sizeof(*h));
	snprintf(h->name, sizeof(h->name), "node%d", at);
	settings.node = server.node = slice_text(h->name);
	if (at != WATCHER)
		h->presence = redis_presence_new(&settings, &ops, h, evloop_now_ms(loop));
	h->server = redis_server_new(loop, &server, &server_ops, h);
}

/* As if it had been killed: what it held is not taken back. */
static void close_host(int at) {
	redis_server_free(&host[at].server);
	redis_presence_free(&host[at].presence);
}

static void on_turn_end(void *arg UNUSED) {
	for (int i = 0; i <= HOSTS; i++) {
		if (host[i].presence != NULL)
			redis_presence_tick(host[i].presence, evloop_now_ms(loop));
		if (host[i].server != NULL)
			redis_server_flush(host[i].server);
	}
}

static void on_timer(void *arg UNUSED) {
	if (is_reached() || evloop_now_ms(loop) > given_up_ms)
		evloop_stop(loop);
	else
		evloop_timer_start(&timer, STEP_MS);
}

static void wait_until(bool (*reached)(void), const char *what) {
	is_reached = reached;
	given_up_ms = evloop_now_ms(loop) + PATIENCE_MS;
	evloop_timer_start(&timer, STEP_MS);
	evloop_run(loop);
	ck_assert_msg(reached(), "%s: %u joined, %u left", what, joined_ever, left_ever);
}

static bool all_are_up(void) {
	for (int i = 0; i <= HOSTS; i++) {
		if (!redis_server_is_up(host[i].server))
			return false;
	}
	return host[WATCHER].is_listening;
}

static bool all_know_each_other(void) {
	return all_are_up() && host[0].nodes == HOSTS && host[1].nodes == HOSTS;
}

static void open_world_with(uint32_t max) {
	struct errbuf e;
	char text[64];

	log_set_level(LOG_ERROR);
	redis_fixture_init(&redis);
	redis_fixture_start(&redis);
	snprintf(text, sizeof(text), "redis://127.0.0.1:%u/0", redis.port);
	ck_assert_msg(redis_url_parse(slice_text(text), &url, &e), "%s", e.text);
	loop = evloop_new();
	evloop_timer_init(loop, &timer, on_timer, NULL);
	memset(host, 0, sizeof(host));
	memset(joined, 0, sizeof(joined));
	memset(left, 0, sizeof(left));
	joined_ever = left_ever = 0;
	members_max = max;
	evloop_on_turn_end(loop, on_turn_end, NULL);
	for (int i = 0; i <= HOSTS; i++)
		open_host(i);
	redis_server_subscribe(host[WATCHER].server, slice_text("room"));
	wait_until(all_know_each_other, "nobody is up");
}

static void open_world(void) {
	open_world_with(0);
}

static void close_world(void) {
	for (int i = 0; i <= HOSTS; i++)
		close_host(i);
	evloop_timer_stop(&timer);
	evloop_free(&loop);
	redis_url_fini(&url);
	redis_fixture_fini(&redis);
}

/* --- what happens --- */

static void add(int at, int member, uint8_t token, uint32_t request) {
	char name[16];
	struct ipc_member_add m = { .channel = slice_text("room"), .token = { token }, .info = slice_text("{}") };

	m.member = slice_of(name, (size_t)snprintf(name, sizeof(name), "m%d", member));
	redis_presence_add(host[at].presence, (struct ticket){ 1, request }, 1, &m);
}

static void remove_one(int at, int member) {
	char name[16];
	struct ipc_member_remove m = { .channel = slice_text("room") };

	m.member = slice_of(name, (size_t)snprintf(name, sizeof(name), "m%d", member));
	redis_presence_remove(host[at].presence, 1, &m);
}

static long long number(const char *command) {
	redisReply *r = redis_fixture_ask(&redis, command);
	long long n = r->integer;

	ck_assert_msg(r->type == REDIS_REPLY_INTEGER, "%s: %s", command, r->str);
	freeReplyObject(r);
	return n;
}

static uint32_t wanted_joined, wanted_left, wanted_results;

static bool all_heard(void) {
	return joined_ever >= wanted_joined && left_ever >= wanted_left;
}

static bool all_told(void) {
	uint32_t count = 0;

	for (int i = 0; i < HOSTS; i++) {
		for (int r = 0; r <= IPC_FULL; r++)
			count += host[i].results[r];
	}
	return count >= wanted_results;
}

/* Two beats of everybody. */
static uint64_t settled_at_ms;

static bool has_settled(void) {
	return evloop_now_ms(loop) > settled_at_ms;
}

static void settle(void) {
	settled_at_ms = evloop_now_ms(loop) + 2 * LEASE_MS / 3 + 200;
	wait_until(has_settled, "time stands still");
}

START_TEST(once_in_the_cluster) {
	open_world();
	add(0, 1, 7, 1);
	add(1, 1, 7, 2);
	wanted_results = 2;
	wait_until(all_told, "no answers");
	ck_assert_uint_eq(host[0].results[IPC_OK] + host[1].results[IPC_OK], 2);
	ck_assert_uint_eq(host[0].news + host[1].news, 1);
	add(1, 2, 8, 3);
	remove_one(0, 1);
	wanted_joined = 2;
	wanted_left = 0;
	wait_until(all_heard, "no arrival");
	settle();
	ck_assert(joined[1] == 1 && joined[2] == 1 && left_ever == 0);
	/* Not with another's token. */
	add(0, 2, 9, 4);
	wanted_results = 4;
	wait_until(all_told, "no answer");
	ck_assert_uint_eq(host[0].results[IPC_TAKEN], 1);
	remove_one(1, 1);
	remove_one(1, 2);
	wanted_left = 2;
	wait_until(all_heard, "no departure");
	ck_assert_int_eq(number("ZCARD t:z:room"), 0);
	ck_assert_int_eq(number("EXISTS t:h:node0 t:h:node1"), 0);
	close_world();
}
END_TEST

/* Who is on which host. */
static bool has[HOSTS][MEMBERS];

static bool is_as_wanted(void) {
	uint32_t in_all = 0;

	for (int m = 0; m < MEMBERS; m++) {
		bool is_in = has[0][m] || has[1][m];

		in_all += is_in;
		if (joined[m] != left[m] + is_in)
			return false;
	}
	return number("ZCARD t:z:room") == in_all;
}

/* A walk of both hosts over the same members, while their links are cut. */
START_TEST(links_are_cut) {
	uint64_t seed = 99;

	open_world();
	memset(has, 0, sizeof(has));
	for (int i = 0; i < 2000; i++) {
		int at = (int)random_below(&seed, HOSTS), m = (int)random_below(&seed, MEMBERS);

		if (has[at][m])
			remove_one(at, m);
		else
			add(at, m, 7, 0);
		has[at][m] = !has[at][m];
		if (i % 10 == 0) {
			settled_at_ms = 0;
			wait_until(has_settled, "no turn");
		}
		if (i % 250 == 125)
			redis_fixture_do(&redis, "CLIENT KILL TYPE normal");
	}
	wait_until(all_are_up, "not up again");
	wait_until(is_as_wanted, "not as it should be");
	settle();
	ck_assert(is_as_wanted());
	ck_assert_uint_gt(joined_ever, 100);
	close_world();
}
END_TEST

START_TEST(a_host_dies) {
	uint64_t reaped = stat_get(stats_own, STAT_redis_reaped);

	open_world();
	for (int m = 0; m < 10; m++)
		add(0, m, 7, 0);
	for (int m = 5; m < 15; m++)
		add(1, m, 7, 0);
	wanted_joined = 15;
	wanted_left = 0;
	wait_until(all_heard, "no arrivals");
	close_host(0);
	wanted_left = 5;
	wait_until(all_heard, "no departures");
	settle();
	ck_assert(joined_ever == 15 && left_ever == 5);
	ck_assert_uint_eq(host[1].nodes, 1);
	ck_assert_uint_eq(stat_get(stats_own, STAT_redis_reaped) - reaped, 10);
	ck_assert_int_eq(number("ZCARD t:z:room"), 10);
	ck_assert_int_eq(number("EXISTS t:h:node0"), 0);
	open_host(0);
	add(0, 1, 7, 0);
	wanted_joined = 16;
	wait_until(all_heard, "not back");
	close_world();
}
END_TEST

/* Both hosts at once for the last places; who dies gives his back with his lease. */
START_TEST(a_room_is_full) {
	enum { PLACES = 25, ASKING = 40 };

	open_world_with(PLACES);
	for (int m = 0; m < ASKING; m++)
		add(m % HOSTS, m, 7, (uint32_t)m + 1);
	wanted_results = ASKING;
	wait_until(all_told, "no answers");
	ck_assert_uint_eq(host[0].results[IPC_OK] + host[1].results[IPC_OK], PLACES);
	ck_assert_uint_eq(host[0].results[IPC_FULL] + host[1].results[IPC_FULL], ASKING - PLACES);
	ck_assert_uint_eq(host[0].news + host[1].news, PLACES);
	ck_assert_int_eq(number("ZCARD t:z:room"), PLACES);
	ck_assert_int_eq(number("SCARD t:h:node0") + number("SCARD t:h:node1"), PLACES);
	wanted_joined = PLACES;
	wanted_left = host[0].results[IPC_OK];
	close_host(0);
	wait_until(all_heard, "no departures");
	for (int m = 0; m < ASKING; m++)
		add(1, m, 7, (uint32_t)m + 1);
	wanted_results = 2 * ASKING;
	wait_until(all_told, "no answers");
	ck_assert_int_eq(number("ZCARD t:z:room"), PLACES);
	settle();
	ck_assert_uint_eq(joined_ever - left_ever, PLACES);
	close_world();
}
END_TEST

static bool is_restored(void) {
	return number("ZCARD t:z:room") == 12 && number("SCARD t:h:node0") == 8 && number("SCARD t:h:node1") == 8;
}

START_TEST(everything_is_flushed) {
	open_world();
	for (int m = 0; m < 8; m++) {
		add(0, m, 7, 0);
		add(1, m + 4, 7, 0);
	}
	wanted_joined = 12;
	wanted_left = 0;
	wait_until(all_heard, "no arrivals");
	redis_fixture_do(&redis, "FLUSHALL");
	wait_until(is_restored, "not healed");
	settle();
	ck_assert(joined_ever == 12 && left_ever == 0);
	remove_one(0, 0);
	add(1, 20, 7, 0);
	wanted_joined = 13;
	wanted_left = 1;
	wait_until(all_heard, "does not go on");
	close_world();
}
END_TEST

static bool is_long_ago(void) {
	return has_settled() && !redis_server_is_up(host[0].server) && !redis_server_is_up(host[1].server);
}

/* Longer than the lease: all leases look expired then. */
START_TEST(redis_is_away) {
	open_world();
	for (int m = 0; m < 8; m++) {
		add(0, m, 7, 0);
		add(1, m + 4, 7, 0);
	}
	wanted_joined = 12;
	wanted_left = 0;
	wait_until(all_heard, "no arrivals");
	redis_fixture_pause(&redis, true);
	settled_at_ms = evloop_now_ms(loop) + 3 * LEASE_MS;
	wait_until(is_long_ago, "still up");
	remove_one(0, 1);
	redis_fixture_pause(&redis, false);
	wait_until(all_are_up, "not up again");
	wanted_left = 1;
	wait_until(all_heard, "no departure");
	settle();
	settle();
	ck_assert(joined_ever == 12 && left_ever == 1 && left[1] == 1);
	ck_assert_int_eq(number("ZCARD t:z:room"), 11);
	close_world();
}
END_TEST

static bool many_are_restored(void) {
	return number("ZCARD t:z:room") == MANY && number("SCARD t:h:node0") == MANY;
}

START_TEST(many_are_said_again) {
	open_world();
	for (int m = 0; m < MANY; m++)
		add(0, m, 7, 0);
	wait_until(many_are_restored, "not in");
	wanted_joined = MANY;
	wait_until(all_heard, "no arrivals");
	redis_fixture_do(&redis, "FLUSHALL");
	wait_until(many_are_restored, "not healed");
	ck_assert(joined_ever == MANY && left_ever == 0);
	close_world();
}
END_TEST

Suite *suite_redis_presence_nodes(void);

Suite *suite_redis_presence_nodes(void) {
	Suite *s = suite_create("redis_presence_nodes");
	TCase *t = tcase_create("nodes");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, once_in_the_cluster);
	tcase_add_test(t, links_are_cut);
	tcase_add_test(t, a_host_dies);
	tcase_add_test(t, a_room_is_full);
	tcase_add_test(t, everything_is_flushed);
	tcase_add_test(t, redis_is_away);
	tcase_add_test(t, many_are_said_again);
	suite_add_tcase(s, t);
	return s;
}
