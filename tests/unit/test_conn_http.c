/* test_conn_http - requests of a client: split, pipelined, refused, late, amid a drain */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/conn_world.h"

START_TEST(split_everywhere) {
	const char *request = "POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";

	for (size_t cut = 1; cut < strlen(request); cut += 3) {
		world_forget();
		world_send_bytes(request, cut);
		world_run(NULL, 1);
		world_send_text(request + cut);
		world_expect("\r\n\r\n/post");
		ck_assert_uint_eq(w.last_body_len, 5);
		ck_assert(memcmp(w.last_body, "hello", 5) == 0);
	}
	for (size_t i = 0; i < strlen(request); i++) {
		world_send_bytes(request + i, 1);
		world_run(NULL, 0);
	}
	world_expect("/post");
}
END_TEST

START_TEST(pipelined) {
	world_send_text(GET("/one") GET("/two") "GET /th");
	world_expect("\r\n\r\n/one");
	world_expect("\r\n\r\n/two");
	ck_assert_int_eq(w.request_count, 2);
	world_send_text("ree HTTP/1.1\r\nHost: localhost\r\n\r\n");
	world_expect("\r\n\r\n/three");
	ck_assert_ptr_null(strstr((char *)w.got, "Connection: close"));
}
END_TEST

START_TEST(answered_later) {
	world_send_text(GET("/later") GET("/next"));
	world_run(NULL, 20);
	ck_assert_int_eq(w.request_count, 1);
	ck_assert_ptr_nonnull(w.waiting);
	world_send_text(GET("/third"));
	world_run(NULL, 20);
	world_respond(w.waiting, "late", 4);
	w.waiting = NULL;
	world_expect("\r\n\r\nlate");
	world_expect("\r\n\r\n/next");
	world_expect("\r\n\r\n/third");
	ck_assert_int_eq(w.gone_count, 0);
}
END_TEST

static bool is_gone(void) {
	return w.gone_count == 1;
}

START_TEST(gone_before_the_answer) {
	world_send_text(GET("/later"));
	world_run(NULL, 20);
	ck_assert_ptr_nonnull(w.waiting);
	world_leave();
	ck_assert(world_run(is_gone, GIVE_UP_MS));
	ck_assert_uint_eq(world_closed_with(CLOSE_client_eof), 1);
	ck_assert_uint_eq(conns_count(w.conns), 0);
}
END_TEST

START_TEST(pipelined_large_answers_are_held_back) {
	int count = 40;

	w.is_client_reading = false;
	for (int i = 0; i < count; i++)
		world_send_text(GET("/large"));
	world_run(NULL, 50);
	/* What waits is bounded, not what was asked for. */
	ck_assert_int_lt(w.request_count, 5);
	w.is_client_reading = true;
	for (int i = 0; i < 2000 && w.request_count < count; i++) {
		world_run(NULL, 1);
		if (w.got_len > GOT_MAX / 2)
			world_forget();
	}
	ck_assert_int_eq(w.request_count, count);
}
END_TEST

START_TEST(head) {
	world_send_text("HEAD /one HTTP/1.1\r\nHost: localhost\r\n\r\n" GET("/two"));
	world_expect("Content-Length: 4\r\n");
	world_expect("\r\n\r\n/two");
	ck_assert_ptr_null(strstr((char *)w.got, "/one"));
}
END_TEST

START_TEST(connection_close) {
	world_send_text("GET /one HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" GET("/two"));
	world_expect("\r\n\r\n/one");
	ck_assert_ptr_nonnull(strstr((char *)w.got, "Connection: close"));
	world_expect_end();
	ck_assert_int_eq(w.request_count, 1);
	ck_assert_uint_eq(world_closed_with(CLOSE_http_done), 1);
}
END_TEST

START_TEST(old_version_closes) {
	world_send_text("GET /one HTTP/1.0\r\n\r\n");
	world_expect("\r\n\r\n/one");
	world_expect_end();
}
END_TEST

START_TEST(half_closed_client_gets_its_answer) {
	world_send_text(GET("/large"));
	shutdown(w.client, SHUT_WR);
	ck_assert(world_run(world_is_ended, GIVE_UP_MS));
	ck_assert(w.got_eof);
	ck_assert_uint_gt(w.got_len, 200000);
}
END_TEST

