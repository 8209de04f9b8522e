/* test_redis_tls - rediss:// with a real server; where hiredis has no TLS, it is said */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/redis/redis_conn.h"
#include "broker/redis/redis_listener.h"
#include "broker/redis/redis_tls.h"
#include "common/base/buf.h"
#include "server/net/tls_self_signed.h"
#include "tests/unit/redis_fixture.h"

enum { BIG_BYTES = 1 << 20, BIG_COUNT = 8 };

static struct redis_fixture redis;
static struct evloop *loop;
static struct resolver *resolver;
static struct redis_conn *conn;
static struct evloop_timer late;
static char certificate_path[REDIS_FIXTURE_PATH + 16], key_path[REDIS_FIXTURE_PATH + 16], tls_port[8], why[256];
static size_t echoed;
static int echoes;
static bool is_up, is_lost;

static void on_up(void *arg) {
	(void)arg;
	is_up = true;
	evloop_stop(loop);
}

static void on_lost(void *arg, const char *text) {
	(void)arg;
	is_lost = true;
	snprintf(why, sizeof(why), "%s", text);
	evloop_stop(loop);
}

static void on_late(void *arg) {
	(void)arg;
	evloop_stop(loop);
}

static const struct redis_conn_ops ops = { .up = on_up, .lost = on_lost };

static void on_turn_end(void *arg) {
	(void)arg;
	redis_conn_flush(conn);
}

static void write_pem(const char *path, struct buf *pem) {
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(pem->data, 1, pem->len, file), pem->len);
	fclose(file);
	buf_fini(pem);
}

static void make_certificate(void) {
	struct buf certificate, key;
	struct errbuf e;

	buf_init(&certificate, 1 << 20);
	buf_init(&key, 1 << 20);
	ck_assert(tls_self_signed_make(&certificate, &key, &e));
	snprintf(certificate_path, sizeof(certificate_path), "%s/cert.pem", redis.folder);
	snprintf(key_path, sizeof(key_path), "%s/key.pem", redis.folder);
	write_pem(certificate_path, &certificate);
	write_pem(key_path, &key);
}

static void setup(void) {
	const char *const options[] = { "--tls-port", tls_port, "--tls-cert-file", certificate_path, "--tls-key-file", key_path,
		"--tls-auth-clients", "no" };

	signal(SIGPIPE, SIG_IGN);
	redis_fixture_init(&redis);
	make_certificate();
	snprintf(tls_port, sizeof(tls_port), "%u", redis_fixture_free_port());
	memcpy(redis.option, options, sizeof(options));
	redis_fixture_start(&redis);
	loop = evloop_new();
	resolver = resolver_new(loop);
	conn = redis_conn_new(&(struct redis_conn_settings){ loop, resolver, 5000, 5000 }, &ops, NULL);
	evloop_on_turn_end(loop, on_turn_end, NULL);
	evloop_timer_init(loop, &late, on_late, NULL);
	is_up = is_lost = false;
	echoes = 0;
	echoed = 0;
}

static void teardown(void) {
	redis_conn_free(&conn);
	resolver_free(&resolver);
	evloop_timer_stop(&late);
	evloop_free(&loop);
	redis_fixture_fini(&redis);
}

static void open_to(const char *host, const char *tls_host, uint16_t port) {
	redis_conn_open(conn, &(struct redis_target){ .host = host, .tls_host = tls_host, .port = port, .name = "test", .is_tls = true });
	evloop_timer_start(&late, 20000);
	evloop_run(loop);
	ck_assert(is_up || is_lost);
}

static uint16_t port_of_tls(void) {
	return (uint16_t)strtoul(tls_port, NULL, 10);
}

static void want_no_tls(void) {
	ck_assert(!is_up);
	ck_assert_str_eq(why, "the hiredis that this program was built with has no TLS");
}

static void on_echo(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	(void)arg;
	ck_assert_int_eq(outcome, REDIS_DONE);
	echoed += redis_reply_text(reply).len;
	if (++echoes == BIG_COUNT)
		evloop_stop(loop);
}

