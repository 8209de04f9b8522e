/* redis_dial - resolves, connects, and tunes what came of it */
#include "broker/redis/redis_dial.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

/* A peer that has vanished without a word while nothing is asked: noticed after 15 + 3 * 5 seconds. */
enum { KEEPALIVE_IDLE_S = 15, KEEPALIVE_INTERVAL_S = 5, KEEPALIVE_COUNT = 3 };

void redis_dial_init(struct redis_dial *d, struct evloop *loop, struct resolver *resolver, redis_dial_fn fn, void *arg) {
	memset(d, 0, sizeof(*d));
	d->loop = loop;
	d->resolver = resolver;
	d->fn = fn;
	d->arg = arg;
	d->fd = -1;
}

void redis_dial_stop(struct redis_dial *d) {
	resolver_cancel(&d->question);
	evloop_io_stop(&d->io);
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

void redis_dial_next(struct redis_dial *d) {
	d->attempt++;
}

static void fail(struct redis_dial *d, const char *why) {
	redis_dial_stop(d);
	d->fn(d->arg, -1, why);
}

static void tune(int fd) {
	static const struct {
		int level, option, value;
	} rows[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		setsockopt(fd, rows[i].level, rows[i].option, &rows[i].value, sizeof(int));
}

static void on_connected(int fd, short ready UNUSED, void *arg) {
	struct redis_dial *d = arg;
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
		fail(d, strerror(error != 0 ? error : errno));
		return;
	}
	if (d->host != NULL)
		tune(fd);
	evloop_io_stop(&d->io);
	d->fd = -1;
	d->fn(d->arg, fd, NULL);
}

static void connect_to(struct redis_dial *d, const char *text) {
	struct sock_addr a;
	struct errbuf e;

	if (!sock_parse(text, &a, &e)) {
		fail(d, e.text);
		return;
	}
	snprintf(d->address, sizeof(d->address), "%s", text);
	d->fd = sock_connect(&a);
	if (d->fd < 0)
		fail(d, strerror(errno));
	else
		evloop_io_start(d->loop, &d->io, d->fd, EVLOOP_WRITE, on_connected, d);
}

static void on_resolved(void *arg, const struct resolver_answer *answers, const char *why) {
	struct redis_dial *d = arg;
	char text[SOCK_TEXT_MAX * 2];
	const char *ip;

	d->question = NULL;
	if (answers == NULL) {
		snprintf(text, sizeof(text), "%.150s is not resolved: %.80s", d->host, why);
		fail(d, text);
		return;
	}
	ip = answers->address[d->attempt % answers->count];
	snprintf(text, sizeof(text), strchr(ip, ':') != NULL ? "[%s]:%u" : "%s:%u", ip, d->port);
	connect_to(d, text);
}

void redis_dial_start(struct redis_dial *d, const char *host, uint16_t port, const char *path) {
	char text[SOCK_TEXT_MAX];

	d->host = host;
	d->port = port;
	if (host != NULL) {
		d->question = resolver_ask(d->resolver, host, on_resolved, d);
		return;
	}
	snprintf(text, sizeof(text), "unix:%s", path);
	connect_to(d, text);
}
