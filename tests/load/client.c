/* client - connecting, upgrading, and frames one after the other */
#include "tests/load/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/mem.h"

enum { EVENTS = 1024, READ_BYTES = 256 * 1024, SEND_BYTES = 128 * 1024, STARTING_MAX = 256, CONTROL_MAX = 125, RESPONSE_MAX = 8192 };
enum { OP_CONTINUATION = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

/* The example of RFC 6455, 1.3: the load measures, it has no secrets. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define OFFER "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

void die(const char *format, ...) {
	va_list args;

	fputs("herold-load: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

uint64_t now_ns(void) {
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void watch(struct client *c, int op, uint32_t events) {
	struct epoll_event e = { .events = events, .data.ptr = c };

	if (epoll_ctl(c->all->epoll, op, c->fd, &e) != 0)
		die("epoll_ctl: %s", strerror(errno));
}

void clients_init(struct clients *all, const char *target, uint16_t port, const char *path, uint32_t count) {
	struct rlimit files;

	*all = (struct clients){ .count = count, .target = target, .path = path };
	all->to.sin_family = AF_INET;
	all->to.sin_port = htons(port);
	if (inet_pton(AF_INET, target, &all->to.sin_addr) != 1)
		die("%s is no IPv4 address", target);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	all->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (all->epoll < 0)
		die("epoll_create1: %s", strerror(errno));
	all->client = mem_zalloc(count * sizeof(all->client[0]));
	for (uint32_t i = 0; i < count; i++) {
		all->client[i] = (struct client){ .all = all, .index = i, .fd = -1 };
		buf_init(&all->client[i].in, RESPONSE_MAX);
		buf_init(&all->client[i].out, 2 * (size_t)CLIENT_MESSAGE_MAX);
	}
	buf_init(&all->frame, CLIENT_MESSAGE_MAX + 14);
}

void clients_fini(struct clients *all) {
	/* Reset, not closed: thousands of addresses in TIME_WAIT would be in the way of the next round. */
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	for (uint32_t i = 0; i < all->count; i++) {
		struct client *c = &all->client[i];

		if (c->fd >= 0) {
			setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
			close(c->fd);
		}
		buf_fini(&c->in);
		buf_fini(&c->out);
	}
	close(all->epoll);
	mem_free(all->client);
	mem_free(all->payload);
	buf_fini(&all->frame);
}

/* The head of a masked frame (RFC 6455, 5.2). */
static void add_head(struct buf *b, uint8_t opcode, uint64_t len) {
	int length_bytes = len < 126 ? 0 : len <= UINT16_MAX ? 2 : 8;

	buf_add_u8(b, 0x80 | opcode);
	buf_add_u8(b, (uint8_t)(0x80 | (length_bytes == 0 ? len : length_bytes == 2 ? 126 : 127)));
	while (length_bytes-- > 0)
		buf_add_u8(b, (uint8_t)(len >> (8 * length_bytes)));
	buf_add(b, slice_of(mask, sizeof(mask)));
}

static void add_masked(struct buf *b, struct slice payload) {
	for (size_t i = 0; i < payload.len; i++)
		buf_add_u8(b, payload.ptr[i] ^ mask[i % 4]);
}

/* Members of an object with texts and numbers that differ, cut off at the end. */
static void fill(uint8_t *out, size_t bytes) {
	static const char *const words[] = { "alpha", "river", "seven", "message", "yellow", "to", "of", "window", "server", "and", "paper", "a",
		"light", "under", "is", "number" };
	uint32_t dice = 2463534242;
	size_t len = 0;
	char member[256];

	for (unsigned i = 1; len < bytes; i++) {
		const char *word[4];
		size_t take;

		for (size_t k = 0; k < ARRAY_LEN(word); k++) {
			dice = dice * 1664525 + 1013904223;
			word[k] = words[dice >> 28];
		}
		take = (size_t)snprintf(member, sizeof(member), "{\"id\":%u,\"name\":\"%s\",\"text\":\"%s %s %s\",\"time\":%u},", i, word[0],
			word[1], word[2], word[3], dice);
		take = take < bytes - len ? take : bytes - len;
		memcpy(out + len, member, take);
		len += take;
	}
}

void clients_set_message(struct clients *all, size_t bytes, bool binary) {
	all->payload = mem_alloc(bytes);
	all->payload_len = bytes;
	fill(all->payload, bytes);
	add_head(&all->frame, binary ? OP_BINARY : OP_TEXT, bytes);
	all->payload_at = all->frame.len;
	add_masked(&all->frame, slice_of(all->payload, bytes));
	all->compare = true;
	if (all->frame.failed)
		die("a message of %zu bytes is too large", bytes);
}

/* Returns how many bytes the socket took. No more than a share is offered: one long system call would keep whoever shares the
 * processor waiting. */
static size_t send_some(struct client *c, struct slice s) {
	ssize_t took = send(c->fd, s.ptr, s.len < SEND_BYTES ? s.len : SEND_BYTES, MSG_NOSIGNAL);

	if (took < 0 && errno != EAGAIN)
		die("connection %u: send: %s", c->index, strerror(errno));
	return took < 0 ? 0 : (size_t)took;
}

