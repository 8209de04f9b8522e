/*
 * redis_url - redis://user:password@host:6379/0 taken apart (IANA's redis and rediss schemes); pure
 *
 * Also: redis://[::1]:6379, redis:///run/redis.sock or unix:///run/redis.sock (a unix socket; ?db=1), rediss:// for TLS.
 * User and password may be percent-encoded; :password@ is one without a user.
 */
#ifndef COMMON_SVC_REDIS_URL_H
#define COMMON_SVC_REDIS_URL_H

#include "common/base/errbuf.h"
#include "common/base/slice.h"

enum { REDIS_SENTINEL_PORT = 26379 };

struct redis_url {
	char *host;	/* owned; NULL: a unix socket */
	char *path;	/* owned; of the unix socket */
	char *user, *password;	/* owned; NULL: none */
	uint16_t port, database;
	bool is_tls;
};

/* On failure `e` says what is wrong, without the password, and nothing is owned. */
bool redis_url_parse(struct slice text, struct redis_url *out, struct errbuf *e) MUST_CHECK;
void redis_url_fini(struct redis_url *u);
/* "host:port/db" without user and password: by this nodes compare their lists. Returns the length, at most `size` - 1. */
size_t redis_url_name(const struct redis_url *u, char *out, size_t size);
/* HOST:PORT or [IPV6]:PORT, as Sentinels are named; without a port it is `port`. *host: returned owned. */
bool redis_url_parse_host(struct slice text, uint16_t port, char **host, uint16_t *port_out, struct errbuf *e) MUST_CHECK;

#endif
