/* client - connecting, asking for the upgrade, sending, and what ends a client */
#include "tests/load/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/load/client_read.h"
#include "tests/load/payload.h"
#include "tests/load/tls.h"

enum { EVENTS = 1024, READ_BYTES = 256 * 1024, SEND_BYTES = 128 * 1024, TLS_READS = 16 };
enum { OP_TEXT = 1, OP_BINARY = 2 };

/* The example of RFC 6455, 1.3: the load measures, it has no secrets. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define OFFER "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

/* What the socket did not take at once, of which it has taken `sent` since. */
struct unsent {
	struct buf bytes;
	size_t sent;
};

static void watch(struct clients *all, struct client *c, int op, uint32_t events) {
	struct epoll_event e = { .events = events, .data.ptr = c };

	if (epoll_ctl(all->epoll, op, c->fd, &e) != 0)
		die(all->shared, "epoll_ctl: %s%s", strerror(errno), errno == ENOSPC ? " (sysctl fs.epoll.max_user_watches)" : "");
}

void clients_init(struct clients *all, uint32_t first, uint32_t count) {
	struct epoll_event order = { .events = EPOLLIN | EPOLLET, .data.ptr = NULL };

	all->first = first;
	all->count = count;
	all->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (all->epoll < 0 || epoll_ctl(all->epoll, EPOLL_CTL_ADD, all->shared->order, &order) != 0)
		die(all->shared, "epoll: %s", strerror(errno));
	all->client = mem_zalloc(count * sizeof(all->client[0]));
	for (uint32_t i = 0; i < count; i++)
		all->client[i].fd = -1;
	buf_init(&all->frame, CLIENT_MESSAGE_MAX + 14);
	buf_init(&all->scratch, 1 << 20);
}

void clients_fini(struct clients *all) {
	for (uint32_t i = 0; i < all->count; i++)
		client_close(&all->client[i]);
	close(all->epoll);
	mem_free(all->client);
	mem_free(all->payload);
	buf_fini(&all->frame);
	buf_fini(&all->scratch);
}

static void set_frame(struct clients *all, uint8_t opcode) {
	payload_add_head(&all->frame, opcode, all->payload_len);
	all->payload_at = all->frame.len;
	payload_add_masked(&all->frame, slice_of(all->payload, all->payload_len));
}

void clients_set_message(struct clients *all, size_t bytes, bool binary) {
	all->payload = mem_alloc(bytes + 1);
	all->payload_len = bytes;
	payload_fill(all->payload, bytes);
	all->stamp_count = 1;
	set_frame(all, binary ? OP_BINARY : OP_TEXT);
}

void clients_set_text(struct clients *all, struct slice text, const size_t *stamp_at, size_t stamp_count) {
	BUG_ON(stamp_count > STAMP_PLACES);
	all->payload = mem_dup(text.ptr, text.len);
	all->payload_len = text.len;
	memcpy(all->stamp_at, stamp_at, stamp_count * sizeof(stamp_at[0]));
	all->stamp_count = stamp_count;
	set_frame(all, OP_TEXT);
}

static void unsent_free(struct unsent *u) {
	if (u != NULL)
		buf_fini(&u->bytes);
	mem_free(u);
}

void client_close(struct client *c) {
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	c->state = CLIENT_GONE;
	if (c->fd < 0)
		return;
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(c->fd);
	c->fd = -1;
	tls_free(c->tls);
	c->tls = NULL;
	part_free(c->part);
	c->part = NULL;
	unsent_free(c->unsent);
	c->unsent = NULL;
}

void client_fail(struct clients *all, struct client *c, const char *cause, const char *format, ...) {
	char text[PROBLEM_TEXT / 2];
	va_list args;

	if (c->state == CLIENT_GONE)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	shared_set_problem(all->shared, "connection %u: %s", client_number(all, c), text);
	cause_add(all->me->causes, cause, 1);
	if (c->comes_back)
		all->me->n.retries++;
	else if (c->was_open)
		all->me->n.lost++;
	else
		all->me->n.refused++;
	client_close(c);
	if (!c->is_ready)
		all->me->settled++;
	if (all->on.on_gone != NULL)
		all->on.on_gone(all, c);
}

void client_ready(struct clients *all, struct client *c) {
	if (c->is_ready)
		return;
	c->is_ready = true;
	all->me->n.ready++;
	all->me->settled++;
}

