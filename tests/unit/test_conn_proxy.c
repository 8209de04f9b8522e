/* test_conn_proxy - a connection behind proxies: who the client is, and who may say so */
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/conn_world.h"

#define FROM(list) "GET /peer HTTP/1.1\r\nHost: a\r\n" list "\r\n"
#define HEADER "PROXY TCP4 192.0.2.1 192.0.2.9 51234 443\r\n"

/* In place of the world's own: from this address. */
static void open_from(const char *from, bool is_proxy) {
	world_leave();
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	world_look_at(world_open_from(from, is_proxy));
}

static void ask(const char *request, const char *client) {
	world_forget();
	world_send_text(request);
	world_expect("\r\n\r\n");
	world_expect(client);
	ck_assert_str_eq(strstr((char *)w.got, "\r\n\r\n") + 4, client);
}

START_TEST(each_request_has_its_client) {
	open_from("10.0.0.1:5", false);
	ask(FROM(""), "10.0.0.1:5");
	ask(FROM("X-Forwarded-For: 203.0.113.7\r\n"), "203.0.113.7");
	ask(FROM("x-forwarded-for: 192.0.2.66, 2001:db8::7\r\n"), "2001:db8::7");
	/* Several headers are one list. */
	ask(FROM("X-Forwarded-For: 203.0.113.8\r\nX-Other: 1\r\nX-Forwarded-For: 10.0.0.2,10.0.0.3\r\n"), "203.0.113.8");
	ask(FROM("X-Forwarded-For: 203.0.113.8\r\nX-Forwarded-For: x,10.0.0.3\r\n"), "10.0.0.3");
	ask(FROM(""), "10.0.0.1:5");
	ck_assert_uint_eq(stat_get(stats_own, STAT_forwarded_requests), 4);
}
END_TEST

START_TEST(of_others_nothing_is_believed) {
	uint64_t before = stat_get(stats_own, STAT_forwarded_requests);

	open_from("192.0.2.5:5", false);
	ask(FROM("X-Forwarded-For: 203.0.113.7\r\n"), "192.0.2.5:5");
	ck_assert_uint_eq(stat_get(stats_own, STAT_forwarded_requests), before);
}
END_TEST

START_TEST(a_client_stays_for_its_websocket) {
	char text[SOCK_TEXT_MAX];

	open_from("10.0.0.1:5", false);
	world_send_text("GET /ws HTTP/1.1\r\nX-Forwarded-For: 203.0.113.7\r\n" HANDSHAKE);
	world_expect("\r\n\r\n");
	world_forget();
	world_send_message("hello");
	world_expect_frame(WS_FIN | WS_TEXT, "hello");
	sock_peer_text(conn_peer(w.opened), text);
	ck_assert_str_eq(text, "203.0.113.7");
	world_send_close(1000);
	world_expect_close(1000, "");
	world_expect_end();
}
END_TEST

START_TEST(a_header_byte_by_byte_and_then_requests) {
	uint64_t before = stat_get(stats_own, STAT_proxy_headers);

	open_from("10.0.0.1:5", true);
	for (size_t i = 0; i < strlen(HEADER); i++) {
		world_send_bytes(HEADER + i, 1);
		world_run(NULL, 1);
	}
	ask(FROM(""), "192.0.2.1:51234");
	/* The client is not trusted itself, so it cannot speak for others. */
	ask(FROM("X-Forwarded-For: 203.0.113.7\r\n"), "192.0.2.1:51234");
	ck_assert_uint_eq(stat_get(stats_own, STAT_proxy_headers), before + 1);
}
END_TEST

START_TEST(a_header_and_a_request_at_once) {
	open_from("10.0.0.1:5", true);
	ask("PROXY TCP4 10.0.0.2 192.0.2.9 51234 443\r\n" FROM("X-Forwarded-For: 203.0.113.7\r\n"), "203.0.113.7");
	ask(FROM(""), "10.0.0.2:51234");
}
END_TEST

START_TEST(the_proxy_for_itself) {
	open_from("10.0.0.1:5", true);
	ask("PROXY UNKNOWN\r\n" FROM(""), "10.0.0.1:5");
}
END_TEST

START_TEST(who_is_not_trusted_is_ended) {
	open_from("192.0.2.5:5", true);
	world_expect_end();
	ck_assert_uint_eq(world_closed_with(CLOSE_proxy_untrusted), 1);
}
END_TEST

START_TEST(who_sends_no_header_is_ended) {
	open_from("10.0.0.1:5", true);
	world_send_text(FROM(""));
	ck_assert(world_run(world_is_ended, GIVE_UP_MS));
	ck_assert_uint_eq(world_closed_with(CLOSE_proxy_header_bad), 1);
	ck_assert_int_eq(w.request_count, 0);
}
END_TEST

START_TEST(who_stops_amid_it_is_ended) {
	open_from("10.0.0.1:5", true);
	world_send_text("PROXY TCP4 ");
	world_expect_end();
	ck_assert_uint_eq(world_closed_with(CLOSE_proxy_header_timeout), 1);
}
END_TEST

START_TEST(who_leaves_amid_it_is_gone) {
	open_from("10.0.0.1:5", true);
	world_send_text("PROXY TCP4 ");
	world_run(NULL, 5);
	world_leave();
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	ck_assert_uint_ge(world_closed_with(CLOSE_client_eof), 1);
}
END_TEST

START_TEST(a_drain_does_not_wait_for_headers) {
	open_from("10.0.0.1:5", true);
	world_send_text("PROXY TCP4 ");
	world_run(NULL, 5);
	conns_drain(w.conns, 0);
	world_expect_end();
	ck_assert_uint_eq(world_closed_with(CLOSE_proxy_header_timeout), 0);
}
END_TEST

Suite *suite_conn_proxy(void);
Suite *suite_conn_proxy(void) {
	Suite *s = suite_create("conn_proxy");
	TCase *t = tcase_create("conn_proxy");

	tcase_add_checked_fixture(t, world_setup, world_teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, each_request_has_its_client);
	tcase_add_test(t, of_others_nothing_is_believed);
	tcase_add_test(t, a_client_stays_for_its_websocket);
	tcase_add_test(t, a_header_byte_by_byte_and_then_requests);
	tcase_add_test(t, a_header_and_a_request_at_once);
	tcase_add_test(t, the_proxy_for_itself);
	tcase_add_test(t, who_is_not_trusted_is_ended);
	tcase_add_test(t, who_sends_no_header_is_ended);
	tcase_add_test(t, who_stops_amid_it_is_ended);
	tcase_add_test(t, who_leaves_amid_it_is_gone);
	tcase_add_test(t, a_drain_does_not_wait_for_headers);
	suite_add_tcase(s, t);
	return s;
}