START_TEST(client_that_keeps_alive_and_goes) {
	world_send_text(GET("/one"));
	world_expect("/one");
	world_leave();
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	ck_assert_uint_eq(world_closed_with(CLOSE_http_done), 1);
}
END_TEST

START_TEST(refusals) {
	static const struct {
		const char *request, *answer;
	} cases[] = {
		{ "rubbish\r\n\r\n", "HTTP/1.1 400 " },
		{ "GET / HTTP/2.0\r\n\r\n", "HTTP/1.1 505 " },
		{ "POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 413 " },
		{ "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\nx", "HTTP/1.1 413 " },
		{ "POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 501 " },
		{ "POST /post HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 417 " },
		{ GET("/none"), "HTTP/1.1 404 " },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		world_forget();
		w.got_eof = false;
		world_send_text(cases[i].request);
		world_expect(cases[i].answer);
		world_expect("\r\n\r\n{\"status\":");
		world_expect("\"}\n");
		ck_assert_ptr_nonnull(strstr((char *)w.got, "Connection: close"));
		world_expect_end();
		ck_assert_uint_eq(world_closed_with(CLOSE_http_refused), i + 1);
		if (i + 1 < ARRAY_LEN(cases))
			world_look_at(world_open_one(0));
	}
	ck_assert_ptr_nonnull(strstr((char *)w.got, "X-Extra: 1\r\n"));
	ck_assert_ptr_nonnull(strstr((char *)w.got, "{\"status\":404,\"error\":\"There is no \\\"/none\\\".\"}\n"));
}
END_TEST

