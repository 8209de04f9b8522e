/* test_inspector - a worker's answers about its connections: who is meant, in which steps, what is done to them */
#include "server/inspect/inspector.h"

#include <check.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/outq.h"
#include "common/svc/log.h"
#include "tests/unit/fake_broker.h"

enum { CLIENTS_MAX = 1200, SLOT = 3 };

static struct evloop *loop;
static struct fake_broker broker;
static struct hub *hub;
static struct conns *conns;
static struct inspector inspector;
static struct conn *opened[CLIENTS_MAX];
static int client[CLIENTS_MAX];	/* its end; -1: closed */
static size_t client_count, open_count, told_count;

/* --- connections: each of user uN, or of many, as its path says --- */

static void on_open(struct conn *c UNUSED) {
}

static void on_message(struct conn *c UNUSED, bool is_text UNUSED, struct slice data UNUSED) {
}

static void on_limited(struct conn *c UNUSED, bool is_text UNUSED, struct slice data UNUSED, uint64_t wait_ms UNUSED) {
}

static void on_closed(struct conn *c, bool by_server UNUSED) {
	char *user = conn_user(c);

	mem_free(user);
}

static struct slice user_id(const struct conn *c) {
	return slice_text(conn_user(c));
}

static uint32_t room_count(const struct conn *c UNUSED) {
	return 2;
}

static void on_told(struct conn *c UNUSED, struct slice json) {
	ck_assert(slice_eq_text(json, "{\"x\":1}"));
	told_count++;
}

static const struct conn_ops ops = { .name = "test", .on_open = on_open, .on_message = on_message, .on_limited = on_limited,
	.on_closed = on_closed, .user_id = user_id, .room_count = room_count, .on_told = on_told };

static void on_request(struct conn *c, const struct http_request *r, struct slice body UNUSED) {
	opened[open_count++] = c;
	conn_upgrade(c, r, &ops, slice_dup_text(slice_skip(r->path, 1)), 1 << 20);
}

static void on_gone(struct conn *c UNUSED) {
}

static size_t body_max(const struct http_request *r UNUSED, void *arg UNUSED) {
	return 0;
}

static const struct conn_host host = { .on_request = on_request, .on_gone = on_gone, .body_max = body_max };

static void turn_end(void *arg UNUSED) {
	hub_turn_end(hub);
	conns_turn_end(conns);
}

static void set_up(void) {
	struct conn_settings conn_settings = { .heartbeat_ms = 60000, .handshake_ms = 60000, .send_timeout_ms = 60000, .client_queue_bytes = 4 << 20 };
	struct hub_settings settings = { .role = HUB_WORKER, .link_queue_bytes = 4 << 20, .link_message_bytes = 8 << 20, .broker_timeout_ms = 3000 };

	log_set_level(LOG_ERROR);
	client_count = open_count = told_count = 0;
	loop = evloop_new();
	fake_broker_init(&broker, loop, turn_end, NULL);
	settings.broker = broker.address;
	conns = conns_new(loop, &conn_settings, &host);
	hub = hub_new(loop, &settings, NULL, 0);
	inspector_start(&inspector, hub, conns, SLOT);
	fake_broker_take(&broker, IPC_hello);
	fake_broker_take(&broker, IPC_synced);
}

static void tear_down(void) {
	inspector_stop(&inspector);
	conns_free(&conns);
	hub_free(&hub);
	fake_broker_fini(&broker);
	evloop_free(&loop);
	outq_free_spare();
	for (size_t i = 0; i < client_count; i++) {
		if (client[i] >= 0)
			close(client[i]);
	}
}

/* 10.0.0.0 and so on, port 1000 and so on. */
static void accept_one(void) {
	struct sock_peer peer = { .ip = { [10] = 0xff, [11] = 0xff, [12] = 10, [14] = (uint8_t)(client_count >> 8),
					   [15] = (uint8_t)client_count }, .port = (uint16_t)(1000 + client_count) };
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	client[client_count++] = pair[1];
	conn_accept(conns, pair[0], &peer);
}

static bool are_open(void *arg) {
	return open_count == *(size_t *)arg;
}

