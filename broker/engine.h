/*
 * engine - where order, history, presence and idempotency of channels live
 *
 * Implementations: engine_memory (in this process), engine_redis (for many hosts). The router calls down through struct engine_ops; results and
 * events come up through struct engine_events, at once or later. Only ids travel: a ticket names link and request, a holder
 * names a link.
 *
 * Order that every engine keeps: the `snapshot` of a channel comes up after every `publication` up to its offset and before
 * every later one.
 */
#ifndef BROKER_ENGINE_H
#define BROKER_ENGINE_H

#include "common/ipc/ipc_msg.h"
#include "common/svc/config.h"
#include "common/svc/evloop.h"

struct engine;

struct ticket {
	uint64_t link;
	uint32_t request;
};

/* Slices are borrowed until the callback returns. interest: what the channel was subscribed to with; NULL: it is not. */
struct engine_events {
	void (*publication)(void *arg, void *interest, const struct ipc_deliver *deliver);
	void (*published)(void *arg, struct ticket t, enum ipc_result result, struct slice epoch, uint64_t offset);
	/* request is filled in by the callee from the ticket */
	void (*snapshot)(void *arg, struct ticket t, struct ipc_snapshot *snapshot);
	void (*joined)(void *arg, void *interest, const struct ipc_joined *joined);
	void (*left)(void *arg, void *interest, const struct ipc_left *left);
	void (*member_result)(void *arg, struct ticket t, struct ipc_member_result *result);
	void (*member_list)(void *arg, struct ticket t, struct ipc_member_list *list);
	void (*channel_list)(void *arg, struct ticket t, struct ipc_channel_list *list);
};

struct engine_limits {
	size_t history_count, history_bytes, history_total_bytes, idempotency_total_bytes;
	uint64_t history_ms, idempotency_ms;
	size_t reply_max_bytes;		/* no list in an answer gets larger */
	uint32_t members_max;		/* of a channel that is not the hubs' own, on all hosts; 0: any number */
};

/* What is kept of one channel. */
struct history_bounds {
	size_t count, bytes;
	uint64_t age_ms;
};

/* The channel of moderation has its own, whatever clients' channels are given: what is in force has to be in it. */
struct history_bounds engine_history_bounds(const struct engine_limits *limits, struct slice channel);

bool engine_is_room(struct slice channel);

/* loop and config: of engines that do more than remember; borrowed for life. */
struct engine_setup {
	struct engine_limits limits;
	struct evloop *loop;
	const struct config *config;
};

/* Slices in arguments are borrowed until the call returns. */
struct engine_ops {
	const char *name;
	/* Returns owned; NULL when the configuration cannot be used (logged). */
	struct engine *(*create)(const struct engine_setup *setup, const struct engine_events *events, void *arg,
	    uint64_t now_ms, uint64_t wall_ms);
	void (*destroy)(struct engine **e);
	/* This host's first interest in the channel, which the engine keeps a pointer to and never looks into, and the end of its last. */
	void (*subscribe)(struct engine *e, struct slice channel, void *interest);
	void (*unsubscribe)(struct engine *e, struct slice channel);
	void (*publish)(struct engine *e, struct ticket t, const struct ipc_publish *p);
	/* Answered with snapshot(). */
	void (*read)(struct engine *e, struct ticket t, const struct ipc_subscribe *s);
	void (*history)(struct engine *e, struct ticket t, const struct ipc_history *h);
	void (*member_add)(struct engine *e, struct ticket t, uint64_t holder, const struct ipc_member_add *m);
	void (*member_remove)(struct engine *e, uint64_t holder, const struct ipc_member_remove *m);
	/* All of a holder's members are removed, each with this grace. */
	void (*holder_lost)(struct engine *e, uint64_t holder, uint32_t grace_ms);
	void (*members)(struct engine *e, struct ticket t, const struct ipc_members *m);
	void (*channels)(struct engine *e, struct ticket t, const struct ipc_channels *c);
	/* Answered with channel_list(), after a round over all channels of which each turn does a part. */
	void (*top_rooms)(struct engine *e, struct ticket t, const struct ipc_top_rooms *m);
	/* At least every 100 ms, and at the start of every turn: the engine knows no clock of its own. */
	void (*tick)(struct engine *e, uint64_t now_ms, uint64_t wall_ms);
	/* At the end of a turn, before the links are flushed. NULL: nothing to do. */
	void (*turn_end)(struct engine *e);
	/* Why it cannot work now, in a sentence of readyz, borrowed until the next call; NULL: it can. NULL: it always can. */
	const char *(*trouble)(const struct engine *e);
	/* Appends a JSON array of what the cluster's nodes say of themselves. NULL: there is one host. */
	void (*nodes)(const struct engine *e, struct buf *out);
};

extern const struct engine_ops engine_memory, engine_redis;

#endif
