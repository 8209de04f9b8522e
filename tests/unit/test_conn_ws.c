/* test_conn_ws - a WebSocket's life: frames, every end, slow clients, heartbeat, drain */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/svc/log.h"
#include "tests/unit/conn_world.h"

START_TEST(echo) {
	world_upgrade();
	world_send_message("hello");
	world_expect_frame(WS_FIN | WS_TEXT, "hello");
	world_send_frame(WS_TEXT, "hel", 3);
	world_send_frame(WS_FIN | WS_PING, "p", 1);
	world_expect_frame(WS_FIN | WS_PONG, "p");
	world_send_frame(WS_FIN | WS_CONTINUATION, "lo", 2);
	world_expect_frame(WS_FIN | WS_TEXT, "hello");
	world_send_frame(WS_FIN | WS_BINARY, "\xff", 1);
	world_expect_frame(WS_FIN | WS_BINARY, "\xff");
	ck_assert_int_eq(w.message_count, 3);
}
END_TEST

START_TEST(frames_behind_the_handshake) {
	uint8_t bytes[1024] = "GET /ws HTTP/1.1\r\n" HANDSHAKE;
	size_t len = strlen((char *)bytes);

	len += world_put_frame(bytes + len, WS_FIN | WS_TEXT, "first", 5);
	len += world_put_frame(bytes + len, WS_FIN | WS_TEXT, "second", 6);
	for (size_t cut = 20; cut < len; cut += 7) {
		world_forget();
		world_send_bytes(bytes, cut);
		world_run(NULL, 1);
		world_send_bytes(bytes + cut, len - cut);
		world_expect("\x81\x05"
		       "first\x81\x06second");
		world_leave();
		ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
		world_look_at(world_open_one(0));
	}
}
END_TEST

START_TEST(upgrade_behind_a_request) {
	uint8_t bytes[1024] = GET("/one") "GET /ws HTTP/1.1\r\n" HANDSHAKE;
	size_t len = strlen((char *)bytes);

	len += world_put_frame(bytes + len, WS_FIN | WS_TEXT, "first", 5);
	world_send_bytes(bytes, len);
	world_expect("\r\n\r\n/oneHTTP/1.1 101 ");
	world_expect("\x81\x05"
	       "first");
}
END_TEST

START_TEST(closed_by_the_client) {
	world_upgrade();
	world_send_message("bye");
	world_send_close(4001);
	world_send_message("not heard");
	world_expect_frame(WS_FIN | WS_TEXT, "bye");
	world_expect_close(4001, "");
	world_expect_end();
	ck_assert_int_eq(w.message_count, 1);
	ck_assert_int_eq(w.closed_count, 1);
	ck_assert_int_eq(w.by_server_count, 0);
	ck_assert_uint_eq(world_closed_with(CLOSE_client_close), 1);
	ck_assert_uint_eq(world_close_timeouts(), 0);
}
END_TEST

START_TEST(closed_without_a_code) {
	world_upgrade();
	world_send_close(0);
	world_expect_frame(WS_FIN | WS_CLOSE, "");
	world_expect_end();
	ck_assert_uint_eq(world_closed_with(CLOSE_client_close), 1);
}
END_TEST

START_TEST(eof) {
	world_upgrade();
	shutdown(w.client, SHUT_WR);
	ck_assert(world_run(world_is_closed, GIVE_UP_MS));
	ck_assert_uint_eq(world_closed_with(CLOSE_client_eof), 1);
	ck_assert_int_eq(w.by_server_count, 0);
}
END_TEST

