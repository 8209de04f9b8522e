/* conn_world - what stands around a connection under test: a loop run turn by turn, an owner, a client */
#include "tests/unit/conn_world.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/svc/log.h"

struct world w;

/* 10.0.0.0/8 */
static struct net trusted_net = { { [10] = 0xff, 0xff, 10 }, 104 };
static const struct nets trusted = { .item = &trusted_net, .count = 1 };

static const struct conn_settings settings = {
	.heartbeat_ms = 60000,
	.handshake_ms = 300,
	.send_timeout_ms = 250,
	.client_queue_bytes = QUEUE_BYTES,
	.trusted_proxies = &trusted,
};

/* --- the owner --- */

static void on_open(struct conn *c) {
	ck_assert(conn_is_open(c));
	w.opened = c;
	w.open_count++;
}

/* "close NAME" closes, all else comes back. */
static void on_message(struct conn *c, bool is_text, struct slice data) {
	w.message_count++;
	if (slice_eq_text(data, "close policy"))
		conn_close(c, CLOSE_policy, "said so");
	else if (slice_eq_text(data, "close internal"))
		conn_close(c, CLOSE_internal_error, NULL);
	else
		conn_send_back(c, is_text ? WS_TEXT : WS_BINARY, data);
}

/* Says of how many bytes the message was that was too much. */
static void on_limited(struct conn *c, bool is_text UNUSED, struct slice data, uint64_t wait_ms) {
	char text[40];

	ck_assert_uint_gt(wait_ms, 0);
	w.limited_count++;
	snprintf(text, sizeof(text), "limited %zu", data.len);
	conn_send(c, WS_TEXT, slice_text(text));
}

static void on_closed(struct conn *c, bool by_server) {
	ck_assert(!conn_is_open(c));
	ck_assert_ptr_eq(conn_user(c), &w.opened);
	w.closed_count++;
	w.by_server_count += by_server;
	if (w.reply_at_close)
		conn_send(c, WS_TEXT, slice_text("last words"));
}

static const struct conn_ops ops = { .name = "test", .on_open = on_open, .on_message = on_message, .on_limited = on_limited,
	.on_closed = on_closed };

void world_respond(struct conn *c, const char *text, size_t len) {
	struct http_response r = { .status = 200, .content_type = "text/plain", .body = slice_of(text, len) };

	conn_respond(c, &r);
}

static void on_request(struct conn *c, const struct http_request *r, struct slice body) {
	static char large[200000];

	ck_assert_ptr_eq(conns_arg(conn_conns(c)), &w.conns);
	w.request_count++;
	ck_assert_uint_le(body.len, BODY_MAX);
	if (body.len > 0)
		memcpy(w.last_body, body.ptr, body.len);
	w.last_body_len = body.len;
	if (slice_eq_text(r->path, "/ws")) {
		if (conn_admit_upgrade(c, LIMIT_ASKER_HEARS))
			conn_upgrade(c, r, &ops, &w.opened, MESSAGE_MAX);
	} else if (slice_eq_text(r->path, "/later")) {
		conn_set_user(c, &w.waiting);
		w.waiting = c;
	} else if (slice_eq_text(r->path, "/large")) {
		memset(large, 'x', sizeof(large));
		world_respond(c, large, sizeof(large));
	} else if (slice_eq_text(r->path, "/end")) {
		conn_close(c, CLOSE_internal_error, NULL);
	} else if (slice_eq_text(r->path, "/peer")) {
		char text[SOCK_TEXT_MAX];

		sock_peer_text(conn_peer(c), text);
		world_respond(c, text, strlen(text));
	} else if (slice_eq_text(r->path, "/none")) {
		conn_refuse(c, 404, "There is no \"/none\".", "X-Extra: 1\r\n");
	} else {
		world_respond(c, (const char *)r->path.ptr, r->path.len);
	}
}

static void on_gone(struct conn *c) {
	ck_assert_ptr_eq(conn_user(c), &w.waiting);
	w.gone_count++;
	w.waiting = NULL;
}

static size_t body_max(const struct http_request *r, void *arg) {
	ck_assert_ptr_eq(arg, &w.conns);
	return slice_eq_text(r->path, "/post") ? BODY_MAX : 0;
}

static bool on_head(struct conn *c, const struct http_request *r) {
	if (!slice_eq_text(r->path, "/private"))
		return true;
	conn_refuse(c, 401, "This is private.", NULL);
	return false;
}

static const struct conn_host host = { on_head, on_request, on_gone, body_max, &w.conns };