static void send_bytes(struct client *c, struct slice s) {
	bool waiting = c->out.len > 0;

	if (!waiting)
		s = slice_skip(s, send_some(c, s));
	buf_add(&c->out, s);
	if (c->out.failed)
		die("connection %u: the server takes nothing", c->index);
	if (!waiting && c->out.len > 0)
		watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void send_rest(struct client *c) {
	c->out_sent += send_some(c, slice_skip(buf_slice(&c->out), c->out_sent));
	if (c->out_sent < c->out.len)
		return;
	c->out_sent = 0;
	buf_fini(&c->out);
	watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

void client_send(struct client *c, const void *stamp) {
	struct clients *all = c->all;

	if (stamp != NULL) {
		const uint8_t *bytes = stamp;

		all->compare = false;
		for (size_t i = 0; i < CLIENT_STAMP; i++)
			all->frame.data[all->payload_at + i] = bytes[i] ^ mask[i % 4];
	}
	send_bytes(c, buf_slice(&all->frame));
}

static void bind_source(const struct client *c) {
	struct sockaddr_in from = { .sin_family = AF_INET };
	int on = 1;

	if (inet_pton(AF_INET, c->all->source, &from.sin_addr) != 1)
		die("%s is no IPv4 address", c->all->source);
	from.sin_addr.s_addr = htonl(ntohl(from.sin_addr.s_addr) + c->index);
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) != 0)
		die("bind: %s", strerror(errno));
}

void clients_start_one(struct clients *all) {
	struct client *c = &all->client[all->started++];
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (all->source != NULL)
		bind_source(c);
	if (connect(c->fd, (struct sockaddr *)&all->to, sizeof(all->to)) != 0 && errno != EINPROGRESS)
		die("connect: %s", strerror(errno));
	c->state = CLIENT_CONNECTING;
	watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void add_token(struct buf *request, const char *token, uint32_t index) {
	const char *star = strchrnul(token, '*');

	buf_addf(request, "Authorization: Bearer %.*s", (int)(star - token), token);
	if (*star == '*')
		buf_addf(request, "%u%s", index, star + 1);
	buf_add(request, slice_text("\r\n"));
}

static void connected(struct client *c) {
	struct clients *all = c->all;
	struct buf request;
	socklen_t size = sizeof(int);
	int error = 0;

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0)
		die("connection %u: connect: %s", c->index, strerror(error));
	c->state = CLIENT_UPGRADING;
	watch(c, EPOLL_CTL_MOD, EPOLLIN);
	buf_init(&request, 4096);
	buf_addf(&request,
		"GET %s HTTP/1.1\r\nHost: %s:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n%s",
		all->path, all->target, ntohs(all->to.sin_port), c->offers_deflate ? OFFER : "");
	if (all->token != NULL)
		add_token(&request, all->token, c->index);
	buf_add(&request, slice_text("\r\n"));
	send_bytes(c, buf_slice(&request));
	buf_fini(&request);
}

/* Returns what follows the head. */
static struct slice upgraded(struct client *c, struct slice s) {
	size_t before = c->in.len, head_len;
	const uint8_t *end;

	buf_add(&c->in, s);
	end = memmem(c->in.data, c->in.len, "\r\n\r\n", 4);
	if (end == NULL && !c->in.failed)
		return SLICE_EMPTY;
	if (end == NULL || !slice_starts_with(buf_slice(&c->in), "HTTP/1.1 101 ") ||
		memmem(c->in.data, c->in.len, ACCEPT, strlen(ACCEPT)) == NULL)
		die("connection %u: no upgrade: %.*s", c->index, (int)c->in.len, (char *)c->in.data);
	if (c->offers_deflate && memmem(c->in.data, c->in.len, "permessage-deflate", 18) == NULL)
		die("connection %u: the server does not compress", c->index);
	head_len = (size_t)(end - c->in.data) + 4;
	buf_fini(&c->in);
	c->state = CLIENT_OPEN;
	c->all->open++;
	c->all->on_open(c);
	return slice_skip(s, head_len - before);
}

static void control_frame(struct client *c) {
	struct slice payload = buf_slice(&c->in);
	struct buf pong;

	if (c->opcode == OP_CLOSE)
		die("connection %u: closed by the server with code %d", c->index,
			payload.len >= 2 ? payload.ptr[0] << 8 | payload.ptr[1] : 1005);
	if (c->opcode == OP_PING) {
		buf_init(&pong, CONTROL_MAX + 14);
		add_head(&pong, OP_PONG, payload.len);
		add_masked(&pong, payload);
		send_bytes(c, buf_slice(&pong));
		buf_fini(&pong);
	}
	buf_fini(&c->in);
}

