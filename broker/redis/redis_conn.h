/*
 * redis_conn - one connection to a Redis server or a Sentinel: found, connected, logged in, and its commands and answers
 *
 * Does:      resolves, connects, TLS, AUTH, SELECT, CLIENT SETNAME; commands in order, all of a turn in one write; deadlines for
 *            being connected and for answers; what is no answer to a command goes to push() (pub/sub).
 * Does not:  connect again, know what commands mean, log.
 * Uses hiredis for the protocol and the transport, without its asynchronous layer: that one keeps subscriptions in a table whose
 * hash has no key, so that chosen channel names make every message slow; it asserts on what a server says, and has no deadlines.
 * Lifetime:  made once, opened many times. It has one end: redis_conn_close(), an error or a deadline make it unusable at once, and
 *            in a later callback of the loop the open commands get their outcomes and then lost() is called; then it may be opened
 *            again. So no callback of a caller is ever inside a call of his, except in redis_conn_free().
 */
#ifndef BROKER_REDIS_REDIS_CONN_H
#define BROKER_REDIS_REDIS_CONN_H

#include "broker/redis/redis_reply.h"
#include "common/svc/evloop.h"
#include "common/svc/resolver.h"

struct redis_conn;

/* Everything is borrowed until lost(). */
struct redis_target {
	const char *host;		/* a name or a numeric address; NULL: a unix socket */
	const char *path;		/* of it */
	const char *user, *password;	/* NULL: none */
	const char *name;		/* as CLIENT LIST shows it */
	uint16_t port, database;
	bool is_tls;
	const char *tls_host;		/* whose certificate it has to be; NULL: the host's */
};

struct redis_conn_settings {
	struct evloop *loop;
	struct resolver *resolver;
	uint64_t connect_ms;	/* until it is logged in */
	uint64_t command_ms;	/* without any answer while one is due */
};

/* reply: NULL unless done; it may be an error. Borrowed until it returns. */
typedef void (*redis_conn_fn)(void *arg, enum redis_outcome outcome, const struct redis_reply *reply);

struct redis_conn_ops {
	/* Logged in. */
	void (*up)(void *arg);
	/* Never connected, or no more. why: a sentence without a full stop. */
	void (*lost)(void *arg, const char *why);
	/* NULL: none is expected, so the connection is given up. */
	void (*push)(void *arg, const struct redis_reply *reply);
};

/* Returns owned; ops are borrowed for life. */
struct redis_conn *redis_conn_new(const struct redis_conn_settings *settings, const struct redis_conn_ops *ops, void *arg) MUST_CHECK;
/* Open commands get their outcomes inside; lost() is not called. */
void redis_conn_free(struct redis_conn **c);
/* It is closed. */
void redis_conn_open(struct redis_conn *c, const struct redis_target *target);
/* Nothing when it is closed, or about to be. */
void redis_conn_close(struct redis_conn *c, const char *why);
bool redis_conn_is_up(const struct redis_conn *c);
bool redis_conn_is_closed(const struct redis_conn *c);
/* IP:PORT (or unix:PATH) of the last attempt to connect; empty before. */
const char *redis_conn_address(const struct redis_conn *c);
/* Copies everything. fn is called exactly once; NULL: no answer is due (its effect comes by push). In every state: what cannot be sent
 * is refused. */
void redis_conn_command(struct redis_conn *c, const struct slice *argv, size_t argc, redis_conn_fn fn, void *arg);
/* Sends what was called. */
void redis_conn_flush(struct redis_conn *c);
/* What the kernel has not taken yet. */
size_t redis_conn_waiting_bytes(const struct redis_conn *c);

#endif