/* --- turns --- */

void world_forget(void) {
	w.got_len = 0;
	w.got[0] = '\0';
}

void world_look_at(int fd) {
	w.client = fd;
	w.got_eof = w.got_reset = false;
	world_forget();
}

void world_leave(void) {
	close(w.client);
	w.client = -1;
}

static void read_client(void) {
	ssize_t n;

	if (w.client < 0 || !w.is_client_reading || w.got_eof || w.got_reset)
		return;
	while ((n = recv(w.client, w.got + w.got_len, GOT_MAX - 1 - w.got_len, MSG_DONTWAIT)) > 0)
		w.got_len += (size_t)n;
	w.got[w.got_len] = '\0';
	w.got_eof = n == 0;
	w.got_reset = n < 0 && errno != EAGAIN;
}

static void on_turn_end(void *arg) {
	(void)arg;
	conns_turn_end(w.conns);
	read_client();
	if ((w.until != NULL && w.until()) || evloop_now_ms(w.loop) >= w.stop_ms)
		evloop_stop(w.loop);
}

static void on_poll(void *arg) {
	(void)arg;
	evloop_timer_start(&w.poll_timer, 2);
}

bool world_run(bool (*condition)(void), uint64_t ms) {
	w.until = condition;
	w.stop_ms = evloop_now_ms(w.loop) + ms;
	evloop_run(w.loop);
	return condition == NULL || condition();
}

static bool has_wanted(void) {
	return memmem(w.got, w.got_len, w.wanted, strlen(w.wanted)) != NULL;
}
bool world_is_ended(void) {
	return w.got_eof || w.got_reset;
}
bool world_is_all_gone(void) {
	return conns_count(w.conns) == 0;
}
bool world_is_closed(void) {
	return w.closed_count > 0;
}

void world_expect(const char *text) {
	w.wanted = text;
	ck_assert_msg(world_run(has_wanted, GIVE_UP_MS), "wanted \"%s\", got \"%s\"", text, (char *)w.got);
}

void world_expect_end(void) {
	ck_assert(world_run(world_is_ended, GIVE_UP_MS));
	ck_assert(w.got_eof);
	world_leave();
	ck_assert(world_run(world_is_all_gone, GIVE_UP_MS));
}

uint64_t world_closed_with(enum close_reason reason) {
	return stat_get(stats_own, (enum stat_id)(STAT_closed + reason)) - w.closed_before[reason];
}

uint64_t world_close_timeouts(void) {
	return stat_get(stats_own, STAT_close_timeouts) - w.close_timeouts_before;
}

/* --- the client --- */

int world_open_one(int buffer_bytes) {
	struct sock_peer peer = { .is_unix = 1 };
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	if (buffer_bytes > 0)
		ck_assert_int_eq(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(int)), 0);
	conn_accept(w.conns, pair[0], &peer);
	return pair[1];
}

int world_open_from(const char *from, bool is_proxy) {
	struct sock_peer peer;
	int pair[2];

	ck_assert(sock_peer_parse(slice_text(from), &peer));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	if (is_proxy)
		conn_accept_proxy(w.conns, pair[0], &peer, NULL);
	else
		conn_accept(w.conns, pair[0], &peer);
	return pair[1];
}

int world_connect_tcp(void) {
	struct sock_addr a;
	struct sock_peer peer;
	struct errbuf e;
	int listening, fd, mine;

	ck_assert(sock_parse("127.0.0.1:0", &a, &e));
	listening = sock_listen(&a, 8, &e);
	mine = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(mine, &a.u.sa, a.len), 0);
	fd = sock_accept(listening, &peer);
	ck_assert_int_ge(fd, 0);
	close(listening);
	conn_accept(w.conns, fd, &peer);
	return mine;
}

