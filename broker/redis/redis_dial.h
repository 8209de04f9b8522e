/*
 * redis_dial - from a host and a port, or a path, to a connected socket
 *
 * One address of a name per attempt: redis_dial_next() has the following attempt take the next one. The time is limited by the caller.
 */
#ifndef BROKER_REDIS_REDIS_DIAL_H
#define BROKER_REDIS_REDIS_DIAL_H

#include "common/svc/evloop.h"
#include "common/svc/resolver.h"
#include "common/svc/sock.h"

/* fd: connected, non-blocking, owned by the callee now; -1: no connection, and why. */
typedef void (*redis_dial_fn)(void *arg, int fd, const char *why);

/* Embedded by its user. */
struct redis_dial {
	struct evloop *loop;
	struct resolver *resolver;
	redis_dial_fn fn;
	void *arg;
	const char *host;
	uint16_t port;
	size_t attempt;			/* which of a name's addresses is taken */
	struct resolver_question *question;
	int fd;				/* -1: none */
	struct evloop_io io;
	char address[SOCK_TEXT_MAX];	/* of the last attempt; empty before */
};

/* loop and resolver are borrowed for life. */
void redis_dial_init(struct redis_dial *d, struct evloop *loop, struct resolver *resolver, redis_dial_fn fn, void *arg);
/* host: NULL: path is a unix socket's. Borrowed until fn is called, which may be inside. */
void redis_dial_start(struct redis_dial *d, const char *host, uint16_t port, const char *path);
/* fn will not be called. May be called twice. */
void redis_dial_stop(struct redis_dial *d);
void redis_dial_next(struct redis_dial *d);

#endif
