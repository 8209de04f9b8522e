/* test_stream_tls - the server's side of TLS against OpenSSL's client, over a socket that takes little at a time */
#include <check.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/svc/stats.h"
#include "server/net/stream.h"
#include "server/net/tls.h"
#include "common/base/bundle.h"
#include "server/net/tls_self_signed.h"
#include "tests/unit/model.h"

enum { BYTES_MAX = 1 << 20, HEAD = 8, SOCKET_BYTES = 4096 };

static struct tls *tls;
static struct stream server;
static SSL_CTX *client_context;
static SSL *client;
static int client_fd;
static uint8_t got[BYTES_MAX];
static size_t got_len;

static struct buf make_bundle(void) {
	struct buf certificate, key, bundle;
	struct errbuf e;

	buf_init(&certificate, 10000);
	buf_init(&key, 10000);
	buf_init(&bundle, 100000);
	ck_assert(tls_self_signed_make(&certificate, &key, &e));
	bundle_add(&bundle, TLS_PART_NAME, slice_text("own"));
	bundle_add(&bundle, TLS_PART_CERTIFICATE, buf_slice(&certificate));
	bundle_add(&bundle, TLS_PART_KEY, buf_slice(&key));
	buf_fini(&certificate);
	bundle_fini(&key);
	return bundle;
}

