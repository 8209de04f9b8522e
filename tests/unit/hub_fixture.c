/* hub_fixture - a hub between a fake broker and real connections, all in one loop */
#include "tests/unit/hub_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/outq.h"
#include "common/svc/log.h"
#include "server/ws/ws_frame.h"

enum { CLIENT_BYTES_MAX = 16 << 20 };

struct evloop *loop;
struct fake_broker broker;
struct hub *hub;
struct ws_deflate_settings hub_fixture_deflate;
static struct conns *conns;
static struct test_client clients[TEST_CLIENTS_MAX];
static size_t client_count;

/* --- forms --- */

static uint8_t test_publication(const struct hub_publication *p, struct buf *out, void *arg UNUSED) {
	buf_addf(out, "p:%llu:", (unsigned long long)p->offset);
	buf_add(out, p->data);
	return WS_TEXT;
}

static uint8_t test_member_event(const struct hub_member_event *m, unsigned part, bool *count_later, struct buf *out,
    void *arg UNUSED) {
	if (m->member_count > 3) {
		*count_later = true;
		return HUB_SKIP;
	}
	if (part > (m->is_join ? 1 : 0))
		return HUB_SKIP;
	if (part == 0)
		buf_addf(out, "%c:%.*s:%u", m->is_join ? 'j' : 'l', SLICE_ARGS(m->member), m->member_count);
	else
		buf_addf(out, "s:%.*s", SLICE_ARGS(m->member));
	return WS_TEXT;
}

static uint8_t test_member_count(struct slice channel UNUSED, uint32_t count, struct buf *out, void *arg UNUSED) {
	buf_addf(out, "n:%u", count);
	return WS_TEXT;
}

static uint8_t test_reset(struct slice channel UNUSED, const struct hub_position *p, struct buf *out, void *arg UNUSED) {
	buf_addf(out, "r:%s:%llu", p->epoch, (unsigned long long)p->offset);
	return WS_TEXT;
}

static uint8_t bare_publication(const struct hub_publication *p UNUSED, struct buf *out UNUSED, void *arg UNUSED) {
	return HUB_VERBATIM | WS_BINARY;
}

static uint8_t bare_member_event(const struct hub_member_event *m UNUSED, unsigned part UNUSED, bool *count_later UNUSED,
    struct buf *out UNUSED, void *arg UNUSED) {
	return HUB_SKIP;
}

static uint8_t bare_member_count(struct slice channel UNUSED, uint32_t count UNUSED, struct buf *out UNUSED, void *arg UNUSED) {
	return HUB_SKIP;
}

static uint8_t bare_reset(struct slice channel UNUSED, const struct hub_position *p UNUSED, struct buf *out UNUSED,
    void *arg UNUSED) {
	return HUB_SKIP;
}

static const struct hub_form forms[] = {
	[FORM_TEST] = { "test", test_publication, test_member_event, test_member_count, test_reset, NULL },
	[FORM_BARE] = { "bare", bare_publication, bare_member_event, bare_member_count, bare_reset, NULL },
};

/* --- clients --- */

static void on_open(struct conn *conn) {
	struct test_client *c = conn_user(conn);

	c->conn = conn;
	c->is_open = true;
	hub_client_init(hub, &c->hub, conn, c->form);
}

static void on_message(struct conn *conn UNUSED, bool is_text UNUSED, struct slice data UNUSED) {
}

static void on_limited(struct conn *conn UNUSED, bool is_text UNUSED, struct slice data UNUSED, uint64_t wait_ms UNUSED) {
}

static void on_closed(struct conn *conn, bool by_server UNUSED) {
	struct test_client *c = conn_user(conn);

	hub_client_fini(&c->hub, 3000);
	c->conn = NULL;
}

static const struct conn_ops ops = { .name = "test", .on_open = on_open, .on_message = on_message, .on_limited = on_limited,
	.on_closed = on_closed };

static void on_request(struct conn *conn, const struct http_request *r, struct slice body UNUSED) {
	conn_upgrade(conn, r, &ops, &clients[client_count - 1], 1 << 20);
}

static void on_gone(struct conn *conn UNUSED) {
}

static size_t body_max(const struct http_request *r UNUSED, void *arg UNUSED) {
	return 0;
}

static const struct conn_host host = { .on_request = on_request, .on_gone = on_gone, .body_max = body_max };

static void turn_end(void *arg UNUSED) {
	if (hub != NULL)
		hub_turn_end(hub);
	if (conns != NULL)
		conns_turn_end(conns);
}

