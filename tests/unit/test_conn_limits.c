/* test_conn_limits - a connection whose client may not take all it wants */
#include <sys/mman.h>
#include <unistd.h>

#include "common/svc/config.h"
#include "common/svc/log.h"
#include "tests/unit/conn_world.h"

#define CLIENT "203.0.113.7"

static struct config config;

static void set(const char *name, const char *value) {
	struct errbuf e;

	ck_assert_msg(config_set(&config, slice_text(name), slice_text(value), &e), "%s", e.text);
}

/* The world's own connection, by a unix socket, is exempt, and goes. */
static void setup(void) {
	struct errbuf e;

	config_init(&config);
	set("limit_exempt", "unix,198.51.100.0/24");
	set("limit_entries", "1024");
	set("messages_per_minute", "2");
	set("bytes_per_second", "10");
	set("max_message_bytes", "1024");
	set("chat_message_bytes", "256");
	set("address_connections", "1");
	set("max_connections", "2");
	set("handshakes_per_second", "2");
	set("user_rooms", "2");
	w.limits = limits_new(&config, 1, &e);
	ck_assert_ptr_nonnull(w.limits);
	limits_sit(w.limits, 0);
	world_setup();
	world_leave();
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
}

static uint32_t counted(void) {
	struct limits_usage u;

	limits_usage(w.limits, &u);
	return u.connections;
}

static void teardown(void) {
	world_teardown();
	ck_assert_uint_eq(counted(), 0);
	limits_free(&w.limits);
	config_fini(&config);
}

static uint32_t connections_of(const char *client) {
	struct sock_peer peer;

	ck_assert(sock_peer_parse(slice_text(client), &peer));
	return limits_connections_of(w.limits, &peer);
}

static void open_from(const char *from, bool is_proxy) {
	world_look_at(world_open_from(from, is_proxy));
}

static void expect_refusal(const char *status, const char *sentence) {
	char error[128];

	snprintf(error, sizeof(error), "\"error\":\"%s\"}\n", sentence);
	world_expect(error);
	ck_assert(memcmp(w.got, status, strlen(status)) == 0);
	ck_assert_ptr_nonnull(strstr((char *)w.got, "\r\nRetry-After: "));
}

static bool is_one_left(void) {
	return conns_count(w.conns) == 1;
}

START_TEST(messages) {
	open_from(CLIENT, false);
	world_upgrade();
	world_send_message("one");
	world_expect_frame(WS_FIN | WS_TEXT, "one");
	world_send_message("two");
	world_expect_frame(WS_FIN | WS_TEXT, "two");
	world_send_message("three");
	world_expect_frame(WS_FIN | WS_TEXT, "limited 5");
	ck_assert_int_eq(w.message_count, 2);
	ck_assert_uint_eq(connections_of(CLIENT), 1);
	/* What stands behind it is not done, either. */
	world_send_message("four");
	world_send_message("five");
	world_expect_close(1008, "Rate limit exceeded");
	world_expect_end();
	ck_assert_int_eq(w.message_count, 2);
	ck_assert_int_eq(w.limited_count, 1);
	ck_assert_uint_eq(world_closed_with(CLOSE_rate_limited), 1);
	ck_assert_uint_eq(connections_of(CLIENT), 0);
}
END_TEST

START_TEST(control_frames) {
	open_from(CLIENT, false);
	world_upgrade();
	world_send_frame(WS_FIN | WS_PONG, "", 0);
	world_expect_frame(WS_FIN | WS_TEXT, "limited 0");
	world_send_frame(WS_FIN | WS_PING, "x", 1);
	world_expect_close(1008, "Rate limit exceeded");
	world_expect_end();
}
END_TEST

START_TEST(frames_behind_the_handshake) {
	uint8_t bytes[2048];
	size_t len = strlen("GET /ws HTTP/1.1\r\n" HANDSHAKE);

	memcpy(bytes, "GET /ws HTTP/1.1\r\n" HANDSHAKE, len);
	len += world_put_frame(bytes + len, WS_FIN | WS_BINARY, (uint8_t[700]){ 0 }, 700);
	len += world_put_frame(bytes + len, WS_FIN | WS_BINARY, (uint8_t[700]){ 0 }, 700);
	open_from(CLIENT, false);
	world_send_bytes(bytes, len);
	world_expect("limited 0");
	ck_assert_int_eq(w.limited_count, 1);
	ck_assert_int_eq(w.message_count, 2);
}
END_TEST

