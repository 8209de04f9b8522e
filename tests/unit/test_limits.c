/* test_limits - who is counted together, and what the options allow him */
#include <check.h>
#include <time.h>

#include "server/limits/limits.h"

enum { SEATS = 2, START_MS = 1000 };

static struct config config;
static struct limits *limits;
static struct errbuf err;
static uint64_t wait_ms;

static void set(const char *name, const char *value) {
	ck_assert_msg(config_set(&config, slice_text(name), slice_text(value), &err), "%s", err.text);
}

static void make(void) {
	limits_free(&limits);
	limits = limits_new(&config, SEATS, &err);
	ck_assert_msg(limits != NULL, "%s", err.text);
	limits_sit(limits, 0);
}

static void setup(void) {
	config_init(&config);
	set("limit_entries", "1024");
	make();
}

static void teardown(void) {
	limits_free(&limits);
	config_fini(&config);
}

static struct sock_peer peer(const char *text) {
	struct sock_peer p;

	ck_assert(sock_peer_parse(slice_text(text), &p));
	return p;
}

static limit_id hold(const char *address) {
	struct sock_peer p = peer(address);
	limit_id id;

	ck_assert(limits_hold_address(limits, &p, START_MS, &id));
	return id;
}

static bool can_hold(const char *address) {
	struct sock_peer p = peer(address);
	limit_id id;
	bool is_held = limits_hold_address(limits, &p, START_MS, &id);

	if (is_held)
		limits_drop(limits, id);
	ck_assert(is_held || id == 0);
	return is_held;
}

static limit_id hold_user(const char *user) {
	limit_id id;

	ck_assert(limits_hold_user(limits, slice_text(user), START_MS, &id));
	return id;
}

static uint32_t connections_of(const char *address) {
	struct sock_peer p = peer(address);

	return limits_connections_of(limits, &p);
}

static int taken(limit_id id, enum limit_rate rate, int most) {
	int n = 0;

	while (n < most && limits_take(limits, id, rate, 1, START_MS, &wait_ms) == LIMIT_OK)
		n++;
	return n;
}

