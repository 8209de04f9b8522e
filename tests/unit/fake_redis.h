/*
 * fake_redis - stands in for a redis_server: keeps what is called, answers when and what the test says
 */
#ifndef TESTS_UNIT_FAKE_REDIS_H
#define TESTS_UNIT_FAKE_REDIS_H

#include "broker/redis/redis_server.h"
#include "common/base/list.h"

enum { FAKE_ARGS = 12, FAKE_REPLY = 3 };

struct fake_call {
	struct list link;
	enum redis_script script;
	size_t arg_count;
	struct slice arg[FAKE_ARGS];	/* owned */
	redis_call_fn fn;
	void *fn_arg;
	/* For tests that run a call before they answer it. */
	bool is_run;
	enum redis_outcome outcome;
	long long reply[FAKE_REPLY];
};

struct fake_redis {
	bool is_up;
	struct list calls;	/* unanswered, oldest first */
	size_t call_count, calls_ever;
};

void fake_redis_init(struct fake_redis *f);
void fake_redis_fini(struct fake_redis *f);
/* What the engine knows it as. */
struct redis_server *fake_redis_server(struct fake_redis *f);
/* redis_server_is_up() and redis_server_call(). */
bool fake_redis_is_up(const struct redis_server *s);
void fake_redis_call(struct redis_server *s, enum redis_script script, const struct slice *keys, size_t key_count,
    const struct slice *args, size_t arg_count, redis_call_fn fn, void *arg);
/* The oldest call; there is one. */
struct fake_call *fake_redis_first(const struct fake_redis *f);
/* Answers it, if it is done with these numbers; a beat's third one is a list of the text "{}". */
void fake_redis_answer(struct fake_redis *f, enum redis_outcome outcome, const long long reply[FAKE_REPLY]);

#endif
