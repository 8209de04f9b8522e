/*
 * redis_presence - who of this host is in which channel, kept the same in Redis
 *
 * Does:      counts the connections of members over the host's links with graces (broker/presence); the first in and the last out of
 *            the host are told to Redis, whose script decides about the cluster's; holds the node's lease, says everything again when
 *            Redis has forgotten the node, ends what dead nodes held.
 * Does not:  announce: joined and left come back over pub/sub like everybody's.
 * A member is wanted or not, and known to be in Redis, not in it, or not known; one call at a time is under way for it, and the
 * next follows from what its answer says. So a lost answer costs a repetition and nothing else.
 * Memory:    of a member 72 bytes and its name here; 176 bytes, name and info in broker/presence.
 */
#ifndef BROKER_REDIS_PRESENCE_H
#define BROKER_REDIS_PRESENCE_H

#include "broker/engine.h"
#include "broker/redis/redis_server.h"

struct redis_presence;

struct redis_presence_settings {
	const char *prefix;	/* borrowed for life, like node */
	struct slice node;
	uint64_t lease_ms;
	uint64_t wait_ms;	/* for Redis, 500 at least; then the asker is told IPC_UNAVAILABLE */
	size_t info_max_bytes;
	uint32_t members_max;	/* as in struct engine_limits */
};

struct redis_presence_ops {
	/* Of those who ask (t.request is not 0). */
	void (*member_result)(void *arg, struct ticket t, struct ipc_member_result *result);
	/* The shard of a channel. */
	struct redis_server *(*server_of)(void *arg, struct slice channel);
	/* What this node says of itself in JSON (appended to `out`), and what another one says; at each beat. */
	void (*describe)(void *arg, struct buf *out);
	/* A list of texts, this node's too. */
	void (*nodes)(void *arg, const struct redis_server *s, const struct redis_reply *nodes);
	/* redis_server_is_up() and redis_server_call(); what tests put something else for. */
	bool (*is_up)(const struct redis_server *s);
	void (*call)(struct redis_server *s, enum redis_script script, const struct slice *keys, size_t key_count,
	    const struct slice *args, size_t arg_count, redis_call_fn fn, void *arg);
};

/* Returns owned. */
struct redis_presence *redis_presence_new(const struct redis_presence_settings *settings, const struct redis_presence_ops *ops,
    void *arg, uint64_t now_ms) MUST_CHECK;
/* After its servers, which report what was under way. The lease is left to expire: who goes to another host until then has not
 * left. */
void redis_presence_free(struct redis_presence **p);
/* Somebody who asks waits for Redis if the member is new on this host. Who does not ask, or says again (IPC_RESYNC), is in; and who has been
 * told so stays in, also when Redis has forgotten it and has no place for it meanwhile. */
void redis_presence_add(struct redis_presence *p, struct ticket t, uint64_t holder, const struct ipc_member_add *m);
void redis_presence_remove(struct redis_presence *p, uint64_t holder, const struct ipc_member_remove *m);
void redis_presence_holder_lost(struct redis_presence *p, uint64_t holder, uint32_t grace_ms);
/* Of each up(). Beats at once, and says again what may have been lost: everybody when the generation is another one (then nobody is
 * told, as nobody was told of the loss), and those whose answer was lost. */
void redis_presence_on_up(struct redis_presence *p, struct redis_server *s, struct slice generation);
void redis_presence_tick(struct redis_presence *p, uint64_t now_ms);
/* Members of channels and users of this host. */
void redis_presence_count(const struct redis_presence *p, size_t *members, size_t *users);

#endif
