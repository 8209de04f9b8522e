/*
 * redis_script_world - scripts called in a real redis-server, and what they answer as text
 *
 * A server for each test case (rw_setup, rw_teardown, unchecked), emptied before each test (rw_reset, checked).
 * Keys have the prefix "t:"; the generation is "G1". What is returned is valid until the next call of the same function.
 */
#ifndef TESTS_UNIT_REDIS_SCRIPT_WORLD_H
#define TESTS_UNIT_REDIS_SCRIPT_WORLD_H

#include <hiredis/hiredis.h>

#include "broker/redis/redis_scripts.h"

/* Whom the next calls are about; rw_reset() sets channel "room", node "n1", no key, believed generation "G1". */
extern struct rw {
	struct slice channel, node, key;
	const char *generation;
} rw;

void rw_setup(void);
void rw_teardown(void);
void rw_reset(void);
/* A command of the server that has to be answered without an error. */
redisReply *rw_do(const char *format, ...);
int64_t rw_number(const char *format, ...);
const char *rw_text(const char *format, ...);
/* The server's. */
uint64_t rw_now_ms(void);
/* Until the server's clock is this much further. */
void rw_wait_ms(uint64_t ms);
/* Expiry of a key in ms: between the two. */
void rw_check_expiry(const char *key, int64_t least, int64_t most);

/* A call: begin, arguments in their order, end. kinds: of the script's keys, in their order, behind P g. */
void call_begin(enum redis_script script, const char *kinds);
void call_text(const char *text);
void call_bytes(struct slice s);
void call_number(uint64_t n);
/* The channel's pub/sub channel. */
void call_pubsub(void);
/* Fails the test when the answer is an error. */
const redisReply *call_end(void);
/* The error's text; fails the test when it is none. */
const char *call_end_error(void);

/* How rw_publish() does; rw_reset() sets what is of no concern: 1000 of 60 s, 1 MiB, keys for 30 s, kind 3. */
extern struct publishing {
	uint64_t count, bytes, history_ms, key_ms;
	uint8_t kind;
	bool is_dropped;	/* not kept in the history */
} publishing;

/* The epoch of a new channel is "epoch-01". */
const redisReply *rw_publish(const char *data);

/* Makes what was published in the channel until now so much older. */
void rw_age(uint64_t ms);

/* Parts of an answer. */
int64_t number_at(const redisReply *r, size_t i);
const char *text_at(const redisReply *r, size_t i);
/* Payloads as "OFFSET:DATA ..", "+NUMBER:MEMBER=INFO/COUNT ..", "-NUMBER:..". */
const char *payloads_at(const redisReply *r, size_t i);
/* {number, member, info, ..} as "MEMBER=INFO .."; numbers rise. */
const char *members_at(const redisReply *r, size_t i);

/* Listens to the channel's pub/sub from now on. */
void rw_listen(void);
/* What was published since then, or since the last call, as above. */
const char *rw_heard(void);

#endif