void client_receive(struct test_client *c) {
	while (c->fd >= 0 && !c->is_deaf) {
		uint8_t *at = buf_reserve(&c->in, 65536);
		ssize_t n;

		ck_assert_ptr_nonnull(at);
		n = recv(c->fd, at, 65536, MSG_DONTWAIT);
		if (n <= 0)
			break;
		c->in.len += (size_t)n;
	}
}

/* In crumbs: else zlib looks back further than its window. */
static void client_inflate(struct test_client *c, struct slice payload) {
	ck_assert_uint_ne(c->window_bits, 0);
	if (c->inflater == NULL)
		c->inflater = ws_inflater_new(c->window_bits);
	for (size_t i = 0; i < payload.len; i++)
		ck_assert_int_eq(ws_inflater_add(c->inflater, slice_of(payload.ptr + i, 1), &c->text), WS_INFLATE_OK);
	ck_assert_int_eq(ws_inflater_end(c->inflater, &c->text), WS_INFLATE_OK);
	if (!c->keeps_context)
		ws_inflater_release(&c->inflater);
	c->compressed++;
}

/* Moves one frame's payload to c->text; false when there is no whole one. */
static bool client_take_frame(struct test_client *c) {
	const uint8_t *d = c->in.data;
	size_t head = 2, len;

	if (c->in.len < 2)
		return false;
	len = d[1] & 0x7F;
	if (len == 126)
		head = 4;
	else if (len == 127)
		head = 10;
	if (c->in.len < head)
		return false;
	if (head > 2)
		len = 0;
	for (size_t i = 2; i < head; i++)
		len = len << 8 | d[i];
	if (c->in.len < head + len)
		return false;
	ck_assert_uint_eq(d[0] & (0xF0 ^ WS_RSV1), WS_FIN);
	if ((d[0] & WS_RSV1) != 0)
		client_inflate(c, slice_of(d + head, len));
	else if ((d[0] & 0x0F) != WS_CLOSE)
		buf_add(&c->text, slice_of(d + head, len));
	if ((d[0] & 0x0F) != WS_CLOSE)
		buf_add_u8(&c->text, '|');
	buf_drop_front(&c->in, head + len);
	return true;
}

static void read_terms(struct test_client *c, struct slice head) {
	static const char bits[] = "server_max_window_bits=";
	const char *at;

	if (memmem(head.ptr, head.len, "permessage-deflate", 18) == NULL)
		return;
	at = memmem(head.ptr, head.len, bits, strlen(bits));
	c->window_bits = at == NULL ? 15 : (uint8_t)strtoul(at + strlen(bits), NULL, 10);
	c->keeps_context = memmem(head.ptr, head.len, "server_no_context", 17) == NULL;
}

static bool is_open(void *arg) {
	struct test_client *c = arg;
	const uint8_t *end;

	client_receive(c);
	if (c->in.len < 4)
		return false;
	end = memmem(c->in.data, c->in.len, "\r\n\r\n", 4);
	if (end == NULL)
		return false;
	read_terms(c, slice_of(c->in.data, (size_t)(end - c->in.data)));
	buf_drop_front(&c->in, (size_t)(end - c->in.data) + 4);
	return true;
}

static struct test_client *client_new(uint8_t form) {
	struct test_client *c = &clients[client_count++];

	ck_assert_uint_le(client_count, TEST_CLIENTS_MAX);
	*c = (struct test_client){ .fd = -1, .form = form };
	buf_init(&c->in, CLIENT_BYTES_MAX);
	buf_init(&c->text, CLIENT_BYTES_MAX);
	return c;
}

static struct test_client *open_with(uint8_t form, const char *lines) {
	struct test_client *c = client_new(form);
	struct sock_peer peer = { .is_unix = 1 };
	struct buf request;
	int fd[2];

	buf_init(&request, 4096);
	buf_addf(&request, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", lines);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	c->fd = fd[1];
	conn_accept(conns, fd[0], &peer);
	ck_assert_int_eq(send(c->fd, request.data, request.len, 0), (ssize_t)request.len);
	buf_fini(&request);
	fake_broker_wait(&broker, is_open, c);
	ck_assert(c->is_open);
	return c;
}

struct test_client *client_open(uint8_t form) {
	return open_with(form, "");
}

struct test_client *client_open_deflate(uint8_t form, const char *parameters) {
	struct test_client *c;
	char line[200];

	snprintf(line, sizeof(line), "Sec-WebSocket-Extensions: permessage-deflate%s\r\n", parameters);
	c = open_with(form, line);
	ck_assert_uint_ne(c->window_bits, 0);
	return c;
}

struct test_client *client_open_bare(void) {
	struct test_client *c = client_new(FORM_TEST);