void world_send_bytes(const void *bytes, size_t len) {
	ck_assert_int_eq(send(w.client, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

void world_send_text(const char *text) {
	world_send_bytes(text, strlen(text));
}

size_t world_put_frame(uint8_t *out, uint8_t first, const void *payload, size_t len) {
	static const uint8_t mask[4] = { 1, 2, 3, 4 };
	size_t n = ws_frame_header(out, first, len);

	out[1] |= 0x80;
	memcpy(out + n, mask, 4);
	n += 4;
	for (size_t i = 0; i < len; i++)
		out[n + i] = ((const uint8_t *)payload)[i] ^ mask[i % 4];
	return n + len;
}

void world_send_frame(uint8_t first, const void *payload, size_t len) {
	uint8_t *frame = mem_alloc(len + WS_HEADER_MAX);

	world_send_bytes(frame, world_put_frame(frame, first, payload, len));
	mem_free(frame);
}

void world_send_message(const char *text) {
	world_send_frame(WS_FIN | WS_TEXT, text, strlen(text));
}

void world_upgrade(void) {
	world_send_text("GET /ws HTTP/1.1\r\n" HANDSHAKE);
	world_expect("\r\n\r\n");
	ck_assert(memcmp(w.got, "HTTP/1.1 101 ", 13) == 0);
	ck_assert_int_eq(w.open_count, 1);
	world_forget();
}

void world_expect_frame(uint8_t first, const char *text) {
	char frame[256] = { (char)first, (char)strlen(text) };
	size_t len = 2 + strlen(text);

	ck_assert_uint_lt(len, 128);
	memcpy(frame + 2, text, len - 2);
	for (int i = 0; i < 1000 && w.got_len < len; i++)
		world_run(NULL, 1);
	ck_assert_msg(w.got_len >= len && memcmp(w.got, frame, len) == 0, "wanted \"%s\" in a frame", text);
	w.got_len -= len;
	memmove(w.got, w.got + len, w.got_len + 1);
}

bool world_has_frame_head(void) {
	return w.got_len >= 2 && w.got_len >= 2 + (size_t)w.got[1];
}

void world_expect_close(uint16_t code, const char *reason) {
	ck_assert(world_run(world_has_frame_head, GIVE_UP_MS));
	ck_assert_uint_eq(w.got[0], WS_FIN | WS_CLOSE);
	ck_assert_uint_eq(w.got[1], 2 + strlen(reason));
	ck_assert_uint_eq((unsigned)w.got[2] << 8 | w.got[3], code);
	ck_assert_msg(memcmp(w.got + 4, reason, strlen(reason)) == 0, "wanted \"%s\", got \"%s\"", reason, (char *)w.got + 4);
	w.got_len -= 2 + (size_t)w.got[1];
	memmove(w.got, w.got + 4 + strlen(reason), w.got_len + 1);
}

void world_send_close(uint16_t code) {
	uint8_t payload[2] = { (uint8_t)(code >> 8), (uint8_t)code };

	world_send_frame(WS_FIN | WS_CLOSE, payload, code != 0 ? 2 : 0);
}

void world_setup(void) {
	world_setup_with(&settings);
}

void world_setup_beating(void) {
	struct conn_settings beating = settings;

	beating.heartbeat_ms = 200;
	world_setup_with(&beating);
}

void world_setup_with(const struct conn_settings *s) {
	struct conn_settings with_limits = *s;

	w.got = mem_alloc(GOT_MAX);
	world_forget();
	w.got_eof = w.got_reset = w.reply_at_close = false;
	w.is_client_reading = true;
	w.opened = w.waiting = NULL;
	w.open_count = w.closed_count = w.by_server_count = w.gone_count = w.request_count = w.message_count = w.limited_count = 0;
	for (int i = 0; i < CLOSE_REASON_COUNT; i++)
		w.closed_before[i] = stat_get(stats_own, (enum stat_id)(STAT_closed + i));
	w.close_timeouts_before = stat_get(stats_own, STAT_close_timeouts);
	log_set_level(LOG_ERROR);
	w.loop = evloop_new();
	with_limits.limits = w.limits;
	w.conns = conns_new(w.loop, &with_limits, &host);
	evloop_on_turn_end(w.loop, on_turn_end, NULL);
	evloop_timer_init(w.loop, &w.poll_timer, on_poll, NULL);
	evloop_timer_start(&w.poll_timer, 2);
	world_look_at(world_open_one(0));
}

void world_teardown(void) {
	log_set_level(LOG_ERROR);
	evloop_timer_stop(&w.poll_timer);
	conns_free(&w.conns);
	evloop_free(&w.loop);
	if (w.client >= 0)
		close(w.client);
	ck_assert_int_eq(w.closed_count, w.open_count);
	ck_assert_uint_eq(stat_get(stats_own, STAT_connections), 0);
	ck_assert_uint_eq(stat_get(stats_own, STAT_websockets), 0);
	ck_assert_uint_eq(stat_get(stats_own, STAT_slow_readers), 0);
	ck_assert_uint_eq(stat_get(stats_own, STAT_connection_bytes), 0);
	mem_free(w.got);
	outq_free_spare();
}
