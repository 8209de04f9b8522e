/*
 * redis_fixture - a real redis-server (or Sentinel) of a test: its own folder and port, ended by its pid
 *
 * Everything fails the test when it cannot be had. A server ends with the process that started it, whatever becomes of that.
 */
#ifndef TESTS_UNIT_REDIS_FIXTURE_H
#define TESTS_UNIT_REDIS_FIXTURE_H

#include <hiredis/hiredis.h>
#include <sys/types.h>

#include "common/base/base.h"
#include "common/base/slice.h"

enum { REDIS_FIXTURE_OPTIONS = 16, REDIS_FIXTURE_PATH = 64 };

struct redis_fixture {
	pid_t pid;		/* 0: not running */
	uint16_t port;		/* on 127.0.0.1; stays over restarts */
	char folder[REDIS_FIXTURE_PATH];	/* with server.log, redis.sock (a unix socket) and what the server keeps */
	const char *option[REDIS_FIXTURE_OPTIONS];	/* "--appendonly", "yes", ... NULL ends it; borrowed */
	bool is_sentinel;	/* reads folder/sentinel.conf, which the test has written, and has no unix socket */
};

/* Makes folder and port; option and is_sentinel may be set then. */
void redis_fixture_init(struct redis_fixture *f);
/* Starts it and waits until it answers. Nothing is kept on disk unless the options say so. */
void redis_fixture_start(struct redis_fixture *f);
/* SIGKILL, and waits for its end. May be called twice. */
void redis_fixture_kill(struct redis_fixture *f);
/* Kills it if it runs, and removes the folder. */
void redis_fixture_fini(struct redis_fixture *f);
/* SIGSTOP and SIGCONT. */
void redis_fixture_pause(const struct redis_fixture *f, bool is_paused);
/* A blocking connection (5 s); redisFree() it. */
redisContext *redis_fixture_connect(const struct redis_fixture *f);
/* One command on a connection of its own, in redisCommand()'s format; freeReplyObject() the reply. An error reply is one. */
redisReply *redis_fixture_ask(const struct redis_fixture *f, const char *format, ...);
/* The same for a command that has to be answered without an error. */
void redis_fixture_do(const struct redis_fixture *f, const char *format, ...);
/* A port of 127.0.0.1 that nobody has. */
uint16_t redis_fixture_free_port(void);

#endif
