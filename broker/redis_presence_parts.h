/*
 * redis_presence_parts - shared by redis_presence.c and redis_presence_members.c, for nobody else
 *
 * An entry stands for a member of a channel. What is to be done for it follows from its fields, and redis_entry_place() is the only one
 * who decides it: by the list that it is put on.
 */
#ifndef BROKER_REDIS_PRESENCE_PARTS_H
#define BROKER_REDIS_PRESENCE_PARTS_H

#include "broker/presence.h"
#include "broker/redis_presence.h"
#include "common/base/ids.h"

struct redis_presence {
	struct redis_presence_settings settings;
	struct redis_presence_ops ops;
	void *arg;
	uint64_t now_ms;
	struct presence_store store;
	struct htab channels, entries;
	struct list shards, waiters, gone;	/* waiters: of all entries, those who came first in front */
	struct id_source ids;
	uint64_t next_channel_id;
	size_t users;	/* wanted members of the hubs' own channels */
	struct buf keys, description;
};

/* Every entry without a call under way is on one of these lists, or on `gone`. */
struct shard {
	struct list link;
	struct redis_presence *presence;
	struct redis_server *server;
	struct list settled;	/* in Redis as wanted */
	struct list fresh;	/* somebody waits for the answer */
	struct list bulk;	/* nobody waits */
	struct list paused;	/* fresh ones that were refused */
	struct list taken;	/* in here, and there with another's token: tried again with each beat */
	uint32_t call_count;
	bool is_beating;
	bool has_lease;		/* since it is up: without, nothing else is called */
	bool is_lease_doubted;	/* the answer of a beat was lost: nobody knows whether it said that the lease had run out */
	uint64_t beat_at_ms, bulk_at_ms, retry_at_ms;
	uint8_t *generation;	/* owned; NULL before the first up() */
	size_t generation_len;
};

struct channel {
	struct htab_node node;
	struct presence presence;
	struct shard *shard;
	uint32_t entry_count;	/* 0: freed */
	uint32_t member_count;	/* in the cluster, as last heard */
	uint32_t name_len;
	uint8_t name[];
};

enum known { KNOWN_OUT = 0, KNOWN_IN, KNOWN_NOT };
enum call { CALL_NONE = 0, CALL_ENTER, CALL_LEAVE };

/* A member of a channel, as long as it is wanted or may be in Redis. A stay lasts from the first connection to the last and its
 * grace; each is announced, so that an earlier one is ended before the next begins. */
struct entry {
	struct htab_node node;
	struct list link;
	struct channel *channel;
	struct list waiters;	/* not empty: wanted, and not known to be in */
	uint8_t known, call;
	bool is_wanted;		/* a stay is there (in channel->presence) */
	bool has_left;		/* an earlier stay is perhaps in Redis and has to be ended */
	bool is_kept;		/* the stay outlasts any trouble: somebody was told that it is, or did not ask */
	bool is_silent;		/* its arrival is no news */
	uint16_t name_len;
	uint8_t bytes[];	/* channel id, name: the key */
};

/* One who asked. */
struct waiter {
	struct list in_all, in_entry;
	struct entry *entry;
	struct ticket ticket;
	uint64_t holder, until_ms;
};

/* --- members --- */

struct shard *redis_shard_find_or_new(struct redis_presence *p, struct redis_server *server);
void redis_shard_free(struct shard *s);
/* Borrowed, or NULL. */
struct entry *redis_entry_find(const struct redis_presence *p, struct slice channel, struct slice member);
/* htab_key_fn of the two tables. */
struct slice redis_entry_key(const struct htab_node *node);
struct slice redis_entry_channel_key(const struct htab_node *node);
/* Has to be placed before it is looked at again. NULL: no name, or no memory. */
struct entry *redis_entry_find_or_new(struct redis_presence *p, struct slice channel, struct slice member);
/* And its channel, if it was the last. Without calls under way. */
void redis_entry_free(struct redis_presence *p, struct entry *e);
struct slice redis_entry_name(const struct entry *e);
struct slice redis_entry_channel(const struct entry *e);
/* How many others there may be when it enters; 0: any number. */
uint32_t redis_entry_members_max(const struct redis_presence *p, const struct entry *e);
void redis_entry_place(struct entry *e);
/* The first connection came. */
void redis_entry_begin_stay(struct redis_presence *p, struct entry *e, uint8_t flags);
/* The last one is gone, and its grace is over (a presence_left_fn). */
void redis_entry_on_left(struct presence *presence, struct slice member, struct slice info, void *arg);

/* e: NULL when there is none. */
void redis_entry_answer(struct redis_presence *p, const struct entry *e, struct ticket t, enum ipc_result result, bool is_new);
void redis_entry_wait(struct redis_presence *p, struct entry *e, struct ticket t, uint64_t holder);
void redis_entry_answer_all(struct redis_presence *p, struct entry *e, enum ipc_result result, bool is_new);
/* The same, and the connections of all who wait are taken back. */
void redis_entry_refuse_all(struct redis_presence *p, struct entry *e, enum ipc_result result);
/* Who has waited too long is refused. */
void redis_waiters_expire(struct redis_presence *p);

#endif
