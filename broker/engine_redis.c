/* engine_redis - channels in Redis: its parts put together, its servers, time */
#include "broker/redis_parts.h"

#include <stdio.h>

#define LOG_AREA LOG_AREA_redis
#include "common/base/codec.h"
#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/svc/log.h"
#include "common/svc/stats.h"

enum {
	PULSE_MS = 10,
	RETRIES_PER_LEASE = 8,	/* at least: when Redis was away for less than the half of a lease, the least of ours that is left is its quarter */
	INFO_PART = 16,	/* a member fits at least so often into an answer */
};

struct shard *engine_shard(const struct engine *e, struct slice channel) {
	return &e->shards[redis_ring_find(&e->ring, channel)];
}

/* --- what the servers say --- */

static void on_up(void *arg, struct slice generation) {
	struct shard *s = arg;
	bool is_other = s->generation != NULL && !slice_eq_text(generation, s->generation);

	mem_free(s->generation);
	s->generation = slice_dup_text(generation);
	redis_queue_set_up(s->queue, true);
	redis_presence_on_up(s->engine->presence, s->server, generation);
	if (is_other)
		hearing_on_generation(s);
}

static void on_down(void *arg) {
	struct shard *s = arg;

	redis_queue_set_up(s->queue, false);
}

static void on_listening(void *arg UNUSED) {
	/* The subscriptions follow, each for itself. */
}

static void on_deaf(void *arg) {
	hearing_on_deaf(arg);
}

static void on_subscribed(void *arg, struct slice channel) {
	hearing_on_subscribed(arg, channel);
}

static void on_message(void *arg, struct slice channel, struct slice payload) {
	hearing_on_message(arg, channel, payload);
}

static const struct redis_server_ops server_ops = { on_up, on_down, on_listening, on_deaf, on_subscribed, on_message };

/* --- making it --- */

static void on_published(void *arg, struct ticket t, enum ipc_result result, struct slice epoch, uint64_t offset) {
	struct engine *e = arg;

	e->events->published(e->arg, t, result, epoch, offset);
}

static void on_member_result(void *arg, struct ticket t, struct ipc_member_result *result) {
	struct engine *e = arg;

	e->events->member_result(e->arg, t, result);
}

static struct redis_server *server_of(void *arg, struct slice channel) {
	return engine_shard(arg, channel)->server;
}

static const struct redis_presence_ops presence_ops = { on_member_result, server_of, cluster_describe, cluster_on_nodes,
	redis_server_is_up, redis_server_call };

static void make_presence(struct engine *e) {
	struct redis_presence_settings settings = { .prefix = e->config->redis_prefix, .node = slice_text(e->node),
		.lease_ms = (uint64_t)e->config->node_lease_seconds * 1000, .wait_ms = (uint64_t)e->config->redis_wait_ms,
		.info_max_bytes = e->limits.reply_max_bytes / INFO_PART, .members_max = e->limits.members_max };

	e->presence = redis_presence_new(&settings, &presence_ops, e, e->now_ms);
}

static void start_shard(struct engine *e, struct shard *s, const struct redis_server_settings *server) {
	struct redis_queue_settings queue = { .prefix = e->config->redis_prefix, .epochs = &e->epochs, .limits = e->limits,
		.bytes_max = (size_t)e->config->redis_queue_bytes, .wait_ms = (uint64_t)e->config->redis_wait_ms,
		.published = on_published, .arg = e, .call = redis_server_call };

	s->server = redis_server_new(e->loop, server, &server_ops, s);
	queue.server = s->server;
	s->queue = redis_queue_new(&queue);
}

static void server_settings(const struct engine *e, const struct shard *s, struct redis_server_settings *out) {
	const struct config *c = e->config;

	*out = (struct redis_server_settings){ .url = s->url, .sentinels = &c->redis_sentinels, .master_name = c->redis_master_name,
		.prefix = c->redis_prefix, .node = slice_text(e->node), .connect_timeout_ms = (uint64_t)c->redis_connect_ms,
		.command_timeout_ms = (uint64_t)c->redis_timeout_ms, .probe_ms = (uint64_t)c->redis_probe_ms,
		.retry_ms = (uint64_t)c->node_lease_seconds * 1000 / RETRIES_PER_LEASE };
}