static const struct {
	const char *host, *tls_host;
	bool is_trusted;
	const char *refusal;	/* NULL: none */
} peers[] = {
	{ "127.0.0.1", NULL, true, NULL },
	{ "localhost", NULL, true, NULL },
	{ "127.0.0.1", "localhost", true, NULL },
	{ "127.0.0.1", "redis.example", true, "certificate refused: hostname mismatch" },
	{ "127.0.0.1", "127.0.0.2", true, "certificate refused: IP address mismatch" },
	{ "localhost", NULL, false, "certificate refused: self" },
};

START_TEST(whose_certificate_it_is_is_checked) {
	setenv("SSL_CERT_FILE", peers[_i].is_trusted ? certificate_path : "/nonexistent", 1);
	open_to(peers[_i].host, peers[_i].tls_host, port_of_tls());
	if (!redis_tls_is_built())
		want_no_tls();
	else
		ck_assert_msg(is_up == (peers[_i].refusal == NULL), "%s", why);
	if (is_lost && redis_tls_is_built())
		ck_assert_msg(strstr(why, peers[_i].refusal) != NULL, "%s", why);
}
END_TEST

START_TEST(much_goes_through) {
	static char big[BIG_BYTES];
	struct slice argv[] = { slice_text("ECHO"), slice_of(big, sizeof(big)) };

	setenv("SSL_CERT_FILE", certificate_path, 1);
	open_to("127.0.0.1", NULL, port_of_tls());
	if (!redis_tls_is_built()) {
		want_no_tls();
		return;
	}
	for (int i = 0; i < BIG_COUNT; i++)
		redis_conn_command(conn, argv, ARRAY_LEN(argv), on_echo, NULL);
	redis_conn_flush(conn);
	evloop_run(loop);
	ck_assert_msg(!is_lost, "%s", why);
	ck_assert_uint_eq(echoed, (size_t)BIG_BYTES * BIG_COUNT);
}
END_TEST

static void on_nothing(void *arg) {
	(void)arg;
}

static void on_listener_lost(void *arg, const char *text, bool was_listening) {
	(void)was_listening;
	on_lost(arg, text);
}

/* A Sentinel's new answer takes the place of the last one while the link is still being made. */
START_TEST(a_listener_keeps_the_name_that_it_was_given) {
	static const struct redis_listener_ops listener_ops = { .heard = on_nothing, .listening = on_up, .lost = on_listener_lost };
	char tls_host[] = "localhost";
	struct redis_target target = { .host = "127.0.0.1", .tls_host = tls_host, .port = port_of_tls(), .name = "test", .is_tls = true };
	struct redis_listener *l = redis_listener_new(&(struct redis_conn_settings){ loop, resolver, 5000, 5000 }, "x:",
	    slice_text("x:probe"), &listener_ops, NULL);

	setenv("SSL_CERT_FILE", certificate_path, 1);
	redis_listener_follow(l, &target);
	memset(tls_host, 'x', strlen(tls_host));
	evloop_timer_start(&late, 20000);
	evloop_run(loop);
	if (!redis_tls_is_built())
		want_no_tls();
	else
		ck_assert_msg(is_up, "%s", why);
	redis_listener_free(&l);
}
END_TEST

START_TEST(a_peer_without_tls_is_left) {
	open_to("127.0.0.1", NULL, redis.port);
	ck_assert(is_lost && !is_up);
	ck_assert_str_ne(why, "");
}
END_TEST

Suite *suite_redis_tls(void);
Suite *suite_redis_tls(void) {
	Suite *s = suite_create("redis_tls");
	TCase *t = tcase_create("redis_tls");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, whose_certificate_it_is_is_checked, 0, (int)ARRAY_LEN(peers));
	tcase_add_test(t, much_goes_through);
	tcase_add_test(t, a_listener_keeps_the_name_that_it_was_given);
	tcase_add_test(t, a_peer_without_tls_is_left);
	suite_add_tcase(s, t);
	return s;
}