static void fail_errno(struct clients *all, struct client *c, const char *what) {
	int error = errno;

	client_fail(all, c, strerrorname_np(error), "%s: %s", what, strerror(error));
}

/* Returns how many bytes the socket took. No more than a share is offered: one long system call would keep whoever shares the
 * processor waiting. */
static size_t send_some(struct clients *all, struct client *c, struct slice s) {
	size_t len = s.len < SEND_BYTES ? s.len : SEND_BYTES;
	ssize_t took = c->tls != NULL ? tls_send(c->tls, s.ptr, len) : send(c->fd, s.ptr, len, MSG_NOSIGNAL);

	if (took < 0 && errno != EAGAIN)
		fail_errno(all, c, "send");
	return took < 0 ? 0 : (size_t)took;
}

void client_send_bytes(struct clients *all, struct client *c, struct slice s) {
	if (c->fd < 0)
		return;
	if (c->unsent == NULL) {
		s = slice_skip(s, send_some(all, c, s));
		if (s.len == 0 || c->fd < 0)
			return;
		c->unsent = mem_zalloc(sizeof(*c->unsent));
		buf_init(&c->unsent->bytes, 2 * (size_t)CLIENT_MESSAGE_MAX);
		watch(all, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
	}
	buf_add(&c->unsent->bytes, s);
	if (c->unsent->bytes.failed)
		client_fail(all, c, "takes nothing", "the server takes nothing, and %d bytes are waiting", 2 * CLIENT_MESSAGE_MAX);
}

static void send_rest(struct clients *all, struct client *c) {
	struct unsent *u = c->unsent;
	size_t took;

	if (u == NULL)
		return;
	took = send_some(all, c, slice_skip(buf_slice(&u->bytes), u->sent));
	if (c->fd < 0)
		return;
	u->sent += took;
	if (u->sent < u->bytes.len)
		return;
	unsent_free(u);
	c->unsent = NULL;
	watch(all, c, EPOLL_CTL_MOD, EPOLLIN);
}

void client_send(struct clients *all, struct client *c, const uint8_t *stamp) {
	for (size_t k = 0; stamp != NULL && k < all->stamp_count; k++) {
		uint8_t *out = all->frame.data + all->payload_at + all->stamp_at[k];

		for (size_t i = 0; i < STAMP_BYTES; i++)
			out[i] = stamp[i] ^ payload_mask[(all->stamp_at[k] + i) % 4];
	}
	all->me->n.sent++;
	client_send_bytes(all, c, buf_slice(&all->frame));
}

void client_add_frame(struct buf *b, uint8_t opcode, struct slice payload) {
	payload_add_head(b, opcode, payload.len);
	payload_add_masked(b, payload);
}

void client_send_text(struct clients *all, struct client *c, struct slice text) {
	buf_reset(&all->scratch);
	client_add_frame(&all->scratch, OP_TEXT, text);
	client_send_bytes(all, c, buf_slice(&all->scratch));
}

static void bind_source(struct clients *all, struct client *c) {
	uint32_t address = all->o->source + client_number(all, c) % all->o->source_count;
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) };
	char text[INET_ADDRSTRLEN] = "";
	int on = 1;

	/* The port is chosen when it is known whom it goes to, so each address has all ports for each server. */
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) == 0)
		return;
	inet_ntop(AF_INET, &from.sin_addr, text, sizeof(text));
	die(all->shared, "--source: %s is no address of this machine (%s)", text, strerror(errno));
}

static void add_token(struct buf *request, const char *token, uint32_t number) {
	const char *star = strchrnul(token, '*');

	buf_addf(request, "Authorization: Bearer %.*s", (int)(star - token), token);
	if (*star == '*')
		buf_addf(request, "%u%s", number, star + 1);
	buf_add_text(request, "\r\n");
}

static void ask(struct clients *all, struct client *c) {
	const struct target *t = &all->o->target;
	struct buf request;

	c->state = CLIENT_UPGRADING;
	buf_init(&request, TARGET_PATH_MAX + 16384);
	buf_addf(&request,
		"GET %s HTTP/1.1\r\nHost: %s%s%s:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n%s",
		t->path, t->is_literal ? "[" : "", t->host, t->is_literal ? "]" : "", t->port, c->offers_deflate ? OFFER : "");
	if (all->o->token != NULL)
		add_token(&request, all->o->token, client_number(all, c));
	buf_add_text(&request, "\r\n");
	client_send_bytes(all, c, buf_slice(&request));
	buf_fini(&request);
}