START_TEST(reset) {
	struct linger none = { .l_onoff = 1, .l_linger = 0 };

	world_leave();
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	world_look_at(world_connect_tcp());
	world_upgrade();
	ck_assert_int_eq(setsockopt(w.client, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
	world_leave();
	ck_assert(world_run(world_is_closed, GIVE_UP_MS));
	ck_assert_uint_eq(world_closed_with(CLOSE_client_reset), 1);
}
END_TEST

START_TEST(bad_frames) {
	static const struct {
		uint8_t first;
		const char *payload;
		size_t len;
		uint16_t code;
		enum close_reason reason;
	} cases[] = {
		{ WS_FIN | WS_RSV1 | WS_TEXT, "x", 1, 1002, CLOSE_protocol_error },
		{ WS_FIN | WS_TEXT, "\xc0\x80", 2, 1007, CLOSE_bad_utf8 },
		{ WS_FIN | WS_TEXT, NULL, MESSAGE_MAX + 1, 1009, CLOSE_too_big },
	};
	char *large = mem_zalloc(MESSAGE_MAX + 1);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		world_upgrade();
		world_send_message("before");
		world_expect_frame(WS_FIN | WS_TEXT, "before");
		if (cases[i].payload != NULL)
			world_send_frame(cases[i].first, cases[i].payload, cases[i].len);
		else
			world_send_frame(cases[i].first, large, cases[i].len);
		ck_assert(world_run(world_has_frame_head, GIVE_UP_MS));
		ck_assert_uint_eq(w.got[0], WS_FIN | WS_CLOSE);
		ck_assert_uint_eq((unsigned)w.got[2] << 8 | w.got[3], cases[i].code);
		ck_assert_uint_gt(w.got[1], 2);
		world_expect_end();
		ck_assert_uint_eq(world_closed_with(cases[i].reason), 1);
		ck_assert_int_eq(w.by_server_count, 0);
		ck_assert_uint_eq(world_close_timeouts(), 0);
		world_look_at(world_open_one(0));
		world_forget();
		w.open_count = w.closed_count = 0;
	}
	mem_free(large);
}
END_TEST

START_TEST(closed_by_its_owner) {
	uint8_t bytes[200];
	size_t len;

	world_upgrade();
	len = world_put_frame(bytes, WS_FIN | WS_TEXT, "close policy", 12);
	len += world_put_frame(bytes + len, WS_FIN | WS_TEXT, "ignored", 7);
	world_send_bytes(bytes, len);
	w.reply_at_close = true;
	/* What on_closed still had for it comes before the close frame. */
	world_expect_frame(WS_FIN | WS_TEXT, "last words");
	world_expect_close(1008, "too many errors: said so");
	ck_assert_int_eq(w.message_count, 1);
	ck_assert_int_eq(w.closed_count, 1);
	ck_assert(!w.got_eof);
	conn_send(w.opened, WS_TEXT, slice_text("too late"));
	conn_close(w.opened, CLOSE_going_away, NULL);
	world_send_message("still ignored");
	world_send_close(1008);
	world_expect_end();
	ck_assert_uint_eq(w.got_len, 0);
	ck_assert_int_eq(w.message_count, 1);
	ck_assert_int_eq(w.closed_count, 1);
	ck_assert_uint_eq(world_closed_with(CLOSE_policy), 1);
	ck_assert_uint_eq(world_closed_with(CLOSE_going_away), 0);
	ck_assert_uint_eq(world_close_timeouts(), 0);
}
END_TEST

START_TEST(close_never_answered) {
	uint64_t began;

	world_upgrade();
	world_send_message("close internal");
	world_expect_close(1011, "internal error");
	began = evloop_now_ms(w.loop);
	ck_assert_int_eq(w.by_server_count, 1);
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	ck_assert_uint_ge(evloop_now_ms(w.loop) - began, 1800);
	ck_assert_uint_le(evloop_now_ms(w.loop) - began, 3000);
	ck_assert_uint_eq(world_closed_with(CLOSE_internal_error), 1);
	ck_assert_uint_eq(world_close_timeouts(), 1);
}
END_TEST

START_TEST(heartbeat) {
	uint64_t pings = stat_get(stats_own, STAT_pings_sent);

	world_upgrade();
	world_expect_frame(WS_FIN | WS_PING, "");
	world_send_frame(WS_FIN | WS_PONG, "", 0);
	world_expect_frame(WS_FIN | WS_PING, "");
	/* Any bytes count, also a part of a frame. */
	world_send_bytes("\x81", 1);
	world_expect_frame(WS_FIN | WS_PING, "");
	ck_assert_uint_eq(stat_get(stats_own, STAT_pings_sent), pings + 3);
	world_expect_close(1001, "ping timeout");
	ck_assert_int_eq(w.by_server_count, 0);
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	ck_assert_uint_eq(world_closed_with(CLOSE_ping_timeout), 1);
}
END_TEST

/* --- who does not take its data --- */

static void offer(size_t bytes, uint32_t count) {
	struct rcbuf *frames = rcbuf_try_new(bytes + WS_SERVER_HEADER_MAX);
	uint8_t header[WS_SERVER_HEADER_MAX];
	char *payload = mem_zalloc(bytes);

	rcbuf_add(frames, slice_of(header, ws_frame_header(header, WS_FIN | WS_BINARY, bytes)));
	rcbuf_add(frames, slice_of(payload, bytes));
	for (uint32_t i = 0; i < count; i++)
		conn_send_frames(w.opened, frames, NULL, 1);
	mem_free(payload);
	rcbuf_unref(&frames);
}

START_TEST(slow_client) {
	uint64_t began;

	world_upgrade();
	w.is_client_reading = false;
	for (int i = 0; i < 100 && w.closed_count == 0; i++) {
		offer(50000, 1);
		world_run(NULL, 0);
	}
	began = evloop_now_ms(w.loop);
	ck_assert_int_eq(w.closed_count, 1);
	ck_assert_int_eq(w.by_server_count, 1);
	ck_assert_uint_eq(world_closed_with(CLOSE_slow_client), 1);
	world_run(NULL, 5);
	/* All that was not begun is dropped. */
	ck_assert_uint_lt(stat_get(stats_own, STAT_client_queue_bytes), 60000);
	w.is_client_reading = true;
	world_expect("too slow, reconnect to recover");
	/* In step to the end: whole frames and then the close frame. */
	for (;;) {
		ck_assert_uint_gt(w.got_len, 2);
		if (w.got[0] != (WS_FIN | WS_BINARY))
			break;
		ck_assert_uint_ge(w.got_len, 50004);
		w.got_len -= 50004;
		memmove(w.got, w.got + 50004, w.got_len + 1);
	}
	world_expect_close(1013, "too slow, reconnect to recover");
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	ck_assert_uint_le(evloop_now_ms(w.loop) - began, 2600);
}
END_TEST

static size_t wanted_len;

static bool has_come(void) {
	return w.got_len >= wanted_len;
}

static void expect_bytes(size_t len) {
	wanted_len = len;
	ck_assert(world_run(has_come, GIVE_UP_MS));
	ck_assert_uint_eq(w.got_len, len);
}

/* A burst above the limit, to a client that takes all it gets, is no reason. */
START_TEST(burst_to_a_fast_client) {
	world_upgrade();
	for (int i = 0; i < 5; i++) {
		offer(60000, 2);
		expect_bytes((size_t)(i + 1) * 2 * 60004);
	}
	ck_assert_int_eq(w.closed_count, 0);
	ck_assert_uint_eq(stat_get(stats_own, STAT_client_queue_bytes), 0);
}
END_TEST

/* Neither is one that is more than a turn's share. */
START_TEST(burst_larger_than_a_share) {
	world_leave();
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	world_look_at(world_open_one(1 << 20));
	world_upgrade();
	offer(60000, 11);
	ck_assert(conn_is_open(w.opened));
	expect_bytes(11 * 60004);
	ck_assert_int_eq(w.closed_count, 0);
}
END_TEST

START_TEST(send_timeout) {
	world_upgrade();
	w.is_client_reading = false;
	offer(250000, 1);
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	ck_assert_uint_eq(world_closed_with(CLOSE_send_timeout), 1);
	ck_assert_int_eq(w.by_server_count, 1);
}
END_TEST

/* What the kernel holds for a peer that takes nothing must not stay there. */
START_TEST(send_timeout_resets) {
	world_leave();
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	world_look_at(world_connect_tcp());
	world_upgrade();
	w.is_client_reading = false;
	ck_assert_int_eq(setsockopt(w.client, SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int)), 0);
	offer(7000000, 1);
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	ck_assert_uint_eq(world_closed_with(CLOSE_send_timeout), 1);
	w.is_client_reading = true;
	ck_assert(world_run(world_is_ended, GIVE_UP_MS));
	ck_assert(w.got_reset);
}
END_TEST