START_TEST(requests) {
	static const char *const others[] = { "198.51.100.1", "10.0.0.1" };

	open_from(CLIENT, false);
	world_send_text(GET("/one"));
	world_expect("/one");
	world_forget();
	world_send_text(GET("/two"));
	expect_refusal("HTTP/1.1 429 ", "too many requests from this address");
	ck_assert_int_eq(w.request_count, 1);
	ck_assert_uint_eq(world_closed_with(CLOSE_limit_reached), 1);
	world_expect_end();
	/* Who is exempt, or speaks for others. */
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		open_from(others[i], false);
		world_send_text(GET("/one") GET("/two") GET("/three"));
		world_expect("/three");
		world_leave();
		ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	}
}
END_TEST

/* Holds so many addresses that there is no room for another one. */
static void fill_table(void) {
	struct sock_peer peer = { .ip = { 0x20, 0x01, 0x0d, 0xb8 } };
	struct limits_usage u;
	limit_id id;

	for (uint32_t i = 0; i < 100000; i++) {
		memcpy(peer.ip + 4, &i, sizeof(i));
		ck_assert(limits_hold_address(w.limits, &peer, 1, &id));
	}
	limits_usage(w.limits, &u);
	ck_assert_uint_eq(u.used, u.entries);
}

/* What is logged meanwhile. */
static const char *log_of(void (*act)(void)) {
	static char text[4096];
	int saved = dup(STDERR_FILENO), file = memfd_create("log", MFD_CLOEXEC);
	ssize_t len;

	ck_assert_int_eq(dup2(file, STDERR_FILENO), STDERR_FILENO);
	log_set_level(LOG_WARN);
	act();
	log_set_level(LOG_ERROR);
	dup2(saved, STDERR_FILENO);
	len = pread(file, text, sizeof(text) - 1, 0);
	ck_assert_int_ge(len, 0);
	text[len] = '\0';
	close(saved);
	close(file);
	return text;
}

static void open_two(void) {
	open_from("203.0.113.1", false);
	world_leave();
	open_from("203.0.113.2", false);
}

static void hold_a_user(void) {
	conn_hold_user(w.opened, slice_text("anna"));
}

static void be_exempt(void) {
	open_from("198.51.100.1", false);
	world_send_text(GET("/one"));
	world_expect("/one");
}

#define NO_ROOM "message=\"clients are not counted, and so not limited: limit_entries is too small\" peer="

START_TEST(no_room_in_the_table) {
	const char *text;

	fill_table();
	text = log_of(open_two);
	ck_assert_ptr_nonnull(strstr(text, " warn "));
	ck_assert_ptr_nonnull(strstr(text, NO_ROOM "203.0.113.1"));
	/* One line of a flood. */
	ck_assert_ptr_null(strstr(text, "203.0.113.2"));
	world_upgrade();
	world_leave();
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	ck_assert_str_eq(log_of(be_exempt), "");
}
END_TEST

START_TEST(no_room_for_a_user) {
	open_from(CLIENT, false);
	world_upgrade();
	fill_table();
	ck_assert_ptr_nonnull(strstr(log_of(hold_a_user), NO_ROOM CLIENT));
	ck_assert_uint_eq(conn_user_limit(w.opened), 0);
}
END_TEST

START_TEST(at_the_door) {
	int first;

	open_from(CLIENT, false);
	first = w.client;
	/* Nothing was asked yet. */
	open_from(CLIENT, false);
	expect_refusal("HTTP/1.1 429 ", "too many connections from this address");
	ck_assert(world_run(world_is_ended, GIVE_UP_MS));
	ck_assert_uint_eq(counted(), 1);
	ck_assert_uint_eq(conns_count(w.conns), 2);
	world_leave();
	ck_assert(world_run(is_one_left, GIVE_UP_MS));
	open_from("203.0.113.8", false);
	open_from("203.0.113.9", false);
	expect_refusal("HTTP/1.1 503 ", "the server has as many clients as it takes");
	ck_assert_uint_eq(counted(), 2);
	close(first);
}
END_TEST

