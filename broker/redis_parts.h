/*
 * redis_parts - engine redis from inside: what its files share
 *
 *   engine_redis     the engine put together: settings, servers, publications, presence, time
 *   redis_hearing    the channels that this host hears: subscriptions, fills, tops
 *   redis_questions  what is asked of one channel and changes nothing: snapshots, history, members
 *   redis_catalogue  which channels there are, over all servers
 *   redis_cluster    what nodes say of themselves, and whether they agree
 * redis_channel, redis_queue, redis_presence, redis_ring, redis_args and redis_epoch know nothing of these.
 */
#ifndef BROKER_REDIS_PARTS_H
#define BROKER_REDIS_PARTS_H

#include "broker/engine.h"
#include "broker/redis_args.h"
#include "broker/redis_channel.h"
#include "broker/redis_epoch.h"
#include "broker/redis_presence.h"
#include "broker/redis_queue.h"
#include "broker/redis_ring.h"
#include "broker/toplist.h"
#include "common/base/htab.h"
#include "common/base/list.h"

enum {
	NODE_ID_LEN = 16,
	SERVER_NAME_MAX = 300,
	/* A channel whose meta is not renewed by publications lives on so long without a look at its top: Redis may be away meanwhile. */
	META_LIVES_MS = 600 * 1000,
	/* After an error of the server. */
	PAUSE_MS = 50,
};

/* One Redis server. */
struct shard {
	struct engine *engine;
	struct redis_url url;	/* owned */
	struct redis_server *server;	/* owned */
	struct redis_queue *queue;	/* owned */
	struct list channels;	/* struct heard_channel; the next whose top is looked at first */
	size_t channel_count;
	struct list fills;	/* struct heard_channel: waiting for a fill, in this order */
	struct list fills_under_way;	/* struct fill */
	size_t fill_count, tops_count;	/* calls under way */
	uint64_t fills_from_ms;	/* not before */
	uint64_t tops_ms;	/* the next batch */
	struct list waiting;	/* struct question: to be asked, in this order */
	uint64_t questions_from_ms;
	char *generation;	/* owned; NULL: not known yet */
	char **said;		/* owned, said_count of them: JSON of each node of the cluster */
	size_t said_count;
	char name[SERVER_NAME_MAX];
};

struct engine {
	struct engine_limits limits;
	const struct engine_events *events;
	void *arg;
	const struct config *config;
	struct evloop *loop;
	struct evloop_timer pulse;	/* while something waits for time to pass */
	uint64_t now_ms, wall_ms, start_wall_ms;
	char node[NODE_ID_LEN + 1];
	struct redis_epochs epochs;
	struct redis_args args;
	struct redis_hold hold;
	struct redis_ring ring;
	struct redis_presence *presence;	/* owned */
	struct shard *shards;	/* owned */
	size_t shard_count;
	struct htab channels;	/* struct heard_channel */
	size_t rooms;		/* among them */
	struct list lingering;	/* struct heard_channel without interest, longest first */
	struct list unconfirmed;	/* struct heard_channel, longest first */
	struct list timed;	/* struct heard_channel with redis_channel_due_ms() */
	struct list questions;	/* struct question, unanswered, deadlines rising */
	struct list late_questions;	/* struct question: answered by the deadline, under way */
	struct list catalogues;	/* struct catalogue, deadlines rising */
	struct toplist toplist;
	size_t toplist_shard;	/* whose channels are shown now */
	char trouble[SERVER_NAME_MAX + 200];
};

struct fill;
struct question;

/* A channel that this host hears. */
struct heard_channel {
	struct htab_node node;
	struct list in_shard, in_fills, in_lingering, in_timed;
	struct list in_unconfirmed;	/* while what is asked waits in `questions` for the subscription */
	struct list questions;
	struct shard *shard;
	struct fill *fill;	/* under way, or NULL */
	struct redis_channel hearing;
	void *interest;	/* of the router; NULL while it lingers */
	uint64_t since_ms;	/* without interest; before that: subscribed */
	uint32_t member_count;	/* in the cluster, as last heard */
	uint8_t name_len;
	uint8_t name[];
};

static inline struct slice heard_channel_name(const struct heard_channel *ch) {
	return slice_of(ch->name, ch->name_len);
}

/* --- engine_redis --- */

struct shard *engine_shard(const struct engine *e, struct slice channel);

/* --- redis_hearing --- */

void hearing_init(struct engine *e);
/* After its servers. */
void hearing_fini(struct engine *e);
/* Borrowed, or NULL. */
struct heard_channel *hearing_find(const struct engine *e, struct slice channel);
void hearing_subscribe(struct engine *e, struct slice channel, void *interest);
void hearing_unsubscribe(struct engine *e, struct slice channel);
/* What the server of a shard says. */
void hearing_on_subscribed(struct shard *s, struct slice channel);
void hearing_on_message(struct shard *s, struct slice channel, struct slice payload);
void hearing_on_deaf(struct shard *s);
/* Nothing that is known need be true any more. */
void hearing_on_generation(struct shard *s);
/* Something has been done to the channel: looks what it needs now. */
void hearing_attend(struct heard_channel *ch);
void hearing_tick(struct engine *e);
/* Which of the channels that this host hears have most members. */
void hearing_top_rooms(struct engine *e, struct ticket t, const struct ipc_top_rooms *m);
/* At the end of a turn: a part of the round for that. */
void hearing_show_some(struct engine *e);
/* At the end of a turn: asks for what channels need. */
void hearing_send(struct shard *s);
bool hearing_needs_pulse(const struct engine *e);

/* --- redis_questions --- */

void questions_init(struct engine *e);
/* After its servers. */
void questions_fini(struct engine *e);
void questions_read(struct engine *e, struct ticket t, const struct ipc_subscribe *m);
void questions_history(struct engine *e, struct ticket t, const struct ipc_history *m);
void questions_members(struct engine *e, struct ticket t, const struct ipc_members *m);
/* A fence of one of them is through. */
void questions_on_released(void *engine, struct redis_fence *f);
/* The channel is heard no more: what is answered comes up now, the rest comes when it is. */
void questions_unfence(struct heard_channel *ch);
void questions_tick(struct engine *e);
/* At the end of a turn: asks. */
void questions_send(struct shard *s);

/* --- redis_catalogue --- */

void catalogue_init(struct engine *e);
/* After its servers. */
void catalogue_fini(struct engine *e);
void catalogue_ask(struct engine *e, struct ticket t, const struct ipc_channels *m);
void catalogue_tick(struct engine *e);
/* At the end of a turn: asks. */
void catalogue_send(struct engine *e);

/* --- redis_cluster --- */

/* Appends what this node says of itself. */
void cluster_describe(void *engine, struct buf *out);
void cluster_on_nodes(void *engine, const struct redis_server *s, const struct redis_reply *nodes);
void cluster_fini(struct shard *s);
/* A JSON array. */
void cluster_nodes(const struct engine *e, struct buf *out);
/* The id of a node that has another list of servers; empty: all agree. Borrowed until the next beat. */
struct slice cluster_opponent(const struct engine *e);

#endif
