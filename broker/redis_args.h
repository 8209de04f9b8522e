/*
 * redis_args - keys and arguments of a script's call, put together without allocating for each
 *
 * Does:      makes names of keys and texts of numbers, makes the call.
 * Lifetime:  embedded by its user, who uses it for one call after the other.
 */
#ifndef BROKER_REDIS_ARGS_H
#define BROKER_REDIS_ARGS_H

#include "broker/redis/redis_server.h"

typedef void (*redis_server_call_fn)(struct redis_server *s, enum redis_script script, const struct slice *keys, size_t key_count,
    const struct slice *args, size_t arg_count, redis_call_fn fn, void *arg);

enum { REDIS_ARGS_MAX = 16 };

struct redis_args {
	const char *prefix;	/* borrowed for life */
	redis_server_call_fn call;	/* redis_server_call(), or what a test has in its place */
	struct buf text;	/* all keys, then all numbers as texts; of parts without a pointer */
	struct slice *keys;	/* owned */
	struct slice arg[REDIS_ARGS_MAX];
	size_t key_count, key_room, arg_count;
};

void redis_args_init(struct redis_args *a, const char *prefix, redis_server_call_fn call);
void redis_args_fini(struct redis_args *a);

/* In their order; name "" of the keys without one. */
void redis_args_key(struct redis_args *a, char kind, struct slice name);
/* P i:NAME:KEY */
void redis_args_key_of_publication(struct redis_args *a, struct slice channel, struct slice key);
/* Borrowed until the call. */
void redis_args_add(struct redis_args *a, struct slice text);
void redis_args_number(struct redis_args *a, uint64_t n);
/* P c:CHANNEL */
void redis_args_pubsub(struct redis_args *a, struct slice channel);
/* Makes the call, and is empty again. */
void redis_args_call(struct redis_args *a, struct redis_server *s, enum redis_script script, redis_call_fn fn, void *arg);

/* {key names..} of `script`s that take P m:C s:C and so on: one key of the channel for each letter of kinds. */
void redis_args_keys(struct redis_args *a, const char *kinds, struct slice channel);

#endif