/* Returns the length of the frame's head, or 0 when more of it is needed. */
static size_t take_head(struct client *c, const uint8_t *p, size_t len) {
	size_t length_bytes;

	if (len < 2)
		return 0;
	length_bytes = p[1] < 126 ? 0 : p[1] == 126 ? 2 : 8;
	if (len < 2 + length_bytes)
		return 0;
	if ((p[0] & 0x70) != 0 && ((p[0] & 0x70) != 0x40 || !c->offers_deflate))
		die("connection %u: bad frame %02x %02x", c->index, p[0], p[1]);
	if ((p[1] & 0x80) != 0)
		die("connection %u: bad frame %02x %02x", c->index, p[0], p[1]);
	c->left = length_bytes == 0 ? p[1] : 0;
	for (size_t i = 0; i < length_bytes; i++)
		c->left = c->left << 8 | p[2 + i];
	c->fin = (p[0] & 0x80) != 0;
	c->opcode = p[0] & 0x0f;
	c->is_compressed = c->is_compressed || (p[0] & 0x40) != 0;
	if (c->opcode >= OP_CLOSE ? c->left > CONTROL_MAX : c->left > CLIENT_MESSAGE_MAX)
		die("connection %u: a frame of %llu bytes", c->index, (unsigned long long)c->left);
	c->in_frame = true;
	return 2 + length_bytes;
}

/* Returns what follows the part of the head that is in s. */
static struct slice frame_head(struct client *c, struct slice s) {
	size_t len;

	if (c->head_len == 0) {
		len = take_head(c, s.ptr, s.len);
		if (len > 0)
			return slice_skip(s, len);
	}
	while (s.len > 0 && !c->in_frame) {
		c->head[c->head_len++] = s.ptr[0];
		s = slice_skip(s, 1);
		if (take_head(c, c->head, c->head_len) > 0)
			c->head_len = 0;
	}
	return s;
}

static void frame_payload(struct client *c, struct slice s) {
	const struct clients *all = c->all;

	c->left -= s.len;
	if (c->opcode >= OP_CLOSE) {
		buf_add(&c->in, s);
		return;
	}
	if (c->offset < CLIENT_STAMP) {
		size_t room = CLIENT_STAMP - (size_t)c->offset;

		memcpy(c->stamp + c->offset, s.ptr, s.len < room ? s.len : room);
	}
	if (c->offset + s.len > all->payload_len ||
		(all->compare && !c->is_compressed && s.len > 0 && memcmp(all->payload + c->offset, s.ptr, s.len) != 0))
		die("connection %u: not the bytes that were sent", c->index);
	c->offset += s.len;
}

static void frame_end(struct client *c) {
	c->in_frame = false;
	if (c->opcode >= OP_CLOSE) {
		control_frame(c);
		return;
	}
	if (!c->fin)
		return;
	if (c->offset != c->all->payload_len && !c->is_compressed)
		die("connection %u: a message of %llu bytes", c->index, (unsigned long long)c->offset);
	c->offset = 0;
	c->is_compressed = false;
	c->all->on_message(c);
}

static void frames(struct client *c, struct slice s) {
	while (s.len > 0) {
		size_t take;

		if (!c->in_frame)
			s = frame_head(c, s);
		if (!c->in_frame)
			return;
		take = s.len < c->left ? s.len : (size_t)c->left;
		frame_payload(c, slice_of(s.ptr, take));
		s = slice_skip(s, take);
		if (c->left == 0)
			frame_end(c);
	}
}

static void readable(struct client *c) {
	static uint8_t bytes[READ_BYTES];
	ssize_t got = recv(c->fd, bytes, sizeof(bytes), 0);
	struct slice s;

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0)
		die("connection %u: %s", c->index, got == 0 ? "ended by the server" : strerror(errno));
	s = slice_of(bytes, (size_t)got);
	if (c->state == CLIENT_UPGRADING)
		s = upgraded(c, s);
	if (c->state == CLIENT_OPEN)
		frames(c, s);
}

int clients_turn(struct clients *all, uint64_t most_ns) {
	static struct epoll_event events[EVENTS];
	struct timespec most = { .tv_sec = (time_t)(most_ns / SECOND_NS), .tv_nsec = (long)(most_ns % SECOND_NS) };
	int n = epoll_pwait2(all->epoll, events, EVENTS, &most, NULL);

	if (n < 0 && errno != EINTR)
		die("epoll_wait: %s", strerror(errno));
	for (int i = 0; i < n; i++) {
		struct client *c = events[i].data.ptr;

		if (c->state == CLIENT_CONNECTING) {
			connected(c);
			continue;
		}
		if ((events[i].events & EPOLLOUT) != 0)
			send_rest(c);
		if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
			readable(c);
	}
	return n;
}

void clients_open_all(struct clients *all, int timeout_s) {
	uint64_t until = now_ns() + (uint64_t)timeout_s * SECOND_NS;

	while (all->open < all->count) {
		while (all->started < all->count && all->started - all->open < STARTING_MAX)
			clients_start_one(all);
		clients_turn(all, 100 * MILLISECOND_NS);
		if (now_ns() > until)
			die("%u of %u connections are open after %d s", all->open, all->count, timeout_s);
	}
}
