/* chat_peer - connect, log in, frames out and frames in */
#include "tests/bench/chat_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void chat_peer_die(const char *what) {
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(EXIT_FAILURE);
}

void chat_peer_refused(const uint8_t *payload, size_t len) {
	fprintf(stderr, "%s: %.*s\n", program_invocation_short_name, (int)len, (const char *)payload);
	exit(EXIT_FAILURE);
}

uint64_t chat_peer_now_ns(void) {
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void chat_peer_send(struct chat_peer *p, const void *bytes, size_t len) {
	if (send(p->fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
		chat_peer_die("send");
}

/* A masked text frame (RFC 6455, 5.2); with a mask of zeros the bytes stay as they are. */
size_t chat_peer_frame(uint8_t *to, const char *text) {
	size_t len = strlen(text), head = len < 126 ? 6 : 8;

	if (len > CHAT_PEER_TEXT_MAX)
		chat_peer_die("a message too long");
	memset(to, 0, head);
	to[0] = 0x81;
	to[1] = (uint8_t)(0x80 | (len < 126 ? len : 126));
	if (len >= 126) {
		to[2] = (uint8_t)(len >> 8);
		to[3] = (uint8_t)len;
	}
	memcpy(to + head, text, len);
	return head + len;
}

void chat_peer_say(struct chat_peer *p, const char *text) {
	uint8_t frame[CHAT_PEER_TEXT_MAX + 8];

	chat_peer_send(p, frame, chat_peer_frame(frame, text));
}

void chat_peer_receive(struct chat_peer *p, bool waits) {
	ssize_t n = recv(p->fd, p->in + p->len, sizeof(p->in) - p->len, waits ? 0 : MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		chat_peer_die("the connection ended");
	if (n > 0)
		p->len += (size_t)n;
}

/* The payload of the first whole frame, and its length in all; NULL: not there yet. */
static const uint8_t *first_frame(const struct chat_peer *p, size_t at, size_t *payload_len, size_t *frame_len) {
	const uint8_t *b = p->in + at;
	size_t have = p->len - at, head = 2, len;

	if (have < 4)
		return NULL;
	len = b[1] & 0x7f;
	if (len == 127)
		chat_peer_die("a frame too long");
	if (len == 126) {
		len = (size_t)b[2] << 8 | b[3];
		head = 4;
	}
	if ((b[0] & 0x0f) == 8)
		chat_peer_die("the server closed");
	if (have < head + len)
		return NULL;
	*payload_len = len;
	*frame_len = head + len;
	return b + head;
}

void chat_peer_each(struct chat_peer *p, void (*fn)(void *arg, const uint8_t *payload, size_t len), void *arg) {
	size_t at = 0, payload_len, frame_len;
	const uint8_t *payload;

	while ((payload = first_frame(p, at, &payload_len, &frame_len)) != NULL) {
		fn(arg, payload, payload_len);
		at += frame_len;
	}
	memmove(p->in, p->in + at, p->len - at);
	p->len -= at;
}

bool chat_peer_has(const uint8_t *payload, size_t len, const char *text) {
	return memmem(payload, len, text, strlen(text)) != NULL;
}

void chat_peer_wait_for(struct chat_peer *p, const char *text) {
	for (;;) {
		size_t payload_len, frame_len;
		const uint8_t *payload = first_frame(p, 0, &payload_len, &frame_len);

		if (payload == NULL) {
			chat_peer_receive(p, true);
			continue;
		}
		bool is_it = chat_peer_has(payload, payload_len, text);

		if (chat_peer_has(payload, payload_len, "\"type\":\"error\""))
			chat_peer_refused(payload, payload_len);
		memmove(p->in, p->in + frame_len, p->len - frame_len);
		p->len -= frame_len;
		if (is_it)
			return;
	}
}

void chat_peer_enter(struct chat_peer *p, long port, long number) {
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = CHAT_PEER_STALL_MS / 1000 };
	char text[512];
	uint8_t *end;
	int on = 1;

	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(p->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		chat_peer_die("connect");
	snprintf(text, sizeof(text), "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	chat_peer_send(p, text, strlen(text));
	while ((end = memmem(p->in, p->len, "\r\n\r\n", 4)) == NULL)
		chat_peer_receive(p, true);
	if (memcmp(p->in, "HTTP/1.1 101", 12) != 0)
		chat_peer_die("no upgrade");
	end += 4;
	p->len -= (size_t)(end - p->in);
	memmove(p->in, end, p->len);
	snprintf(text, sizeof(text), "{\"type\":\"login\",\"userId\":\"load-%d-%ld\",\"name\":\"load\",\"room\":\"load-%d-%ld\"}", (int)getpid(), number,
	    (int)getpid(), number);
	chat_peer_say(p, text);
	chat_peer_wait_for(p, "\"login_ok\"");
}
