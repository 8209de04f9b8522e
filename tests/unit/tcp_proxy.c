/* tcp_proxy - copies bytes between pairs of sockets, in small amounts, for tests */
#include "tests/unit/tcp_proxy.h"

#include <check.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void end_close(struct tcp_pair *pair, int side) {
	if (pair->fd[side] < 0)
		return;
	evloop_io_stop(&pair->io[side]);
	close(pair->fd[side]);
	pair->fd[side] = -1;
}

static void write_all(int fd, const char *data, ssize_t len) {
	while (len > 0) {
		ssize_t done = send(fd, data, (size_t)len, MSG_NOSIGNAL);

		if (done < 0 && poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 5000) <= 0)
			return;
		data += done > 0 ? done : 0;
		len -= done > 0 ? done : 0;
	}
}

static void on_bytes(int fd, short ready, void *arg) {
	struct tcp_pair *pair = arg;
	int side = pair->fd[1] == fd;
	char bytes[16384];
	ssize_t len = recv(fd, bytes, sizeof(bytes), 0);

	(void)ready;
	if (len <= 0) {
		end_close(pair, side);
		if (!pair->is_dead)
			end_close(pair, !side);
		return;
	}
	if (!pair->is_dead && pair->fd[!side] >= 0)
		write_all(pair->fd[!side], bytes, len);
}

static void on_client(int fd, short ready, void *arg) {
	struct tcp_proxy *p = arg;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(p->to), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct tcp_pair *pair;

	(void)ready;
	ck_assert_uint_lt(p->count, TCP_PROXY_PAIRS);
	pair = &p->pair[p->count++];
	pair->fd[0] = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	pair->fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(pair->fd[0], 0);
	if (connect(pair->fd[1], (struct sockaddr *)&to, sizeof(to)) != 0) {
		close(pair->fd[0]);
		close(pair->fd[1]);
		pair->fd[0] = pair->fd[1] = -1;
		return;
	}
	for (int side = 0; side < 2; side++)
		evloop_io_start(p->loop, &pair->io[side], pair->fd[side], EVLOOP_READ, on_bytes, pair);
}

void tcp_proxy_start(struct tcp_proxy *p, struct evloop *loop, uint16_t to) {
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	memset(p, 0, sizeof(*p));
	p->loop = loop;
	p->to = to;
	for (size_t i = 0; i < TCP_PROXY_PAIRS; i++)
		p->pair[i].fd[0] = p->pair[i].fd[1] = -1;
	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(p->listener, (struct sockaddr *)&a, len), 0);
	ck_assert_int_eq(listen(p->listener, 16), 0);
	ck_assert_int_eq(getsockname(p->listener, (struct sockaddr *)&a, &len), 0);
	p->port = ntohs(a.sin_port);
	evloop_io_start(loop, &p->io, p->listener, EVLOOP_READ, on_client, p);
}

void tcp_proxy_stop(struct tcp_proxy *p) {
	for (size_t i = 0; i < p->count; i++) {
		end_close(&p->pair[i], 0);
		end_close(&p->pair[i], 1);
	}
	evloop_io_stop(&p->io);
	close(p->listener);
}

void tcp_proxy_deaden(struct tcp_proxy *p, size_t at) {
	p->pair[at].is_dead = true;
}

void tcp_proxy_hide_close(struct tcp_proxy *p, size_t at) {
	p->pair[at].is_dead = true;
	end_close(&p->pair[at], 1);
}
