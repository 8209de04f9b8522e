/* floor - accept, upgrade, unmask */
#include "tests/bench/floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/codec.h"
#include "common/base/digest.h"
#include "common/base/mem.h"
#include "server/ws/ws_frame.h"

enum { EVENTS = 1024, READ_BYTES = 256 * 1024 };

int floor_open[FLOOR_FILES_MAX];
size_t floor_open_count;

/* By descriptor. What came of a frame that is not complete is held; most of the time that is nothing. */
static struct connection {
	uint8_t *held;
	uint32_t held_len;
	bool upgraded;
} connections[FLOOR_FILES_MAX];

static int epoll;

static void must(bool ok, const char *what) {
	if (!ok) {
		perror(what);
		exit(EXIT_FAILURE);
	}
}

void floor_send(int fd, struct iovec *iov) {
	while (iov->iov_len > 0) {
		struct msghdr message = { .msg_iov = iov, .msg_iovlen = 1 };
		ssize_t took = sendmsg(fd, &message, MSG_NOSIGNAL);

		if (took < 0 && errno == EAGAIN)
			poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
		else if (took < 0)
			return;
		else
			*iov = (struct iovec){ (char *)iov->iov_base + took, iov->iov_len - (size_t)took };
	}
}

static void accept_all(int listener) {
	int on = 1, fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		must(fd < FLOOR_FILES_MAX && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0, "epoll_ctl");
	}
}

static void end(int fd) {
	for (size_t i = 0; i < floor_open_count; i++) {
		if (floor_open[i] == fd)
			floor_open[i] = floor_open[--floor_open_count];
	}
	mem_free(connections[fd].held);
	connections[fd] = (struct connection){ .held = NULL };
	close(fd);
}

static void upgrade(int fd, struct slice request) {
	static const char name[] = "Sec-WebSocket-Key: ";
	const char *key = memmem(request.ptr, request.len, name, strlen(name));
	char text[192], accept_text[BASE64_LEN(SHA1_BYTES) + 1];
	uint8_t sum[SHA1_BYTES];
	struct iovec iov;

	must(key != NULL, "Sec-WebSocket-Key");
	snprintf(text, sizeof(text), "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + strlen(name));
	digest_sha1(slice_text(text), sum);
	base64_encode(slice_of(sum, sizeof(sum)), accept_text);
	iov.iov_base = text;
	iov.iov_len = (size_t)snprintf(text, sizeof(text),
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept_text);
	floor_send(fd, &iov);
	connections[fd].upgraded = true;
	floor_open[floor_open_count++] = fd;
}

/* Takes one masked frame off the front; false when it is not complete. */
static bool take_frame(int fd, uint8_t **at, size_t *left, floor_message_fn message) {
	uint8_t *p = *at, *mask;
	size_t head = 2, len;

	if (*left < 14 && (*left < 6 || *left < 6U + (p[1] & 0x7f)))
		return false;
	len = p[1] & 0x7f;
	if (len >= 126) {
		size_t bytes = len == 126 ? 2 : 8;

		len = 0;
		for (; head < 2 + bytes; head++)
			len = len << 8 | p[head];
	}
	mask = p + head;
	if (*left < head + 4 + len)
		return false;
	*at = mask + 4 + len;
	*left -= head + 4 + len;
	ws_unmask(mask + 4, len, mask, 0);
	/* The head without a mask, moved up to the payload. */
	p[1] &= 0x7f;
	memmove(p + 4, p, head);
	if ((p[4] & 0x0f) < 8)
		message(fd, slice_of(p + 4, head + len));
	return true;
}

static void readable(int fd, floor_message_fn message) {
	static uint8_t bytes[READ_BYTES];
	struct connection *c = &connections[fd];
	size_t held = c->held_len, left;
	ssize_t got;
	uint8_t *at = bytes;

	if (held > 0) {
		memcpy(bytes, c->held, held);
		mem_free(c->held);
		c->held = NULL;
		c->held_len = 0;
	}
	got = recv(fd, bytes + held, sizeof(bytes) - held, 0);
	if (got <= 0 && !(got < 0 && errno == EAGAIN)) {
		end(fd);
		return;
	}
	left = held + (got < 0 ? 0 : (size_t)got);
	if (!c->upgraded && left > 4 && memcmp(bytes + left - 4, "\r\n\r\n", 4) == 0) {
		upgrade(fd, slice_of(bytes, left));
		return;
	}
	while (c->upgraded && left > 0 && take_frame(fd, &at, &left, message))
		continue;
	if (left > 0) {
		c->held = mem_dup(at, left);
		c->held_len = (uint32_t)left;
	}
}

static int listen_on(int port) {
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	must(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "bind");
	must(listen(fd, 4096) == 0, "listen");
	return fd;
}

void floor_run(int port, floor_message_fn message, floor_turn_fn turn, int wait_ms) {
	static struct epoll_event events[EVENTS];
	int listener = listen_on(port);
	struct epoll_event e = { .events = EPOLLIN, .data.fd = listener };
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	epoll = epoll_create1(EPOLL_CLOEXEC);
	must(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e) == 0, "epoll");
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, wait_ms);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listener)
				accept_all(listener);
			else
				readable(events[i].data.fd, message);
		}
		if (turn != NULL)
			turn();
	}
}