static void shake_hands(struct clients *all, struct client *c) {
	int result = tls_handshake(c->tls);

	if (result > 0)
		ask(all, c);
	else if (result < 0)
		client_fail(all, c, "TLS", "TLS: %s", tls_problem(c->tls));
}

static void count_retransmits(struct process *me, int fd) {
	struct tcp_info info;
	socklen_t size = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0)
		me->n.syn_retransmits += info.tcpi_total_retrans;
}

static void connected(struct clients *all, struct client *c) {
	socklen_t size = sizeof(int);
	int error = 0;

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
		client_fail(all, c, strerrorname_np(error), "%s:%u: %s%s", all->o->target.host, all->o->target.port, strerror(error),
			error == ECONNREFUSED ? ": no server listens there" : "");
		return;
	}
	if (all->on.counts_retransmits)
		count_retransmits(all->me, c->fd);
	watch(all, c, EPOLL_CTL_MOD, EPOLLIN);
	if (!all->o->target.is_tls) {
		ask(all, c);
		return;
	}
	c->tls = tls_new(c->fd, all->o);
	c->state = CLIENT_TLS;
	shake_hands(all, c);
}

NORETURN static void no_socket(struct clients *all) {
	if (errno == EMFILE)
		die(all->shared, "no descriptor left: more --processes, or a higher limit of open files (ulimit -n)");
	if (errno == ENFILE)
		die(all->shared, "the machine has no descriptor left: sysctl fs.file-max");
	die(all->shared, "socket: %s", strerror(errno));
}

NORETURN static void no_port(struct clients *all, struct client *c) {
	die(all->shared, "connection %u: no port is left: --source=ADDRESS,COUNT for more addresses, or sysctl net.ipv4.ip_local_port_range",
		client_number(all, c));
}

void client_start(struct clients *all, struct client *c) {
	const struct target *t = &all->o->target;
	int on = 1;

	c->state = CLIENT_CONNECTING;
	c->was_open = false;
	c->fd = socket(t->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		no_socket(all);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (all->o->has_source)
		bind_source(all, c);
	if (connect(c->fd, (const struct sockaddr *)&t->address, t->address_len) != 0 && errno != EINPROGRESS) {
		if (errno == EADDRNOTAVAIL || errno == EAGAIN)
			no_port(all, c);
		fail_errno(all, c, "connect");
		return;
	}
	watch(all, c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void readable(struct clients *all, struct client *c) {
	static uint8_t bytes[READ_BYTES];

	/* One record of TLS at a time, and what OpenSSL has read already makes no socket readable. */
	for (int i = 0; i < (c->tls != NULL ? TLS_READS : 1) && c->fd >= 0; i++) {
		ssize_t got = c->tls != NULL ? tls_recv(c->tls, bytes, sizeof(bytes)) : recv(c->fd, bytes, sizeof(bytes), 0);

		if (got < 0 && errno == EAGAIN)
			return;
		if (got < 0) {
			fail_errno(all, c, "receive");
			return;
		}
		if (got == 0) {
			client_fail(all, c, "no close frame", "ended by the server without a close frame");
			return;
		}
		all->now = now_ns();
		client_feed(all, c, slice_of(bytes, (size_t)got));
	}
}

static void handle(struct clients *all, struct client *c, uint32_t events) {
	if (c->state == CLIENT_CONNECTING) {
		connected(all, c);
		return;
	}
	if (c->state == CLIENT_TLS) {
		shake_hands(all, c);
		return;
	}
	if ((events & EPOLLOUT) != 0)
		send_rest(all, c);
	if (c->fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
		readable(all, c);
}

void clients_turn(struct clients *all, uint64_t until_ns) {
	static struct epoll_event events[EVENTS];
	uint64_t now = now_ns(), ns = until_ns > now ? until_ns - now : 0;
	struct timespec most = { .tv_sec = (time_t)(ns / SECOND_NS), .tv_nsec = (long)(ns % SECOND_NS) };
	int n = epoll_pwait2(all->epoll, events, EVENTS, &most, NULL);

	if (n < 0 && errno != EINTR)
		die(all->shared, "epoll_wait: %s", strerror(errno));
	for (int i = 0; i < n; i++) {
		struct client *c = events[i].data.ptr;

		if (c != NULL && c->fd >= 0)
			handle(all, c, events[i].events);
	}
}