START_TEST(reads_pause_and_resume) {
	uint64_t paused = stat_get(stats_own, STAT_reads_paused);
	char *payload = mem_zalloc(20000);
	int sent = 0;
	ssize_t n = 0;

	world_leave();
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	world_look_at(world_open_one(30000));
	world_upgrade();
	w.is_client_reading = false;
	for (int i = 0; i < 200; i++) {
		uint8_t frame[20000 + WS_HEADER_MAX];
		size_t len = world_put_frame(frame, WS_FIN | WS_BINARY, payload, 20000);

		n = send(w.client, frame, len, MSG_NOSIGNAL);
		if (n < 0)
			break;
		ck_assert_int_eq(n, (ssize_t)len);
		sent++;
		world_run(NULL, 0);
	}
	ck_assert_int_lt(n, 0); /* at last it is not read from any more */
	ck_assert_int_lt(w.message_count, sent);
	ck_assert_int_eq(w.closed_count, 0);
	ck_assert_uint_eq(stat_get(stats_own, STAT_reads_paused), paused + 1);
	w.is_client_reading = true;
	for (int i = 0; i < 1000 && w.message_count < sent; i++)
		world_run(NULL, 1);
	ck_assert_int_eq(w.message_count, sent);
	expect_bytes((size_t)sent * 20004);
	mem_free(payload);
}
END_TEST