static bool init_shard(struct engine *e, struct shard *s, const char *url, struct errbuf *error) {
	struct redis_server_settings settings;

	if (!redis_url_parse(slice_text(url), &s->url, error))
		return false;
	redis_url_name(&s->url, s->name, sizeof(s->name));
	server_settings(e, s, &settings);
	return redis_server_check(&settings, error);
}

/* Nothing is started unless all can be. */
static bool init_shards(struct engine *e, struct errbuf *error) {
	const char **names = mem_alloc(e->shard_count * sizeof(*names));
	bool is_good = true;

	for (size_t i = 0; i < e->shard_count && is_good; i++) {
		is_good = init_shard(e, &e->shards[i], e->config->redis_url.item[i], error);
		names[i] = e->shards[i].name;
	}
	is_good = is_good && redis_ring_init(&e->ring, names, e->shard_count, error);
	mem_free(names);
	return is_good;
}

static void make_node(struct engine *e) {
	uint8_t random[NODE_ID_LEN / 2];

	random_bytes(random, sizeof(random));
	hex_encode(slice_of(random, sizeof(random)), e->node);
}

static void on_pulse(void *arg UNUSED) {
	/* That there is a turn was all. */
}

static struct engine *engine_new(const struct engine_setup *setup, const struct engine_events *events, void *arg) {
	struct engine *e = mem_zalloc(sizeof(*e));

	e->limits = setup->limits;
	e->events = events;
	e->arg = arg;
	e->config = setup->config;
	e->loop = setup->loop;
	e->shard_count = setup->config->redis_url.count;
	e->shards = mem_zalloc(e->shard_count * sizeof(*e->shards));
	for (size_t i = 0; i < e->shard_count; i++) {
		struct shard *s = &e->shards[i];

		s->engine = e;
		list_init(&s->channels);
		list_init(&s->fills);
		list_init(&s->fills_under_way);
		list_init(&s->waiting);
	}
	make_node(e);
	redis_epochs_init(&e->epochs);
	redis_args_init(&e->args, e->config->redis_prefix, redis_server_call);
	evloop_timer_init(e->loop, &e->pulse, on_pulse, e);
	return e;
}

static void redis_destroy(struct engine **engine) {
	struct engine *e = *engine;

	if (e == NULL)
		return;
	*engine = NULL;
	evloop_timer_stop(&e->pulse);
	for (size_t i = 0; i < e->shard_count; i++)
		redis_server_free(&e->shards[i].server);
	redis_presence_free(&e->presence);
	hearing_fini(e);
	questions_fini(e);
	catalogue_fini(e);
	for (size_t i = 0; i < e->shard_count; i++) {
		redis_queue_free(&e->shards[i].queue);
		redis_url_fini(&e->shards[i].url);
		mem_free(e->shards[i].generation);
		cluster_fini(&e->shards[i]);
	}
	redis_ring_fini(&e->ring);
	redis_args_fini(&e->args);
	mem_free(e->shards);
	mem_free(e);
}

static struct engine *redis_create(const struct engine_setup *setup, const struct engine_events *events, void *arg, uint64_t now_ms,
    uint64_t wall_ms) {
	struct engine *e = engine_new(setup, events, arg);
	struct errbuf error;

	e->now_ms = now_ms;
	e->wall_ms = e->start_wall_ms = wall_ms;
	hearing_init(e);
	questions_init(e);
	catalogue_init(e);
	if (!init_shards(e, &error)) {
		log_line(LOG_ERROR, "engine redis cannot be used", LF_TEXT("error", error.text));
		redis_destroy(&e);
		return NULL;
	}
	make_presence(e);
	for (size_t i = 0; i < e->shard_count; i++) {
		struct redis_server_settings settings;

		server_settings(e, &e->shards[i], &settings);
		start_shard(e, &e->shards[i], &settings);
	}
	log_line(LOG_INFO, "a node of a cluster", LF_TEXT("node", e->node), LF_U("redis_servers", e->shard_count),
	    LF_TEXT("servers", e->ring.digest));
	return e;
}

