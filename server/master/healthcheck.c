/* healthcheck - one request to the admin process, bounded in time */
#include "server/master/healthcheck.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/svc/sock.h"

enum { HEALTHCHECK_MS = 3000 };

static const char request[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

static int64_t now_ms(void) {
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool wait_for(int fd, short events, int64_t until_ms, struct errbuf *e) {
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left = until_ms - now_ms();

	if (left <= 0 || poll(&p, 1, (int)left) != 1)
		return errbuf_set(e, "no answer within %d ms", HEALTHCHECK_MS);
	return true;
}

/* The first bytes of the answer, as far as the status. */
static bool exchange(int fd, int64_t until_ms, char *answer, size_t want, struct errbuf *e) {
	size_t have = 0;

	if (!wait_for(fd, POLLOUT, until_ms, e))
		return false;
	/* A new socket's buffer takes so small a request whole. */
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request))
		return errbuf_set(e, "%s", strerror(errno));
	while (have < want) {
		ssize_t got;

		if (!wait_for(fd, POLLIN, until_ms, e))
			return false;
		got = recv(fd, answer + have, want - have, 0);
		if (got < 0)
			return errbuf_set(e, "%s", strerror(errno));
		if (got == 0)
			return errbuf_set(e, "the connection ended before an answer");
		have += (size_t)got;
	}
	return true;
}

bool healthcheck(const char *address, struct errbuf *e) {
	int64_t until_ms = now_ms() + HEALTHCHECK_MS;
	char answer[sizeof("HTTP/1.1 200") - 1];
	struct sock_addr a;
	struct errbuf why;
	bool is_well;
	int fd;

	if (!sock_parse(address, &a, e))
		return false;
	fd = sock_connect(&a);
	if (fd < 0)
		return errbuf_set(e, "%s: %s", address, strerror(errno));
	is_well = exchange(fd, until_ms, answer, sizeof(answer), &why);
	close(fd);
	if (!is_well)
		return errbuf_set(e, "%s: %.400s", address, why.text);
	if (memcmp(answer, "HTTP/1.1 200", sizeof(answer)) != 0)
		return errbuf_set(e, "%s: answered with status %.3s", address, answer + sizeof("HTTP/1.1 ") - 1);
	return true;
}