/* --- drain --- */

START_TEST(drain_is_spread) {
	enum { COUNT = 10, SPREAD_MS = 500 };
	int clients[COUNT];
	uint64_t began;

	world_leave();
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	for (int i = 0; i < COUNT; i++) {
		world_look_at(clients[i] = world_open_one(0));
		w.open_count = 0;
		world_upgrade();
	}
	w.open_count = COUNT;
	world_look_at(world_open_one(0));
	world_send_text(GET("/one"));
	world_expect("/one");
	began = evloop_now_ms(w.loop);
	conns_drain(w.conns, SPREAD_MS);
	/* The idle one at once. */
	ck_assert(world_run(world_is_ended, 100));
	ck_assert_int_le(w.closed_count, 3);
	world_run(NULL, SPREAD_MS / 2 - (evloop_now_ms(w.loop) - began));
	ck_assert_int_ge(w.closed_count, 4);
	ck_assert_int_le(w.closed_count, 7);
	world_run(NULL, SPREAD_MS / 2 + 20);
	ck_assert_int_eq(w.closed_count, COUNT);
	ck_assert_int_eq(w.by_server_count, COUNT);
	world_leave();
	for (int i = 0; i < COUNT; i++) {
		uint8_t frame[64];
		ssize_t n = recv(clients[i], frame, sizeof(frame), 0);

		ck_assert_int_eq(n, 4 + (ssize_t)strlen("server is going away"));
		ck_assert_uint_eq((unsigned)frame[2] << 8 | frame[3], 1001);
		close(clients[i]);
	}
	w.client = -1;
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
}
END_TEST

START_TEST(drain_sends_what_waits) {
	world_upgrade();
	conn_send(w.opened, WS_TEXT, slice_text("on its way"));
	conns_drain(w.conns, 0);
	world_expect_frame(WS_FIN | WS_TEXT, "on its way");
	world_expect_close(1001, "server is going away");
	world_send_close(1001);
	world_expect_end();
	world_look_at(world_open_one(0));
	world_send_text(GET("/one"));
	world_expect("HTTP/1.1 503 ");
	world_expect_end();
}
END_TEST

START_TEST(drain_amid_a_request) {
	world_send_text(GET("/later"));
	world_run(NULL, 20);
	conns_drain(w.conns, 0);
	world_run(NULL, 20);
	ck_assert_ptr_nonnull(w.waiting);
	world_respond(w.waiting, "late", 4);
	world_expect("Connection: close");
	world_expect("\r\n\r\nlate");
	world_expect_end();
}
END_TEST

/* --- the rest --- */

START_TEST(freed_amid_everything) {
	int open_client = w.client, others[3];

	world_upgrade();
	world_look_at(others[0] = world_open_one(0));
	world_send_text(GET("/later") GET("/next"));
	world_look_at(others[1] = world_open_one(0));
	world_send_text("GET / HT");
	world_look_at(others[2] = world_open_one(0));
	world_send_text(GET("/large") GET("/large") GET("/large") GET("/large"));
	w.is_client_reading = false;
	world_run(NULL, 20);
	conn_send(w.opened, WS_TEXT, slice_text("never sent"));
	world_respond(w.waiting, "late", 4);
	conns_free(&w.conns);
	ck_assert_int_eq(w.closed_count, 1);
	close(open_client);
	for (int i = 0; i < 3; i++)
		close(others[i]);
	w.client = -1;
}
END_TEST