	hub_client_init(hub, &c->hub, NULL, FORM_TEST);
	return c;
}

struct expectation {
	struct test_client *c;
	size_t len;
};

static bool has_come(void *arg) {
	struct expectation *e = arg;

	client_receive(e->c);
	while (client_take_frame(e->c))
		;
	return e->c->text.len >= e->len;
}

void client_expect(struct test_client *c, const char *text) {
	struct expectation e = { c, strlen(text) };

	fake_broker_turns(&broker, 2);
	has_come(&e);
	if (c->text.len < e.len)
		fake_broker_wait(&broker, has_come, &e);
	buf_add_u8(&c->text, 0);
	ck_assert_str_eq((const char *)c->text.data, text);
	buf_reset(&c->text);
}

void client_expect_nothing(struct test_client *c) {
	fake_broker_turns(&broker, 6);
	client_expect(c, "");
}

/* --- what clients ask --- */

void *test_cookie(void) {
	return slice_dup_text(slice_text("cookie"));
}

static void tell_client(struct test_client *c, struct buf *text) {
	c->answers++;
	if (c->conn != NULL) {
		conn_send(c->conn, WS_TEXT, buf_slice(text));
	} else {
		buf_add(&c->text, buf_slice(text));
		buf_add_u8(&c->text, '|');
	}
	buf_fini(text);
}

static const char *result_name(enum ipc_result r) {
	static const char *const names[] = { "ok", "repeated", "taken", "unavailable", "uncertain", "full" };

	return names[r];
}

void result_to_client(struct hub_client *hc, void *cookie, const struct hub_result *r) {
	struct buf text;

	ck_assert_str_eq(cookie, "cookie");
	buf_init(&text, 1000);
	buf_add_text(&text, result_name(r->result));
	if (r->result <= IPC_REPEATED && r->position.epoch[0] != '\0')
		buf_addf(&text, ":%s:%llu", r->position.epoch, (unsigned long long)r->position.offset);
	tell_client(container_of(hc, struct test_client, hub), &text);
}

void snapshot_to_client(struct hub_client *hc, void *cookie, const struct hub_snapshot *s) {
	struct slice publications = s->publications, members = s->members;
	struct ipc_publication p;
	struct ipc_member m;
	struct buf text;

	ck_assert_str_eq(cookie, "cookie");
	buf_init(&text, 100000);
	if (s->result != IPC_OK) {
		buf_addf(&text, "snap:%s", result_name(s->result));
	} else {
		buf_addf(&text, "snap:%s:%llu", s->position.epoch, (unsigned long long)s->position.offset);
		if (s->asked_since)
			buf_add_text(&text, s->recovered ? ":yes" : ":no");
		while (ipc_next_publication(&publications, &p))
			buf_addf(&text, " %llu=%.*s", (unsigned long long)p.offset, SLICE_ARGS(p.data));
		while (ipc_next_member(&members, &m))
			buf_addf(&text, " *%.*s", SLICE_ARGS(m.member));
		if (s->member_count > 0)
			buf_addf(&text, " #%u", s->member_count);
	}
	tell_client(container_of(hc, struct test_client, hub), &text);
}

void subscribe(struct test_client *c, const char *channel, unsigned flags) {
	hub_subscribe(&c->hub, slice_text(channel), flags, NULL, 0, 0, snapshot_to_client, test_cookie());
}

void subscribe_since(struct test_client *c, const char *channel, unsigned flags, const char *epoch, uint64_t offset,
    uint32_t member_limit) {
	struct hub_position since = { .offset = offset };

	snprintf(since.epoch, sizeof(since.epoch), "%s", epoch);
	hub_subscribe(&c->hub, slice_text(channel), flags, &since, 100, member_limit, snapshot_to_client, test_cookie());
}

void publish(struct test_client *c, const char *channel, const char *data) {
	hub_publish(&c->hub, slice_text(channel), NULL, 0, PAYLOAD_TEXT, slice_text(data), result_to_client, test_cookie());
}

void identify(struct test_client *c, const char *member) {
	static const uint8_t token[IPC_KEY_BYTES] = "sixteen bytes...";

	hub_identify(&c->hub, slice_text(member), token, slice_text("info"), SLICE_EMPTY, result_to_client, test_cookie());
}

/* --- what the broker says --- */

void broker_snapshot(const union ipc_any *question, uint8_t flags, const char *epoch, uint64_t offset, const char *missed) {
	struct ipc_snapshot s = { question->subscribe.request, flags, question->subscribe.channel, slice_text(epoch), offset,
		SLICE_EMPTY, 0, SLICE_EMPTY };
	struct slice rest = slice_text(missed != NULL ? missed : ""), part;
	struct buf publications;

	buf_init(&publications, 100000);
	while (missed != NULL && slice_next_part(&rest, ' ', &part)) {
		struct ipc_publication p = { .data = part };
		struct slice number;

		ck_assert(slice_next_part(&p.data, '=', &number) && slice_to_u64(number, &p.offset));
		memcpy(p.key, p.data.ptr, p.data.len < IPC_KEY_BYTES ? p.data.len : IPC_KEY_BYTES);
		ipc_put_publication(&publications, &p);
	}
	s.publications = buf_slice(&publications);
	fake_broker_send(&broker, IPC_snapshot, &s);
	buf_fini(&publications);
}

void broker_deliver(const char *channel, const char *epoch, uint64_t offset, const char *data, const char *key) {
	struct ipc_deliver d = { .channel = slice_text(channel), .epoch = slice_text(epoch), .offset = offset,
		.kind = PAYLOAD_TEXT, .data = slice_text(data) };

	if (key != NULL)
		memcpy(d.key, key, strlen(key));
	fake_broker_send(&broker, IPC_deliver, &d);
}

void broker_member(enum ipc_type joined_or_left, const char *channel, const char *member, uint32_t count) {
	struct ipc_joined m = { slice_text(channel), slice_text(member), slice_text("info"), count };
	struct ipc_left l = { slice_text(channel), slice_text(member), slice_text("info"), count };

	fake_broker_send(&broker, joined_or_left, joined_or_left == IPC_joined ? (void *)&m : (void *)&l);
}

const union ipc_any *broker_take_subscribe(const char *channel, const char *epoch, uint64_t offset) {
	const union ipc_any *m = fake_broker_take(&broker, IPC_subscribe);

	ck_assert(slice_eq_text(m->subscribe.channel, channel));
	ck_assert((m->subscribe.flags & IPC_WANT_DELIVER) != 0);
	ck_assert_int_eq((m->subscribe.flags & IPC_SINCE) != 0, epoch != NULL);
	if (epoch != NULL) {
		ck_assert(slice_eq_text(m->subscribe.epoch, epoch));
		ck_assert_uint_eq(m->subscribe.offset, offset);
	}
	return m;
}

void join_live(struct test_client *c, const char *channel, uint64_t offset) {
	char text[64];

	subscribe(c, channel, 0);
	broker_snapshot(broker_take_subscribe(channel, NULL, 0), 0, "e", offset, NULL);
	snprintf(text, sizeof(text), "snap:e:%llu|", (unsigned long long)offset);
	client_expect(c, text);
}

/* --- the whole --- */

void hub_fixture_open(void) {
	struct conn_settings conn_settings = { .heartbeat_ms = 60000, .handshake_ms = 60000, .send_timeout_ms = 60000,
		.client_queue_bytes = TEST_CLIENT_QUEUE_BYTES, .deflate = hub_fixture_deflate };
	struct hub_settings settings = {
		.role = HUB_WORKER,
		.link_queue_bytes = 4 << 20,
		.link_message_bytes = 8 << 20,
		.broker_timeout_ms = TEST_TIMEOUT_MS,
		.linger_ms = TEST_LINGER_MS,
		.deflate = hub_fixture_deflate,
	};

	log_set_level(LOG_ERROR);
	client_count = 0;
	loop = evloop_new();
	fake_broker_init(&broker, loop, turn_end, NULL);
	settings.broker = broker.address;
	conns = conns_new(loop, &conn_settings, &host);
	hub = hub_new(loop, &settings, forms, ARRAY_LEN(forms));
	fake_broker_take(&broker, IPC_hello);
	fake_broker_take(&broker, IPC_synced);
	ck_assert(hub_is_linked(hub));
}

void hub_fixture_close(void) {
	conns_free(&conns);
	for (size_t i = 0; i < client_count; i++) {
		if (clients[i].hub.hub != NULL)
			hub_client_fini(&clients[i].hub, 0);
		if (clients[i].fd >= 0)
			close(clients[i].fd);
		buf_fini(&clients[i].in);
		buf_fini(&clients[i].text);
		ws_inflater_release(&clients[i].inflater);
	}
	ck_assert_uint_eq(hub_pending(hub), 0);
	hub_free(&hub);
	fake_broker_fini(&broker);
	evloop_free(&loop);
	outq_free_spare();
	ws_deflate_free_shared();
	ck_assert_uint_eq(ws_deflate_counted()->memory_bytes, 0);
}