START_TEST(by_the_proxy_protocol) {
	open_from(CLIENT, false);
	open_from("10.0.0.1", true);
	ck_assert_uint_eq(counted(), 1);
	world_send_text("PROXY TCP4 " CLIENT " 192.0.2.1 1 2\r\n");
	expect_refusal("HTTP/1.1 429 ", "too many connections from this address");
	open_from("10.0.0.1", true);
	world_send_text("PROXY TCP4 203.0.113.8 192.0.2.1 1 2\r\nGET /peer HTTP/1.1\r\nHost: a\r\n\r\n");
	world_expect("203.0.113.8:1");
	ck_assert_uint_eq(counted(), 2);
}
END_TEST

START_TEST(with_a_request_of_a_proxy) {
	open_from("10.0.0.1", false);
	world_send_text("GET /peer HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: " CLIENT "\r\n\r\n");
	world_expect(CLIENT);
	ck_assert_uint_eq(counted(), 0);
	world_forget();
	world_send_text("GET /ws HTTP/1.1\r\nX-Forwarded-For: " CLIENT "\r\n" HANDSHAKE);
	world_expect("101 Switching Protocols");
	ck_assert_uint_eq(counted(), 1);
	ck_assert_uint_eq(connections_of(CLIENT), 1);
	ck_assert_uint_eq(connections_of("10.0.0.1"), 0);
}
END_TEST

START_TEST(handshakes) {
	static const char *const clients[] = { "203.0.113.1", "203.0.113.2" };

	for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
		open_from(clients[i], false);
		world_send_text("GET /ws HTTP/1.1\r\n" HANDSHAKE);
		world_expect("101 Switching Protocols");
		world_leave();
		ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	}
	open_from(CLIENT, false);
	world_send_text("GET /ws HTTP/1.1\r\n" HANDSHAKE);
	expect_refusal("HTTP/1.1 503 ", "too many WebSockets are being opened at the moment");
}
END_TEST

START_TEST(a_user_without_a_token) {
	struct sock_peer peer;
	limit_id user;

	open_from(CLIENT, false);
	world_upgrade();
	ck_assert_uint_eq(conn_user_limit(w.opened), 0);
	conn_hold_user(w.opened, slice_text("anna"));
	user = conn_user_limit(w.opened);
	ck_assert_uint_ne(user, 0);
	conn_hold_user(w.opened, slice_text("ben"));
	ck_assert_uint_eq(conn_user_limit(w.opened), user);
	/* What is taken is still the address's. */
	ck_assert_uint_ne(conn_client_limit(w.opened), user);
	ck_assert(sock_peer_parse(slice_text(CLIENT), &peer));
	ck_assert_uint_eq(limits_connections_of(w.limits, &peer), 1);
}
END_TEST

START_TEST(rooms) {
	open_from(CLIENT, false);
	world_upgrade();
	for (int i = 0; i < 3; i++) {
		ck_assert(conn_hold_room(w.opened) && conn_hold_room(w.opened));
		ck_assert(!conn_hold_room(w.opened));
		conn_drop_room(w.opened);
		ck_assert(conn_hold_room(w.opened));
		ck_assert(!conn_hold_room(w.opened));
		conn_drop_room(w.opened);
		conn_drop_room(w.opened);
	}
}
END_TEST

START_TEST(rooms_of_who_is_exempt) {
	open_from("198.51.100.1", false);
	world_upgrade();
	for (int i = 0; i < 10; i++)
		ck_assert(conn_hold_room(w.opened));
	conn_drop_room(w.opened);
}
END_TEST

Suite *suite_conn_limits(void);
Suite *suite_conn_limits(void) {
	Suite *s = suite_create("conn_limits");
	TCase *t = tcase_create("all");

	suite_add_tcase(s, t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, messages);
	tcase_add_test(t, control_frames);
	tcase_add_test(t, frames_behind_the_handshake);
	tcase_add_test(t, requests);
	tcase_add_test(t, no_room_in_the_table);
	tcase_add_test(t, no_room_for_a_user);
	tcase_add_test(t, at_the_door);
	tcase_add_test(t, by_the_proxy_protocol);
	tcase_add_test(t, with_a_request_of_a_proxy);
	tcase_add_test(t, handshakes);
	tcase_add_test(t, a_user_without_a_token);
	tcase_add_test(t, rooms);
	tcase_add_test(t, rooms_of_who_is_exempt);
	return s;
}