/* user: NULL: u and its number. */
static void open_many(size_t count, const char *user) {
	size_t wanted = open_count + count;

	for (size_t i = 0; i < count; i++) {
		char head[300];
		int len;

		accept_one();
		len = user != NULL ? snprintf(head, sizeof(head), "GET /%s", user) : snprintf(head, sizeof(head), "GET /u%zu", client_count - 1);
		len += snprintf(head + len, sizeof(head) - (size_t)len, " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
		ck_assert_int_eq(write(client[client_count - 1], head, (size_t)len), len);
		if (i % 200 == 199)
			fake_broker_turns(&broker, 2);
	}
	fake_broker_wait(&broker, are_open, &wanted);
}

/* --- questions --- */

static struct ipc_inspect question(enum ipc_match match, const char *subject) {
	return (struct ipc_inspect){ .request = 7, .match = (uint8_t)match, .subject = slice_text(subject), .limit = 1000 };
}

static const struct ipc_inspected *ask(const struct ipc_inspect *q) {
	fake_broker_send(&broker, IPC_inspect, q);
	return &fake_broker_take(&broker, IPC_inspected)->inspected;
}

static size_t count_records(struct slice records) {
	struct ipc_connection c;
	size_t n = 0;

	while (ipc_next_connection(&records, &c))
		n++;
	ck_assert_uint_eq(records.len, 0);
	return n;
}

/* matched, done, and listed. */
static void expect(const struct ipc_inspect *q, uint32_t matched, uint32_t done, size_t listed) {
	const struct ipc_inspected *m = ask(q);

	ck_assert_uint_eq(m->request, q->request);
	ck_assert_uint_eq(m->matched, matched);
	ck_assert_uint_eq(m->done, done);
	ck_assert_uint_eq(count_records(m->connections), listed);
}

static void expect_found(enum ipc_match match, const char *subject, uint32_t matched) {
	struct ipc_inspect q = question(match, subject);

	expect(&q, matched, 0, matched);
}

START_TEST(all_that_is_known_of_one) {
	struct ipc_inspect q = question(IPC_MATCH_USER, "u1");
	char id[ID_TEXT_LEN + 1];
	struct ipc_connection c;
	struct slice records;

	open_many(3, NULL);
	records = ask(&q)->connections;
	ck_assert(ipc_next_connection(&records, &c) && records.len == 0);
	conn_id_text(opened[1], id);
	ck_assert(slice_eq_text(c.id, id) && slice_eq_text(c.user, "u1") && slice_eq_text(c.protocol, "test"));
	ck_assert(slice_eq_text(c.address, "10.0.0.1:1001"));
	ck_assert(c.slot == SLOT && c.rooms == 2 && c.queued_bytes == 0 && c.stuck_ms == 0);
	ck_assert(c.since_ms <= evloop_wall_ms(loop) && c.since_ms + 60000 > evloop_wall_ms(loop));
}
END_TEST

START_TEST(who_is_meant) {
	static const struct {
		enum ipc_match match;
		const char *subject;
		uint32_t matched;
	} rows[] = {
		{ IPC_MATCH_USER, "u2", 1 }, { IPC_MATCH_USER, "both", 2 }, { IPC_MATCH_USER, "u", 0 }, { IPC_MATCH_USER, "u22", 0 },
		{ IPC_MATCH_ADDRESS, "10.0.0.2", 1 }, { IPC_MATCH_ADDRESS, "10.0.0.2:1002", 1 }, { IPC_MATCH_ADDRESS, "10.0.0.2:1003", 0 },
		{ IPC_MATCH_ADDRESS, "10.0.0.0/30", 4 }, { IPC_MATCH_ADDRESS, "10.0.0.0/8", 6 }, { IPC_MATCH_ADDRESS, "::ffff:10.0.0.2", 1 },
		{ IPC_MATCH_ADDRESS, "[::ffff:10.0.0.2]:1002", 1 }, { IPC_MATCH_ADDRESS, "::/0", 0 }, { IPC_MATCH_ADDRESS, "unix", 0 },
		{ IPC_MATCH_ADDRESS, "unix:", 0 }, { IPC_MATCH_ID, "tS6fbfzkeVkAAAAAAAE", 0 }, { IPC_MATCH_ID, "no id", 0 },
		/* No questions at all: nobody. */
		{ IPC_MATCH_USER, "", 0 }, { IPC_MATCH_ADDRESS, "", 0 }, { IPC_MATCH_ADDRESS, "here", 0 }, { IPC_MATCH_ADDRESS, "10.0.0.0/33", 0 },
		{ IPC_MATCH_ID, "", 0 }, { IPC_MATCHES, "x", 0 }, { IPC_MATCH_SLOWEST, "", 0 },
	};
	char id[ID_TEXT_LEN + 1];

	open_many(3, NULL);
	open_many(2, "both");
	/* One that is no WebSocket (yet) is there by its address and its id. */
	accept_one();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		expect_found(rows[i].match, rows[i].subject, rows[i].matched);
	conn_id_text(opened[4], id);
	expect_found(IPC_MATCH_ID, id, 1);
	id[ID_TEXT_LEN - 1] ^= 1;
	expect_found(IPC_MATCH_ID, id, id[ID_TEXT_LEN - 1] == 'E' ? 1 : 0);
}
END_TEST

START_TEST(long_subjects) {
	char text[300];
	struct ipc_inspect q = question(IPC_MATCH_USER, "");

	open_many(1, NULL);
	memset(text, '1', sizeof(text));
	for (int match = 0; match <= IPC_MATCHES; match++) {
		q.match = (uint8_t)match;
		for (size_t len = 254; len <= sizeof(text); len++) {
			q.subject = slice_of(text, len);
			expect(&q, 0, 0, 0);
		}
	}
	/* A NUL ends no address. */
	q = question(IPC_MATCH_ADDRESS, "");
	q.subject = slice_of("10.0.0.0\0/8", 11);
	expect(&q, 0, 0, 0);
}
END_TEST

/* Several steps; others come, and go from the place at which the walk stands. */
START_TEST(a_walk_in_steps) {
	struct ipc_inspect q = question(IPC_MATCH_ADDRESS, "10.0.0.0/8");

	open_many(1000, NULL);
	expect(&q, 1000, 0, 1000);
	q.limit = 10;
	expect(&q, 1000, 0, 10);
	q.limit = 1000;
	fake_broker_send(&broker, IPC_inspect, &q);
	while (inspector.walk.conns == NULL)
		fake_broker_turns(&broker, 1);
	ck_assert_uint_gt(inspector.walk.left, 500);
	/* The next is among them. */
	for (size_t i = 200; i < 600; i++)
		conn_close(opened[i], CLOSE_http_done, NULL);
	accept_one();
	ck_assert_uint_eq(fake_broker_take(&broker, IPC_inspected)->inspected.matched, inspector.matched);
	ck_assert_uint_ge(inspector.matched, 600);
	ck_assert_uint_le(inspector.matched, 1000);
	expect(&q, 601, 0, 601);
}
END_TEST

START_TEST(one_after_the_other) {
	open_many(300, NULL);
	for (uint32_t i = 0; i < INSPECT_WAITING_MAX + 5; i++) {
		struct ipc_inspect q = question(IPC_MATCH_ADDRESS, "10.0.0.0/24");

		q.request = 100 + i;
		q.limit = i;
		fake_broker_send(&broker, IPC_inspect, &q);
	}
	for (uint32_t i = 0; i < INSPECT_WAITING_MAX; i++) {
		const struct ipc_inspected *m = &fake_broker_take(&broker, IPC_inspected)->inspected;

		ck_assert(m->request == 100 + i && m->matched == 256 && count_records(m->connections) == i);
	}
	fake_broker_expect_silence(&broker);
}
END_TEST

START_TEST(ended_with_code_and_reason) {
	struct ipc_inspect q = question(IPC_MATCH_USER, "both");
	uint64_t before = stat_get(stats_own, STAT_closed + CLOSE_disconnected);
	char got[400];
	ssize_t len;

	open_many(1, NULL);
	open_many(2, "both");
	q.act = IPC_ACT_CLOSE;
	q.code = 4321;
	q.reason = slice_text("go");
	expect(&q, 2, 2, 2);
	/* They are there until they have answered, but are not ended twice. */
	q.match = IPC_MATCH_ADDRESS;
	q.subject = slice_text("10.0.0.0/24");
	q.reason = SLICE_EMPTY;
	expect(&q, 3, 1, 3);
	ck_assert_uint_eq(stat_get(stats_own, STAT_closed + CLOSE_disconnected), before + 3);
	for (int i = 0; i < 3; i++) {
		const char *wanted = i == 0 ? "\x10\xe1" "ended by the operator" : "\x10\xe1" "ended by the operator: go";

		len = read(client[i], got, sizeof(got));
		ck_assert_int_gt(len, (int)strlen(wanted));
		ck_assert_int_eq(memcmp(got + len - strlen(wanted), wanted, strlen(wanted)), 0);
	}
}
END_TEST

START_TEST(told_something) {
	struct ipc_inspect q = question(IPC_MATCH_ADDRESS, "10.0.0.0/24");

	open_many(3, NULL);
	accept_one();
	conn_close(opened[0], CLOSE_going_away, NULL);
	q.act = IPC_ACT_TELL;
	q.data = slice_text("{\"x\":1}");
	expect(&q, 4, 2, 4);
	ck_assert_uint_eq(told_count, 2);
}
END_TEST

/* Nobody reads: each has a little more waiting than the one before. */
START_TEST(the_slowest) {
	struct ipc_inspect q = question(IPC_MATCH_SLOWEST, "");
	uint8_t *data = mem_zalloc(1 << 20);
	const struct ipc_inspected *m;
	struct ipc_connection c;
	struct slice records;
	uint64_t least = UINT64_MAX;

	open_many(40, NULL);
	for (size_t i = 0; i < 20; i++)
		conn_send(opened[i], WS_BINARY, slice_of(data, (1 << 20) - 1000 * ((i * 7) % 20)));
	fake_broker_turns(&broker, 5);
	expect(&q, 20, 0, 20);
	q.limit = 5;
	m = ask(&q);
	ck_assert_uint_eq(m->matched, 20);
	ck_assert_uint_eq(count_records(m->connections), 5);
	records = m->connections;
	while (ipc_next_connection(&records, &c))
		least = c.queued_bytes < least ? c.queued_bytes : least;
	for (size_t i = 0, larger = 0; i < 20; i++) {
		larger += conn_queued_bytes(opened[i]) > least;
		ck_assert_uint_lt(larger, 5);
	}
	q.limit = 0;
	expect(&q, 20, 0, 0);
	/* More than are kept are not listed. */
	open_many(INSPECT_SLOWEST_MAX, NULL);
	for (size_t i = 20; i < open_count; i++)
		conn_send(opened[i], WS_BINARY, slice_of(data, 500000));
	fake_broker_turns(&broker, 5);
	q.limit = 1000;
	expect(&q, (uint32_t)open_count, 0, INSPECT_SLOWEST_MAX);
	mem_free(data);
}
END_TEST

/* The broker's next life has not asked. */
START_TEST(an_answer_for_another_link_is_not_given) {
	struct ipc_inspect q = question(IPC_MATCH_ADDRESS, "10.0.0.0/8");

	open_many(1000, NULL);
	fake_broker_send(&broker, IPC_inspect, &q);
	while (inspector.walk.conns == NULL)
		fake_broker_turns(&broker, 1);
	fake_broker_restart(&broker);
	while (inspector.waiting_count > 0)
		fake_broker_turns(&broker, 1);
	fake_broker_take(&broker, IPC_synced);
	fake_broker_expect_silence(&broker);
	expect(&q, 1000, 0, 1000);
}
END_TEST

START_TEST(stopped_amid_a_walk) {
	struct ipc_inspect q = question(IPC_MATCH_SLOWEST, "");

	open_many(600, NULL);
	for (int i = 0; i < 3; i++)
		fake_broker_send(&broker, IPC_inspect, &q);
	while (inspector.walk.conns == NULL)
		fake_broker_turns(&broker, 1);
	ck_assert_uint_eq(inspector.waiting_count, 3);
}
END_TEST

Suite *suite_inspector(void);

Suite *suite_inspector(void) {
	Suite *s = suite_create("inspector");
	TCase *t = tcase_create("answers");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, all_that_is_known_of_one);
	tcase_add_test(t, who_is_meant);
	tcase_add_test(t, long_subjects);
	tcase_add_test(t, a_walk_in_steps);
	tcase_add_test(t, one_after_the_other);
	tcase_add_test(t, ended_with_code_and_reason);
	tcase_add_test(t, told_something);
	tcase_add_test(t, the_slowest);
	tcase_add_test(t, an_answer_for_another_link_is_not_given);
	tcase_add_test(t, stopped_amid_a_walk);
	suite_add_tcase(s, t);
	return s;
}