static const struct {
	const char *a, *b;
	bool is_one;
} clients[] = {
	{ "10.0.0.1:1", "10.0.0.1:2", true },
	{ "10.0.0.1", "10.0.0.2", false },
	{ "10.0.0.1", "::ffff:10.0.0.1", true },
	{ "2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true },
	{ "2001:db8:1:2::1", "2001:db8:1:3::1", false },
	{ "::1", "::2", true },
	{ "::1", "10.0.0.1", false },
	{ "unix:", "unix:", true },
	{ "unix:", "::1", false },
	{ "unix:", "0.0.0.0", false },
};

START_TEST(who_is_one_client) {
	limit_id a = hold(clients[_i].a), b = hold(clients[_i].b);

	ck_assert_msg((a == b) == clients[_i].is_one, "%s and %s", clients[_i].a, clients[_i].b);
	ck_assert_uint_ne(a, 0);
	ck_assert_uint_eq(connections_of(clients[_i].a), clients[_i].is_one ? 2 : 1);
	limits_drop(limits, a);
	limits_drop(limits, b);
	ck_assert_uint_eq(connections_of(clients[_i].a), 0);
}
END_TEST

START_TEST(a_user_is_no_address) {
	limit_id address = hold("10.0.0.1"), user = hold_user("10.0.0.1"), empty = hold_user("");

	ck_assert_uint_ne(address, user);
	ck_assert_uint_ne(user, empty);
	ck_assert_uint_eq(hold_user("10.0.0.1"), user);
	ck_assert_uint_eq(connections_of("10.0.0.1"), 1);
}
END_TEST

START_TEST(the_exempt) {
	struct sock_peer loop = peer("127.0.0.1"), other = peer("128.0.0.1"), lan = peer("fd00::1"), local = peer("unix:");
	limit_id id = 99;

	set("limit_exempt", "127.0.0.0/8,fd00::/8,unix");
	set("address_connections", "1");
	set("address_connects_per_second", "1");
	make();
	ck_assert(limits_is_exempt(limits, &loop) && limits_is_exempt(limits, &lan) && limits_is_exempt(limits, &local));
	ck_assert(!limits_is_exempt(limits, &other));
	for (int i = 0; i < 1000; i++) {
		ck_assert(limits_hold_address(limits, &loop, START_MS, &id));
		ck_assert_uint_eq(id, 0);
		ck_assert_int_eq(limits_knock(limits, &lan, START_MS, &wait_ms), LIMIT_OK);
		ck_assert_int_eq(limits_take(limits, id, LIMIT_MESSAGES, 1, START_MS, &wait_ms), LIMIT_OK);
		ck_assert(limits_hold_room(limits, id));
	}
	limits_share(limits, id);
	limits_drop_room(limits, id);
	limits_drop(limits, id);
	ck_assert_uint_eq(limits_sanction_held(limits, id, LIMIT_MUTED, 0), 0);
	ck_assert(can_hold("128.0.0.1"));
}
END_TEST

START_TEST(messages_of_one_client) {
	limit_id id = hold("10.0.0.1"), other = hold("10.0.0.2");

	ck_assert_int_eq(taken(id, LIMIT_MESSAGES, 1000), 100);
	ck_assert_uint_eq(wait_ms, 600);
	ck_assert_int_eq(limits_take(limits, id, LIMIT_MESSAGES, 1, START_MS, &wait_ms), LIMIT_OVER);
	ck_assert_int_eq(limits_take(limits, id, LIMIT_MESSAGES, 1, START_MS + 600, &wait_ms), LIMIT_OK);
	ck_assert_int_eq(limits_take(limits, id, LIMIT_BYTES, 1, START_MS, &wait_ms), LIMIT_OK);
	ck_assert_int_eq(limits_take(limits, other, LIMIT_MESSAGES, 1, START_MS, &wait_ms), LIMIT_OK);
	/* Going and coming back changes nothing, on whichever worker. */
	limits_drop(limits, id);
	limits_sit(limits, 1);
	ck_assert_uint_eq(hold("10.0.0.1"), id);
	ck_assert_int_eq(limits_take(limits, id, LIMIT_MESSAGES, 1, START_MS + 600, &wait_ms), LIMIT_WARN);
}
END_TEST

START_TEST(bursts) {
	limit_id id;

	set("joins_per_minute", "60");
	set("client_channels", "200");
	set("bytes_per_second", "1000");
	make();
	id = hold("10.0.0.1");
	ck_assert_int_eq(taken(id, LIMIT_JOINS, 1000), 200);
	ck_assert_uint_eq(wait_ms, 1000);
	/* A largest message, 1 MiB, is more than four seconds' worth. */
	ck_assert_int_eq(limits_take(limits, id, LIMIT_BYTES, LIMIT_REQUEST_BYTES + 1048576, START_MS, &wait_ms),
	    LIMIT_OK);
	ck_assert_int_eq(limits_take(limits, id, LIMIT_BYTES, 500, START_MS, &wait_ms), LIMIT_WARN);
	ck_assert_uint_eq(wait_ms, 500);
	set("joins_per_minute", "300");
	set("bytes_per_second", "1m");
	make();
	id = hold("10.0.0.1");
	ck_assert_int_eq(taken(id, LIMIT_JOINS, 1000), 300);
	ck_assert_int_eq(limits_take(limits, id, LIMIT_BYTES, LIMIT_REQUEST_BYTES + 4 * 1048576, START_MS, &wait_ms),
	    LIMIT_OK);
	ck_assert_int_eq(limits_take(limits, id, LIMIT_BYTES, 1, START_MS, &wait_ms), LIMIT_WARN);
}
END_TEST

START_TEST(knocking) {
	struct sock_peer p = peer("2001:db8::1"), neighbour = peer("2001:db8::2"), other = peer("2001:db9::1");

	set("address_connects_per_second", "10");
	make();
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(limits_knock(limits, i % 2 == 0 ? &p : &neighbour, START_MS, &wait_ms), LIMIT_OK);
	ck_assert_int_eq(limits_knock(limits, &p, START_MS, &wait_ms), LIMIT_WARN);
	ck_assert_uint_eq(wait_ms, 100);
	ck_assert_int_eq(limits_knock(limits, &neighbour, START_MS, &wait_ms), LIMIT_OVER);
	ck_assert_int_eq(limits_knock(limits, &other, START_MS, &wait_ms), LIMIT_OK);
	ck_assert_int_eq(limits_knock(limits, &p, START_MS + 100, &wait_ms), LIMIT_OK);
	ck_assert_uint_eq(connections_of("2001:db8::1"), 0);
}
END_TEST

START_TEST(connections_of_all_seats) {
	limit_id id = 0;

	set("address_connections", "3");
	make();
	for (int i = 0; i < 3; i++) {
		limits_sit(limits, i % SEATS);
		id = hold("10.0.0.1");
	}
	for (int seat = 0; seat < SEATS; seat++) {
		limits_sit(limits, seat);
		ck_assert(!can_hold("10.0.0.1"));
	}
	ck_assert_uint_eq(connections_of("10.0.0.1"), 3);
	/* Shared is not asked for. */
	limits_share(limits, id);
	ck_assert_uint_eq(connections_of("10.0.0.1"), 4);
	limits_drop(limits, id);
	limits_drop(limits, id);
	ck_assert(can_hold("10.0.0.1"));
	/* The other one's are gone with its process. */
	limits_clear_seat(limits, 0);
	ck_assert_uint_eq(connections_of("10.0.0.1"), 0);
}
END_TEST

START_TEST(bounds_of_users) {
	limit_id id, other;

	set("user_connections", "2");
	set("user_rooms", "5");
	set("address_connections", "1");
	make();
	id = hold_user("ada");
	ck_assert_uint_eq(hold_user("ada"), id);
	ck_assert(!limits_hold_user(limits, slice_text("ada"), START_MS, &other));
	ck_assert_uint_eq(other, 0);
	limits_sit(limits, 1);
	ck_assert(!limits_hold_user(limits, slice_text("ada"), START_MS, &other));
	limits_sit(limits, 0);
	for (int i = 0; i < 5; i++)
		ck_assert(limits_hold_room(limits, id));
	ck_assert(!limits_hold_room(limits, id));
	limits_drop_room(limits, id);
	ck_assert(limits_hold_room(limits, id));
}
END_TEST

START_TEST(without_limits) {
	static const char *const off[] = { "messages_per_minute", "bytes_per_second", "joins_per_minute", "address_connects_per_second",
		"address_connections", "user_connections", "user_rooms", "handshakes_per_second" };
	struct sock_peer p = peer("10.0.0.1");
	limit_id id;

	for (size_t i = 0; i < ARRAY_LEN(off); i++)
		set(off[i], "0");
	make();
	id = hold("10.0.0.1");
	for (int i = 0; i < 3000; i++) {
		ck_assert_uint_eq(hold("10.0.0.1"), id);
		ck_assert_int_eq(limits_knock(limits, &p, START_MS, &wait_ms), LIMIT_OK);
		ck_assert_int_eq(limits_take_handshake(limits, LIMIT_ASKER_HEARS, START_MS, &wait_ms), LIMIT_OK);
		for (int rate = 0; rate < LIMIT_RATES; rate++)
			ck_assert_int_eq(limits_take(limits, id, (enum limit_rate)rate, 1 << 30, START_MS, &wait_ms), LIMIT_OK);
		ck_assert(limits_hold_room(limits, id));
		ck_assert(limits_hold_connection(limits));
	}
	ck_assert_uint_eq(connections_of("10.0.0.1"), 3001);
}
END_TEST

START_TEST(handshakes_of_all) {
	set("handshakes_per_second", "50");
	make();
	for (int i = 0; i < 50; i++) {
		limits_sit(limits, i % SEATS);
		ck_assert_int_eq(limits_take_handshake(limits, LIMIT_ASKER_HEARS, START_MS, &wait_ms), LIMIT_OK);
	}
	ck_assert_int_ne(limits_take_handshake(limits, LIMIT_ASKER_DEAF, START_MS, &wait_ms), LIMIT_OK);
	ck_assert_uint_eq(wait_ms, 20);
	ck_assert_int_eq(limits_take_handshake(limits, LIMIT_ASKER_HEARS, START_MS + 20, &wait_ms), LIMIT_OK);
}
END_TEST

/* Each at 20 ms after the one before, and those at the end all at 30 s. */
START_TEST(a_herd_stands_in_a_row) {
	set("handshakes_per_second", "50");
	make();
	ck_assert_int_eq(limits_take_handshake(limits, LIMIT_ASKER_CURIOUS, START_MS, &wait_ms), LIMIT_OK);
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(limits_take_handshake(limits, i % 2 != 0 ? LIMIT_ASKER_HEARS : LIMIT_ASKER_DEAF, START_MS, &wait_ms), LIMIT_OK);
	for (uint64_t i = 1; i <= 2000; i++) {
		/* Who does not hear has no place there. */
		ck_assert_int_ne(limits_take_handshake(limits, LIMIT_ASKER_DEAF, START_MS, &wait_ms), LIMIT_OK);
		ck_assert_uint_eq(wait_ms, 20);
		limits_sit(limits, (int)i % SEATS);
		ck_assert_int_ne(limits_take_handshake(limits, i % 2 != 0 ? LIMIT_ASKER_HEARS : LIMIT_ASKER_CURIOUS, START_MS, &wait_ms), LIMIT_OK);
		ck_assert_uint_eq(wait_ms, 20 + (i < 1500 ? i : 1500) * 20);
	}
	/* Ten seconds later the row is as much shorter. */
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(limits_take_handshake(limits, LIMIT_ASKER_HEARS, START_MS + 10000, &wait_ms), LIMIT_OK);
	ck_assert_int_ne(limits_take_handshake(limits, LIMIT_ASKER_HEARS, START_MS + 10000, &wait_ms), LIMIT_OK);
	ck_assert_uint_eq(wait_ms, 20 + 20020);
}
END_TEST

START_TEST(who_only_asks_takes_nothing_but_is_bounded) {
	set("handshakes_per_second", "50");
	make();
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(limits_take_handshake(limits, LIMIT_ASKER_CURIOUS, START_MS, &wait_ms), LIMIT_OK);
	ck_assert_int_ne(limits_take_handshake(limits, LIMIT_ASKER_CURIOUS, START_MS, &wait_ms), LIMIT_OK);
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(limits_take_handshake(limits, LIMIT_ASKER_HEARS, START_MS, &wait_ms), LIMIT_OK);
	ck_assert_int_ne(limits_take_handshake(limits, LIMIT_ASKER_HEARS, START_MS, &wait_ms), LIMIT_OK);
}
END_TEST

START_TEST(connections_of_worker_and_host) {
	struct limits_usage usage;

	set("worker_connections", "3");
	set("max_connections", "5");
	make();
	for (int i = 0; i < 3; i++)
		ck_assert(limits_hold_connection(limits));
	ck_assert(!limits_hold_connection(limits));
	limits_sit(limits, 1);
	ck_assert(limits_hold_connection(limits));
	ck_assert(limits_hold_connection(limits));
	ck_assert(!limits_hold_connection(limits));
	limits_usage(limits, &usage);
	ck_assert_uint_eq(usage.connections, 5);
	limits_clear_seat(limits, 0);
	limits_usage(limits, &usage);
	ck_assert_uint_eq(usage.connections, 2);
	ck_assert(limits_hold_connection(limits));
	ck_assert(!limits_hold_connection(limits));
	limits_drop_connection(limits);
	ck_assert(limits_hold_connection(limits));
}
END_TEST

/* --- sanctions --- */

static bool sanction(const char *user, enum limit_sanction what, uint32_t until_s, uint64_t stamp_ds) {
	return limits_sanction(limits, slice_text(user), what, until_s, stamp_ds, START_MS);
}

static uint32_t sanction_of(const char *user, enum limit_sanction what, uint64_t now_s) {
	return limits_sanction_of(limits, slice_text(user), what, now_s);
}

START_TEST(sanctions) {
	uint32_t now = (uint32_t)time(NULL);
	limit_id id;

	ck_assert_uint_eq(sanction_of("eve", LIMIT_BANNED, now), 0);
	ck_assert(sanction("eve", LIMIT_BANNED, now + 10, 10 * (uint64_t)now));
	ck_assert_uint_eq(sanction_of("eve", LIMIT_BANNED, now), now + 10);
	ck_assert_uint_eq(sanction_of("eve", LIMIT_BANNED, now + 9), now + 10);
	ck_assert_uint_eq(sanction_of("eve", LIMIT_BANNED, now + 10), 0);
	ck_assert_uint_eq(sanction_of("eve", LIMIT_MUTED, now), 0);
	ck_assert_uint_eq(sanction_of("ada", LIMIT_BANNED, now), 0);
	id = hold_user("eve");
	ck_assert_uint_eq(limits_sanction_held(limits, id, LIMIT_BANNED, now), now + 10);
	ck_assert(sanction("eve", LIMIT_MUTED, now + 20, 10 * (uint64_t)now));
	ck_assert_uint_eq(limits_sanction_held(limits, id, LIMIT_MUTED, now), now + 20);
	limits_drop(limits, id);
	ck_assert(sanction("eve", LIMIT_BANNED, 0, 10 * (uint64_t)now + 1));
	ck_assert_uint_eq(sanction_of("eve", LIMIT_BANNED, now), 0);
	ck_assert_uint_eq(sanction_of("eve", LIMIT_MUTED, now), now + 20);
}
END_TEST

/* Three pieces of news, in each order, and each twice: the latest stands. */
START_TEST(sanctions_in_any_order) {
	static const int order[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	/* Today's, and around the turn of the 32 bits that are kept. */
	static const uint64_t stamps[] = { 17600000000, 21474836479 };

	for (size_t k = 0; k < ARRAY_LEN(stamps); k++) {
		uint64_t now = stamps[k] / 10;
		uint32_t until[2][3] = { { (uint32_t)now + 5, 0, (uint32_t)now + 9 }, { (uint32_t)now + 9, (uint32_t)now + 5, 0 } };

		for (int i = 0; i < 12; i++) {
			const int *of = order[i % 6];
			char user[16];

			snprintf(user, sizeof(user), "%zu %d", k, i);
			for (int n = 0; n < 6; n++)
				ck_assert(sanction(user, LIMIT_BANNED, until[i / 6][of[n % 3]], stamps[k] + (uint64_t)of[n % 3]));
			ck_assert_uint_eq(sanction_of(user, LIMIT_BANNED, now), until[i / 6][2]);
		}
	}
}
END_TEST

START_TEST(in_the_same_tenth_the_last_word_stands) {
	ck_assert(sanction("eve", LIMIT_MUTED, 2000, 10000));
	ck_assert(sanction("eve", LIMIT_MUTED, 0, 10000));
	ck_assert_uint_eq(sanction_of("eve", LIMIT_MUTED, 1000), 0);
	ck_assert(sanction("eve", LIMIT_MUTED, 3000, 10000));
	ck_assert_uint_eq(sanction_of("eve", LIMIT_MUTED, 1000), 3000);
}
END_TEST

START_TEST(sanctions_without_a_seat) {
	uint32_t now = (uint32_t)time(NULL);
	struct sock_peer p = peer("10.0.0.1");
	limit_id id = hold_user("eve");

	limits_sit(limits, LIMITS_NO_SEAT);
	ck_assert(sanction("eve", LIMIT_BANNED, now + 10, 10 * (uint64_t)now));
	ck_assert(sanction("mallory", LIMIT_BANNED, now + 10, 10 * (uint64_t)now));
	ck_assert_uint_eq(limits_sanction_held(limits, id, LIMIT_BANNED, now), now + 10);
	ck_assert_uint_eq(connections_of("10.0.0.1"), 0);
	ck_assert_int_eq(limits_knock(limits, &p, START_MS, &wait_ms), LIMIT_OK);
	limits_clear_seat(limits, LIMITS_NO_SEAT);
	ck_assert_uint_eq(sanction_of("mallory", LIMIT_BANNED, now), now + 10);
}
END_TEST

/* --- the table is full --- */

START_TEST(who_finds_no_room_is_not_counted) {
	struct limits_usage usage;
	struct sock_peer p = peer("10.0.0.1");
	uint32_t now = (uint32_t)time(NULL);
	int counted = 0, sanctioned = 0;
	char user[16];

	set("user_connections", "1");
	make();
	for (int i = 0; i < 20000; i++) {
		snprintf(user, sizeof(user), "u%d", i);
		counted += hold_user(user) != 0;
	}
	limits_usage(limits, &usage);
	ck_assert_uint_eq(usage.entries, 1024);
	ck_assert_uint_eq(usage.used, 1024);
	ck_assert_int_eq(counted, 1024);
	ck_assert_uint_eq(usage.uncounted, 20000 - 1024);
	ck_assert_int_eq(limits_knock(limits, &p, START_MS, &wait_ms), LIMIT_OK);
	ck_assert_uint_eq(hold("10.0.0.1"), 0);
	for (int i = 0; i < 20000; i++) {
		snprintf(user, sizeof(user), "u%d", i);
		sanctioned += sanction(user, LIMIT_BANNED, now + 100, 10 * (uint64_t)now);
	}
	/* Those who are there have a place for it. */
	ck_assert_int_eq(sanctioned, 1024);
	/* Banned for a while, they stay though nobody holds them. */
	limits_clear_seat(limits, 0);
	ck_assert_uint_eq(hold("10.0.0.1"), 0);
	limits_usage(limits, &usage);
	ck_assert_uint_eq(usage.used, 1024);
}
END_TEST

START_TEST(refusals) {
	char *wrong[] = { (char[]){ "10.0.0.0/33" } };

	ck_assert(!config_set(&config, slice_text("limit_exempt"), slice_text("10.0.0.0/33"), &err));
	ck_assert_str_eq(err.text, "limit_exempt: \"10.0.0.0/33\" is no address or network: want IPV4, IPV4/BITS, IPV6, IPV6/BITS or unix");
	config.limit_exempt.item = wrong;
	config.limit_exempt.count = 1;
	ck_assert_ptr_null(limits_new(&config, SEATS, &err));
	config.limit_exempt.item = NULL;
	config.limit_exempt.count = 0;
}
END_TEST

Suite *suite_limits(void);
Suite *suite_limits(void) {
	Suite *s = suite_create("limits");
	TCase *t = tcase_create("limits");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, who_is_one_client, 0, (int)ARRAY_LEN(clients));
	tcase_add_test(t, a_user_is_no_address);
	tcase_add_test(t, the_exempt);
	tcase_add_test(t, messages_of_one_client);
	tcase_add_test(t, bursts);
	tcase_add_test(t, knocking);
	tcase_add_test(t, connections_of_all_seats);
	tcase_add_test(t, bounds_of_users);
	tcase_add_test(t, without_limits);
	tcase_add_test(t, handshakes_of_all);
	tcase_add_test(t, a_herd_stands_in_a_row);
	tcase_add_test(t, who_only_asks_takes_nothing_but_is_bounded);
	tcase_add_test(t, connections_of_worker_and_host);
	tcase_add_test(t, sanctions);
	tcase_add_test(t, sanctions_in_any_order);
	tcase_add_test(t, in_the_same_tenth_the_last_word_stands);
	tcase_add_test(t, sanctions_without_a_seat);
	tcase_add_test(t, who_finds_no_room_is_not_counted);
	tcase_add_test(t, refusals);
	suite_add_tcase(s, t);
	return s;
}