START_TEST(head_too_large) {
	char filler[3000];

	memset(filler, 'a', sizeof(filler));
	world_send_text("GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
	for (int i = 0; i < 5 && !w.got_eof; i++) {
		if (send(w.client, filler, sizeof(filler), MSG_NOSIGNAL) < 0)
			break;
		world_run(NULL, 5);
	}
	world_expect("HTTP/1.1 431 ");
	world_expect_end();
}
END_TEST

/* The refusal comes through although the client is still sending, and it is not reset while it does. */
START_TEST(refusal_amid_an_upload) {
	char filler[20000];
	ssize_t n = 0;

	memset(filler, 'a', sizeof(filler));
	world_send_text("POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
	for (int i = 0; i < 20 && n >= 0; i++) {
		n = send(w.client, filler, sizeof(filler), MSG_NOSIGNAL);
		world_run(NULL, 2);
	}
	ck_assert(n > 0 || errno == EAGAIN);
	world_expect("HTTP/1.1 413 ");
	ck_assert(!w.got_reset);
	world_expect_end();
}
END_TEST

START_TEST(who_is_refused_by_the_head_sends_no_body) {
	world_send_text("POST /private HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\nExpect: 100-continue\r\n\r\n");
	world_expect("HTTP/1.1 401 ");
	ck_assert_ptr_null(strstr((char *)w.got, "100 Continue"));
	ck_assert_int_eq(w.request_count, 0);
	world_expect_end();
}
END_TEST

START_TEST(large_body) {
	char *body = mem_zalloc(BODY_MAX);

	memset(body, 'b', BODY_MAX);
	world_send_text("POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n");
	world_send_bytes(body, BODY_MAX / 2);
	world_run(NULL, 10);
	ck_assert_int_eq(w.request_count, 0);
	world_send_bytes(body, BODY_MAX - BODY_MAX / 2);
	world_send_text(GET("/two"));
	world_expect("\r\n\r\n/post");
	world_expect("\r\n\r\n/two");
	ck_assert_int_eq(w.request_count, 2);
	mem_free(body);
}
END_TEST

START_TEST(expect_continue) {
	world_send_text("POST /post HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	world_expect("HTTP/1.1 100 Continue\r\n\r\n");
	world_send_text("hi");
	world_expect("\r\n\r\n/post");
}
END_TEST

START_TEST(timeouts) {
	/* Nothing at all. */
	world_expect_end();
	ck_assert_uint_eq(w.got_len, 0);
	ck_assert_uint_eq(world_closed_with(CLOSE_handshake_timeout), 1);
	/* A part of a request; each byte does not lengthen it. */
	world_look_at(world_open_one(0));
	for (int i = 0; i < 100 && w.got_len == 0; i++) {
		world_send_bytes(&"GET / HTTP/1.1\r\nHost: "[i % 22], 1);
		world_run(NULL, 20);
		if (i == 21)
			break;
	}
	world_expect("HTTP/1.1 408 ");
	world_expect_end();
	ck_assert_uint_eq(world_closed_with(CLOSE_handshake_timeout), 2);
	/* A part of a body. */
	world_look_at(world_open_one(0));
	world_send_text("POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nx");
	world_expect("HTTP/1.1 408 ");
	world_expect_end();
	/* No further request. */
	world_look_at(world_open_one(0));
	world_send_text(GET("/one"));
	world_expect("/one");
	world_expect_end();
	ck_assert_uint_eq(world_closed_with(CLOSE_http_idle), 1);
}
END_TEST

/* More than a turn ends; some go by themselves while they wait for it. */
START_TEST(many_timeouts_at_once) {
	enum { MANY = 300 };
	int fd[MANY];
	uint64_t began = evloop_now_ms(w.loop);

	for (int i = 0; i < MANY; i++)
		fd[i] = world_open_one(0);
	ck_assert(!world_run(world_is_all_gone, 250));
	ck_assert_uint_eq(conns_count(w.conns), MANY + 1);
	for (int i = 0; i < MANY; i += 7) {
		close(fd[i]);
		fd[i] = -1;
	}
	world_leave();
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	/* Its time, a tick of the wheel, and then the time for the end of the answered. */
	ck_assert_uint_le(evloop_now_ms(w.loop) - began, 300 + 2000 + 700);
	ck_assert_uint_ge(world_closed_with(CLOSE_handshake_timeout), MANY - MANY / 7 - 1);
	for (int i = 0; i < MANY; i++) {
		if (fd[i] >= 0)
			close(fd[i]);
	}
}
END_TEST

START_TEST(send_timeout) {
	w.is_client_reading = false;
	world_send_text(GET("/large") GET("/large") GET("/large") GET("/large") GET("/large") GET("/large"));
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	ck_assert_uint_eq(world_closed_with(CLOSE_send_timeout), 1);
}
END_TEST

START_TEST(ended_by_its_owner) {
	world_send_text(GET("/end"));
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	ck_assert_uint_eq(world_closed_with(CLOSE_internal_error), 1);
	ck_assert_int_eq(w.gone_count, 0);
}
END_TEST

START_TEST(refused_while_draining) {
	conns_refuse_new(w.conns, true);
	world_send_text("GET /ws HTTP/1.1\r\n" HANDSHAKE);
	world_expect("HTTP/1.1 503 ");
	world_expect("Retry-After: ");
	world_expect_end();
	ck_assert_int_eq(w.open_count, 0);
	conns_refuse_new(w.conns, false);
	world_look_at(world_open_one(0));
	world_send_text(GET("/one"));
	world_expect("\r\n\r\n/one");
}
END_TEST

Suite *suite_conn_http(void);
Suite *suite_conn_http(void) {
	Suite *s = suite_create("conn_http");
	TCase *t = tcase_create("conn_http");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, world_setup, world_teardown);
	tcase_add_test(t, split_everywhere);
	tcase_add_test(t, pipelined);
	tcase_add_test(t, answered_later);
	tcase_add_test(t, gone_before_the_answer);
	tcase_add_test(t, pipelined_large_answers_are_held_back);
	tcase_add_test(t, head);
	tcase_add_test(t, connection_close);
	tcase_add_test(t, old_version_closes);
	tcase_add_test(t, half_closed_client_gets_its_answer);
	tcase_add_test(t, client_that_keeps_alive_and_goes);
	tcase_add_test(t, refusals);
	tcase_add_test(t, head_too_large);
	tcase_add_test(t, refusal_amid_an_upload);
	tcase_add_test(t, who_is_refused_by_the_head_sends_no_body);
	tcase_add_test(t, large_body);
	tcase_add_test(t, expect_continue);
	tcase_add_test(t, timeouts);
	tcase_add_test(t, many_timeouts_at_once);
	tcase_add_test(t, send_timeout);
	tcase_add_test(t, ended_by_its_owner);
	tcase_add_test(t, refused_while_draining);
	suite_add_tcase(s, t);
	return s;
}