START_TEST(many_echoes_over_tcp) {
	char *payload = mem_zalloc(100000);

	world_leave();
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
	world_look_at(world_connect_tcp());
	world_upgrade();
	for (int i = 0; i < 20; i++) {
		world_send_frame(WS_FIN | WS_BINARY, payload, 100000);
		for (int j = 0; j < 1000 && w.got_len < 100010; j++)
			world_run(NULL, 1);
		ck_assert_uint_eq(w.got_len, 100010);
		world_forget();
	}
	ck_assert_int_eq(w.message_count, 20);
	mem_free(payload);
}
END_TEST

/* --- the log --- */

static char *logged(int fd) {
	static char text[65536];
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);

	ck_assert_int_ge(len, 0);
	text[len] = '\0';
	return text;
}

START_TEST(one_line_at_the_end) {
	char path[] = "/tmp/test_conn.XXXXXX";
	int fd = mkstemp(path), saved = dup(STDERR_FILENO);
	const char *line;

	ck_assert_int_ge(fd, 0);
	unlink(path);
	dup2(fd, STDERR_FILENO);
	log_set_level(LOG_INFO);
	world_upgrade();
	world_send_message("hello");
	world_expect_frame(WS_FIN | WS_TEXT, "hello");
	ck_assert_str_eq(logged(fd), "");
	world_send_close(1000);
	world_expect_end();
	dup2(saved, STDERR_FILENO);
	close(saved);
	line = logged(fd);
	ck_assert_ptr_eq(strchr(line, '\n'), strrchr(line, '\n'));
	ck_assert_ptr_nonnull(strstr(line, "reason=client_close code=1000 "));
	ck_assert_ptr_nonnull(strstr(line, " messages_in=1 messages_out=1 duration_ms="));
	ck_assert_ptr_nonnull(strstr(line, " conn="));
	ck_assert_ptr_nonnull(strstr(line, " peer=unix:"));
	close(fd);
}
END_TEST

START_TEST(a_line_per_frame) {
	char path[] = "/tmp/test_conn.XXXXXX";
	int fd = mkstemp(path), saved = dup(STDERR_FILENO);

	ck_assert_int_ge(fd, 0);
	unlink(path);
	dup2(fd, STDERR_FILENO);
	log_set_level(LOG_DEBUG);
	world_upgrade();
	world_send_message("hello");
	world_expect_frame(WS_FIN | WS_TEXT, "hello");
	dup2(saved, STDERR_FILENO);
	close(saved);
	ck_assert_ptr_nonnull(strstr(logged(fd), "frame in"));
	ck_assert_ptr_nonnull(strstr(logged(fd), "frame out"));
	ck_assert_ptr_nonnull(strstr(logged(fd), "opcode=text bytes=5 frames=1"));
	close(fd);
}
END_TEST

Suite *suite_conn_ws(void);
Suite *suite_conn_ws(void) {
	Suite *s = suite_create("conn_ws");
	TCase *t = tcase_create("conn_ws"), *beating = tcase_create("beating");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, world_setup, world_teardown);
	tcase_set_timeout(beating, 30);
	tcase_add_checked_fixture(beating, world_setup_beating, world_teardown);
	tcase_add_test(t, echo);
	tcase_add_test(t, frames_behind_the_handshake);
	tcase_add_test(t, upgrade_behind_a_request);
	tcase_add_test(t, closed_by_the_client);
	tcase_add_test(t, closed_without_a_code);
	tcase_add_test(t, eof);
	tcase_add_test(t, reset);
	tcase_add_test(t, bad_frames);
	tcase_add_test(t, closed_by_its_owner);
	tcase_add_test(t, close_never_answered);
	tcase_add_test(t, slow_client);
	tcase_add_test(t, burst_to_a_fast_client);
	tcase_add_test(t, burst_larger_than_a_share);
	tcase_add_test(t, send_timeout);
	tcase_add_test(t, send_timeout_resets);
	tcase_add_test(t, reads_pause_and_resume);
	tcase_add_test(t, drain_is_spread);
	tcase_add_test(t, drain_sends_what_waits);
	tcase_add_test(t, drain_amid_a_request);
	tcase_add_test(t, freed_amid_everything);
	tcase_add_test(t, many_echoes_over_tcp);
	tcase_add_test(t, one_line_at_the_end);
	tcase_add_test(t, a_line_per_frame);
	tcase_add_test(beating, heartbeat);
	suite_add_tcase(s, t);
	suite_add_tcase(s, beating);
	return s;
}