static void open_pair(int version) {
	int pair[2], size = SOCKET_BYTES;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	ck_assert_int_eq(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	stream_tls_init(&server, pair[0], tls);
	client_fd = pair[1];
	client = SSL_new(client_context);
	SSL_set_fd(client, client_fd);
	SSL_set_connect_state(client);
	if (version != 0)
		SSL_set_max_proto_version(client, version);
}

static void setup(void) {
	struct tls_settings settings = { .ticket_seconds = 10, .handshakes_max = 2, .use_kernel = true };
	struct buf bundle = make_bundle();
	struct errbuf e;

	signal(SIGPIPE, SIG_IGN);
	got_len = 0;
	tls = tls_new(buf_slice(&bundle), &settings, &e);
	ck_assert_ptr_nonnull(tls);
	bundle_fini(&bundle);
	client_context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_mode(client_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

static void teardown(void) {
	stream_ops(&server)->close(&server);
	outq_fini(&server.out);
	SSL_free(client);
	if (client_fd >= 0)
		close(client_fd);
	SSL_CTX_free(client_context);
	tls_free(&tls);
	outq_free_spare();
}

static void shake_hands(int version) {
	uint8_t bytes[10];
	size_t n;

	open_pair(version);
	for (int i = 0; i < 100 && (server.is_handshaking || !SSL_is_init_finished(client)); i++) {
		(void)SSL_do_handshake(client);
		ck_assert_int_eq(stream_ops(&server)->recv(&server, bytes, sizeof(bytes), &n), STREAM_AGAIN);
	}
	ck_assert(!server.is_handshaking && server.is_begun);
}

static void client_reads(size_t most) {
	size_t n;

	while (most > 0 && SSL_read_ex(client, got + got_len, most < BYTES_MAX - got_len ? most : BYTES_MAX - got_len, &n) == 1) {
		got_len += n;
		most -= n;
	}
	ERR_clear_error();
}

/* --- out: buffers of {length, number, filling}; some are dropped, none in pieces --- */

static void queue_one(uint32_t number, uint32_t len) {
	struct rcbuf *r = rcbuf_try_new(HEAD + len);
	uint32_t head[2] = { len, number };

	MUST(r != NULL);
	rcbuf_add(r, slice_of(head, HEAD));
	memset(r->data + r->len, (int)number, len);
	r->len += len;
	outq_take(&server.out, r);
}

/* How many came; each is whole and newer than the one before. */
static uint32_t check_got(void) {
	uint32_t count = 0, head[2], last = 0;
	size_t at = 0;

	while (at < got_len) {
		MUST(got_len - at >= HEAD);
		memcpy(head, got + at, HEAD);
		at += HEAD;
		MUST(head[1] > last && got_len - at >= head[0]);
		for (uint32_t i = 0; i < head[0]; i++)
			MUST(got[at + i] == (uint8_t)head[1]);
		at += head[0];
		last = head[1];
		count++;
	}
	return count;
}

static uint32_t some_length(uint64_t *seed) {
	static const uint32_t most[] = { 10, 200, 3000, 17000, 40000 };

	return random_below(seed, most[random_below(seed, ARRAY_LEN(most))]);
}

/* _i: with drops or without; the version. */
START_TEST(nothing_slips_ahead) {
	uint64_t seed = 4711 + (uint64_t)_i;
	uint32_t queued = 0;
	size_t sent, dropped = 0;
	int version = _i % 2 == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;

	shake_hands(version);
	while (got_len < BYTES_MAX / 2 && queued < 3000) {
		if (server.out.bytes < 100000)
			queue_one(++queued, some_length(&seed));
		if (random_below(&seed, 3) == 0)
			(void)stream_ops(&server)->send(&server, &sent);
		if (_i >= 2 && random_below(&seed, 20) == 0) {
			size_t before = server.out.bytes;

			stream_drop_unstarted(&server);
			dropped += before - server.out.bytes;
		}
		if (random_below(&seed, 2) == 0)
			client_reads(random_below(&seed, 20000));
	}
	for (int i = 0; i < 10000 && stream_ops(&server)->send(&server, &sent) != STREAM_OK; i++)
		client_reads(BYTES_MAX);
	client_reads(BYTES_MAX);
	ck_assert_uint_eq(server.out.bytes, 0);
	ck_assert_uint_eq(server.offered, 0);
	if (_i < 2)
		ck_assert_uint_eq(check_got(), queued);
	else
		ck_assert(check_got() < queued && dropped > 0);
}
END_TEST

/* --- in: what OpenSSL holds is not forgotten --- */

START_TEST(all_is_read_without_another_event) {
	uint64_t seed = 99;
	static uint8_t out[60000], in[60000];
	size_t wrote = 0, read = 0, n;
	int calls = 0;

	shake_hands(TLS1_3_VERSION);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)random_below(&seed, 256);
	while (read < sizeof(out)) {
		size_t piece = 1 + random_below(&seed, 5000), room = 1 + random_below(&seed, 3000);

		if (piece > sizeof(out) - wrote)
			piece = sizeof(out) - wrote;
		if (piece > 0 && SSL_write_ex(client, out + wrote, piece, &n) == 1)
			wrote += n;
		ERR_clear_error();
		/* As the loop does it: once because the socket is readable, and on while there is more. */
		do {
			enum stream_result result = stream_ops(&server)->recv(&server, in + read, room < sizeof(in) - read ? room : sizeof(in) - read, &n);

			ck_assert(result == STREAM_OK || result == STREAM_AGAIN);
			ck_assert_int_eq(result == STREAM_OK, n > 0);
			read += n;
		} while (server.has_more && read < sizeof(in));
		MUST(calls++ < 100000);
		/* Nothing that has arrived whole is left. */
		MUST(wrote == read || wrote - read <= piece);
	}
	ck_assert(memcmp(in, out, sizeof(out)) == 0);
}
END_TEST

START_TEST(bytes_before_the_end_come_first) {
	uint8_t in[100];
	size_t n;

	shake_hands(TLS1_3_VERSION);
	ck_assert_int_eq(SSL_write(client, "last words", 10), 10);
	(void)SSL_shutdown(client);
	ck_assert_int_eq(stream_ops(&server)->recv(&server, in, sizeof(in), &n), STREAM_OK);
	ck_assert_uint_eq(n, 10);
	if (!server.has_more)
		shutdown(client_fd, SHUT_WR);
	ck_assert_int_eq(stream_ops(&server)->recv(&server, in, sizeof(in), &n), STREAM_EOF);
	/* Our side may go on, and then ends in order. */
	queue_one(1, 5);
	ck_assert_int_eq(stream_ops(&server)->send(&server, &n), STREAM_OK);
	stream_ops(&server)->shutdown(&server);
	client_reads(100);
	ck_assert_uint_eq(check_got(), 1);
	ck_assert_int_ne(SSL_get_shutdown(client) & SSL_RECEIVED_SHUTDOWN, 0);
}
END_TEST

START_TEST(bytes_before_an_error_come_first) {
	static const uint8_t bad[] = { 0x17, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20 };
	uint8_t in[100];
	size_t n;

	shake_hands(TLS1_3_VERSION);
	ck_assert_int_eq(SSL_write(client, "good", 4), 4);
	ck_assert_int_eq(write(client_fd, bad, sizeof(bad)), sizeof(bad));
	ck_assert_int_eq(stream_ops(&server)->recv(&server, in, sizeof(in), &n), STREAM_OK);
	ck_assert_uint_eq(n, 4);
	ck_assert(server.has_more);
	ck_assert_int_eq(stream_ops(&server)->recv(&server, in, sizeof(in), &n), STREAM_ERROR);
	ck_assert_int_eq(errno, EPROTO);
	queue_one(1, 5);
	ck_assert_int_eq(stream_ops(&server)->send(&server, &n), STREAM_ERROR);
}
END_TEST

START_TEST(a_cut_is_an_end) {
	uint8_t in[10];
	size_t n;

	shake_hands(TLS1_2_VERSION);
	close(client_fd);
	client_fd = -1;
	ck_assert_int_eq(stream_ops(&server)->recv(&server, in, sizeof(in), &n), STREAM_EOF);
}
END_TEST

START_TEST(handshakes_are_bounded) {
	struct stream more[3];
	uint8_t in[10];
	int pair[2];
	size_t n;

	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
		stream_tls_init(&more[i], pair[0], tls);
		ck_assert_int_eq(write(pair[1], "\x16\x03\x01", 3), 3);
		ck_assert_int_eq(stream_ops(&more[i])->recv(&more[i], in, sizeof(in), &n), i < 2 ? STREAM_AGAIN : STREAM_ERROR);
		close(pair[1]);
	}
	ck_assert_int_eq(errno, EUSERS);
	for (int i = 0; i < 3; i++)
		stream_ops(&more[i])->close(&more[i]);
	/* They do not count any more. */
	shake_hands(0);
}
END_TEST

START_TEST(certificates_are_replaced) {
	struct buf fresh = make_bundle();
	struct buf text;
	struct errbuf e;

	shake_hands(0);
	ck_assert(tls_replace(tls, buf_slice(&fresh), &e));
	for (size_t len = 0; len < fresh.len; len += 97)
		ck_assert(!tls_replace(tls, slice_of(fresh.data, len), &e));
	queue_one(1, 100);
	ck_assert_int_eq(stream_ops(&server)->send(&server, &(size_t){ 0 }), STREAM_OK);
	client_reads(200);
	ck_assert_uint_eq(check_got(), 1);
	buf_init(&text, 1000);
	tls_describe(tls, &text);
	ck_assert(slice_starts_with(buf_slice(&text), "own until 20"));
	ck_assert_uint_gt(stat_get(stats_own, STAT_tls_certificate_end) / 1000000, (uint64_t)time(NULL));
	buf_fini(&text);
	bundle_fini(&fresh);
}
END_TEST

Suite *suite_stream_tls(void);
Suite *suite_stream_tls(void) {
	Suite *s = suite_create("stream_tls");
	TCase *t = tcase_create("pair");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, nothing_slips_ahead, 0, 8);
	tcase_add_test(t, all_is_read_without_another_event);
	tcase_add_test(t, bytes_before_the_end_come_first);
	tcase_add_test(t, bytes_before_an_error_come_first);
	tcase_add_test(t, a_cut_is_an_end);
	tcase_add_test(t, handshakes_are_bounded);
	tcase_add_test(t, certificates_are_replaced);
	suite_add_tcase(s, t);
	return s;
}