/* --- what is asked for --- */

static void redis_publish(struct engine *e, struct ticket t, const struct ipc_publish *p) {
	redis_queue_add(engine_shard(e, p->channel)->queue, t, p, e->now_ms);
}

static void redis_member_add(struct engine *e, struct ticket t, uint64_t holder, const struct ipc_member_add *m) {
	redis_presence_add(e->presence, t, holder, m);
}

static void redis_member_remove(struct engine *e, uint64_t holder, const struct ipc_member_remove *m) {
	redis_presence_remove(e->presence, holder, m);
}

static void redis_holder_lost(struct engine *e, uint64_t holder, uint32_t grace_ms) {
	redis_presence_holder_lost(e->presence, holder, grace_ms);
}

/* --- time --- */

static void redis_tick(struct engine *e, uint64_t now_ms, uint64_t wall_ms) {
	size_t members, users;

	e->now_ms = now_ms;
	e->wall_ms = wall_ms;
	hearing_tick(e);
	questions_tick(e);
	catalogue_tick(e);
	for (size_t i = 0; i < e->shard_count; i++)
		redis_queue_tick(e->shards[i].queue, now_ms);
	redis_presence_tick(e->presence, now_ms);
	redis_presence_count(e->presence, &members, &users);
	stat_set(STAT_channels, e->channels.count);
	stat_set(STAT_rooms, e->rooms);
	stat_set(STAT_users, users);
	stat_set(STAT_channel_members, members);
}

/* Something waits for less than the next tick. */
static bool needs_pulse(const struct engine *e) {
	bool is_needed = hearing_needs_pulse(e);

	for (size_t i = 0; i < e->shard_count && !is_needed; i++)
		is_needed = redis_queue_due_ms(e->shards[i].queue) != UINT64_MAX || !list_is_empty(&e->shards[i].waiting);
	return is_needed;
}

static void redis_turn_end(struct engine *e) {
	hearing_show_some(e);
	catalogue_send(e);
	for (size_t i = 0; i < e->shard_count; i++) {
		struct shard *s = &e->shards[i];

		questions_send(s);
		hearing_send(s);
		redis_queue_send(s->queue, e->now_ms);
		redis_server_flush(s->server);
	}
	if (needs_pulse(e))
		evloop_timer_start(&e->pulse, PULSE_MS);
}

/* --- how it is --- */

static const char *redis_trouble(const struct engine *engine) {
	struct engine *e = (struct engine *)(uintptr_t)engine;
	struct slice opponent = cluster_opponent(e);

	for (size_t i = 0; i < e->shard_count; i++) {
		const char *trouble = redis_server_trouble(e->shards[i].server);

		if (trouble != NULL)
			return trouble;
	}
	if (opponent.len == 0)
		return NULL;
	snprintf(e->trouble, sizeof(e->trouble), "the lists of Redis servers differ: node %.*s has another redis_url", (int)opponent.len,
	    (const char *)opponent.ptr);
	return e->trouble;
}

const struct engine_ops engine_redis = {
	.name = "redis",
	.create = redis_create,
	.destroy = redis_destroy,
	.subscribe = hearing_subscribe,
	.unsubscribe = hearing_unsubscribe,
	.publish = redis_publish,
	.read = questions_read,
	.history = questions_history,
	.member_add = redis_member_add,
	.member_remove = redis_member_remove,
	.holder_lost = redis_holder_lost,
	.members = questions_members,
	.channels = catalogue_ask,
	.top_rooms = hearing_top_rooms,
	.tick = redis_tick,
	.turn_end = redis_turn_end,
	.trouble = redis_trouble,
	.nodes = cluster_nodes,
};
