/* redis_presence - the members of this host, brought to Redis and kept there */
#include "broker/redis_presence_parts.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "common/svc/stats.h"

enum {
	CALLS_MAX = 1024,	/* under way at a shard */
	BULK_CALLS_MAX = 512,	/* of these for what nobody waits for: a newcomer has at most so many before it, some 20 ms */
	RETRY_MS = 250,		/* after a refusal */
	BEAT_RETRY_MS = 1000,
	BEATS_PER_LEASE = 4,	/* so many that a half without a beat of anybody shows that the server was away */
	REAP_MAX = 200,		/* holds in one beat: some 5 ms of the server's time */
	KEYS_MAX = 6,
	DESCRIPTION_MAX = 65536,
	KEY_BYTES_MAX = 1 << 20,
	ENTER_TAKEN = 1,	/* what the script says; 2: full */
};

/* Arguments of the scripts. */
#define EVENTS_KEPT "1000"		/* arrivals and departures: what a host misses while it is cut off for a lease */
#define EMPTY_LIST_MS "3600000"		/* so long its events go on with their numbers */

/* --- calls --- */

static void pump(struct redis_presence *p);

static void make_keys(struct redis_presence *p, const char *kinds, struct slice channel, struct slice out[KEYS_MAX]) {
	size_t ends[KEYS_MAX], count = strlen(kinds), start = 0;

	buf_reset(&p->keys);
	for (size_t i = 0; i < count; i++) {
		bool is_nodes = kinds[i] == 'h' || kinds[i] == 'j';
		bool is_one = kinds[i] == 'n' || kinds[i] == 'l' || kinds[i] == 'y';

		redis_key(&p->keys, p->settings.prefix, kinds[i], is_one ? SLICE_EMPTY : is_nodes ? p->settings.node : channel);
		ends[i] = p->keys.len;
	}
	for (size_t i = 0; i < count; start = ends[i++])
		out[i] = slice_of(p->keys.data + start, ends[i] - start);
}

/* A refusal is an answer about this moment only. Who waits is tried for as long as it waits; for the rest one refusal speaks for
 * all, so that a server in trouble is not asked for everybody. */
static void entry_refused(struct entry *e) {
	struct shard *s = e->channel->shard;

	redis_entry_place(e);
	if (!list_is_empty(&e->waiters)) {
		list_remove(&e->link);
		list_add_tail(&s->paused, &e->link);
	} else
		s->bulk_at_ms = s->presence->now_ms + RETRY_MS;
}

/* Somebody else has the name, or the room is full. Who asked is told. Who was in before stays so here: whether the other one keeps the name
 * is seen when its node's lease has run out; and for whom no place counts (since the call was made), asks again. */
static void entry_kept_out(struct redis_presence *p, struct entry *e, enum ipc_result why) {
	bool is_of_this_stay = !e->has_left;

	e->known = KNOWN_OUT;
	e->has_left = false;
	if (is_of_this_stay && (why == IPC_TAKEN || !e->is_kept))
		redis_entry_refuse_all(p, e, why);
	redis_entry_place(e);
	if (is_of_this_stay && e->is_wanted && why == IPC_TAKEN) {
		list_remove(&e->link);
		list_add_tail(&e->channel->shard->taken, &e->link);
	}
}

static void on_enter_answer(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct entry *e = arg;
	struct shard *s = e->channel->shard;
	uint64_t why;

	e->call = CALL_NONE;
	s->call_count--;
	if (outcome == REDIS_REFUSED) {
		entry_refused(e);
		return;
	}
	if (outcome == REDIS_LOST) {
		e->known = KNOWN_NOT;
		redis_entry_place(e);
		return;
	}
	e->channel->member_count = (uint32_t)redis_reply_number(redis_reply_at(reply, 2));
	why = redis_reply_number(redis_reply_at(reply, 0));
	if (why != 0)
		entry_kept_out(s->presence, e, why == ENTER_TAKEN ? IPC_TAKEN : IPC_FULL);
	else {
		e->known = KNOWN_IN;
		if (!e->has_left) {
			e->is_kept = true;
			redis_entry_answer_all(s->presence, e, IPC_OK, redis_reply_number(redis_reply_at(reply, 1)) != 0);
		}
		redis_entry_place(e);
	}
	pump(s->presence);
}

static void on_leave_answer(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct entry *e = arg;
	struct shard *s = e->channel->shard;

	e->call = CALL_NONE;
	s->call_count--;
	if (outcome == REDIS_REFUSED) {
		entry_refused(e);
		return;
	}
	if (outcome == REDIS_DONE) {
		e->known = KNOWN_OUT;
		e->has_left = false;
		e->channel->member_count = (uint32_t)redis_reply_number(redis_reply_at(reply, 1));
	}
	redis_entry_place(e);
	if (outcome == REDIS_DONE)
		pump(s->presence);
}

static void call_enter(struct redis_presence *p, struct entry *e) {
	struct slice channel = redis_entry_channel(e), info, keys[KEYS_MAX];
	char life[ID_TEXT_LEN + 1], members_max[16];
	const uint8_t *token;
	bool is_there = presence_find(&p->store, &e->channel->presence, redis_entry_name(e), &token, &info);

	BUG_ON(!is_there);	/* wanted */
	id_text(&p->ids, id_next(&p->ids), life);
	snprintf(members_max, sizeof(members_max), "%" PRIu32, redis_entry_members_max(p, e));
	make_keys(p, "wzvhnc", channel, keys);
	e->call = CALL_ENTER;
	p->ops.call(e->channel->shard->server, REDIS_SCRIPT_enter, keys, 5,
	    (const struct slice[]){ channel, p->settings.node, redis_entry_name(e), slice_of(token, IPC_KEY_BYTES), info,
		slice_text(e->is_silent ? "0" : "1"), slice_text(life), keys[5], slice_text(EVENTS_KEPT), slice_text(EMPTY_LIST_MS),
		slice_text(members_max) },
	    11, on_enter_answer, e);
}

static void call_leave(struct redis_presence *p, struct entry *e) {
	struct slice channel = redis_entry_channel(e), keys[KEYS_MAX];

	make_keys(p, "wzvhc", channel, keys);
	e->call = CALL_LEAVE;
	p->ops.call(e->channel->shard->server, REDIS_SCRIPT_leave, keys, 4,
	    (const struct slice[]){ channel, p->settings.node, redis_entry_name(e), keys[4], slice_text(EVENTS_KEPT), slice_text(EMPTY_LIST_MS) },
	    6, on_leave_answer, e);
}

static void call_for_first(struct shard *s, struct list *queue, uint32_t calls_max) {
	while (!list_is_empty(queue) && s->call_count < calls_max) {
		struct entry *e = list_entry(queue->next, struct entry, link);

		list_remove(&e->link);
		s->call_count++;
		if (e->has_left)
			call_leave(s->presence, e);
		else
			call_enter(s->presence, e);
	}
}

/* At the end of everything that may have changed something: makes the calls that can be made, frees who is gone. */
static void pump(struct redis_presence *p) {
	while (!list_is_empty(&p->gone))
		redis_entry_free(p, list_entry(p->gone.next, struct entry, link));
	list_for_each(it, &p->shards) {
		struct shard *s = list_entry(it, struct shard, link);

		/* What is held without a lease would be held for ever if this node died. */
		if (!s->has_lease || !p->ops.is_up(s->server))
			continue;
		call_for_first(s, &s->fresh, CALLS_MAX);
		if (p->now_ms >= s->bulk_at_ms)
			call_for_first(s, &s->bulk, BULK_CALLS_MAX);
	}
}

/* --- the lease --- */

/* Redis may have forgotten who is in. Calls under way are not concerned: what they do comes later than what told us so. */
static void say_again(struct shard *s, bool is_silent) {
	list_for_each(it, &s->settled) {
		struct entry *e = list_entry(it, struct entry, link);

		e->known = KNOWN_NOT;
		e->is_silent = is_silent;
	}
	list_splice_tail(&s->bulk, &s->settled);
}

/* Not there before, in the same generation: the lease had run out, and the departures have been announced, if any. So arrivals are
 * news. A beat whose answer is lost may have been the one that would have said so. */
static void on_beat_answer(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct shard *s = arg;
	struct redis_presence *p = s->presence;
	uint64_t ended = redis_reply_number(redis_reply_at(reply, 1));

	s->is_beating = false;
	if (outcome == REDIS_REFUSED && s->beat_at_ms > p->now_ms + BEAT_RETRY_MS)
		s->beat_at_ms = p->now_ms + BEAT_RETRY_MS;
	if (outcome == REDIS_LOST)
		s->is_lease_doubted = true;
	if (outcome != REDIS_DONE)
		return;
	if (s->is_lease_doubted || redis_reply_number(redis_reply_at(reply, 0)) == 0)
		say_again(s, false);
	s->is_lease_doubted = false;
	s->has_lease = true;
	if (ended >= REAP_MAX)
		s->beat_at_ms = p->now_ms;
	stat_add(STAT_redis_reaped, ended);
	list_splice_tail(&s->bulk, &s->taken);
	p->ops.nodes(p->arg, s->server, redis_reply_at(reply, 2));
	pump(p);
}

static void beat(struct shard *s) {
	struct redis_presence *p = s->presence;
	struct slice keys[KEYS_MAX];
	char lease[24], reap[16];

	s->is_beating = true;
	s->beat_at_ms = p->now_ms + p->settings.lease_ms / BEATS_PER_LEASE;
	buf_reset(&p->description);
	p->ops.describe(p->arg, &p->description);
	snprintf(lease, sizeof(lease), "%" PRIu64, p->settings.lease_ms);
	snprintf(reap, sizeof(reap), "%d", REAP_MAX);
	make_keys(p, "lyhj", SLICE_EMPTY, keys);
	p->ops.call(s->server, REDIS_SCRIPT_beat, keys, 4,
	    (const struct slice[]){ p->settings.node, slice_text(lease), buf_slice(&p->description), slice_text(reap),
		slice_text(p->settings.prefix), slice_text(EVENTS_KEPT), slice_text(EMPTY_LIST_MS) },
	    7, on_beat_answer, s);
}

/* --- the interface --- */

struct redis_presence *redis_presence_new(const struct redis_presence_settings *settings, const struct redis_presence_ops *ops,
    void *arg, uint64_t now_ms) {
	struct redis_presence *p = mem_zalloc(sizeof(*p));

	p->settings = *settings;
	p->ops = *ops;
	p->arg = arg;
	p->now_ms = now_ms;
	presence_store_init(&p->store, settings->info_max_bytes, 0, redis_entry_on_left, p, now_ms);
	htab_init(&p->channels, redis_entry_channel_key);
	htab_init(&p->entries, redis_entry_key);
	list_init(&p->shards);
	list_init(&p->waiters);
	list_init(&p->gone);
	id_source_init(&p->ids);
	buf_init(&p->keys, KEY_BYTES_MAX);
	buf_init(&p->description, DESCRIPTION_MAX);
	return p;
}

void redis_presence_free(struct redis_presence **presence) {
	struct redis_presence *p = *presence;
	struct htab_node *node;

	if (p == NULL)
		return;
	*presence = NULL;
	while (!list_is_empty(&p->waiters)) {
		struct waiter *w = list_entry(p->waiters.next, struct waiter, in_all);

		list_remove(&w->in_all);
		mem_free(w);
	}
	while ((node = htab_next(&p->entries, NULL)) != NULL)
		redis_entry_free(p, htab_entry(node, struct entry, node));
	while (!list_is_empty(&p->shards))
		redis_shard_free(list_entry(p->shards.next, struct shard, link));
	presence_store_fini(&p->store);
	htab_fini(&p->channels);
	htab_fini(&p->entries);
	buf_fini(&p->keys);
	buf_fini(&p->description);
	mem_free(p);
}

void redis_presence_add(struct redis_presence *p, struct ticket t, uint64_t holder, const struct ipc_member_add *m) {
	struct entry *e = redis_entry_find_or_new(p, m->channel, m->member);
	enum ipc_result result = IPC_UNAVAILABLE;
	bool is_new = false;

	if (e != NULL)
		result = presence_add(&p->store, &e->channel->presence, holder, m, 0, &is_new);
	if (is_new)
		redis_entry_begin_stay(p, e, m->flags);
	if (result == IPC_OK && (t.request == 0 || (m->flags & IPC_RESYNC) != 0))
		e->is_kept = true;
	if (result == IPC_OK && !e->is_kept)
		redis_entry_wait(p, e, t, holder);
	else
		redis_entry_answer(p, e, t, result, false);
	if (e != NULL)
		redis_entry_place(e);
	pump(p);
}

void redis_presence_remove(struct redis_presence *p, uint64_t holder, const struct ipc_member_remove *m) {
	struct entry *e = redis_entry_find(p, m->channel, m->member);

	if (e == NULL)
		return;
	presence_remove(&p->store, &e->channel->presence, holder, m->member, m->grace_ms, p->now_ms);
	pump(p);
}

void redis_presence_holder_lost(struct redis_presence *p, uint64_t holder, uint32_t grace_ms) {
	presence_holder_lost(&p->store, holder, grace_ms, p->now_ms);
	pump(p);
}

void redis_presence_on_up(struct redis_presence *p, struct redis_server *server, struct slice generation) {
	struct shard *s = redis_shard_find_or_new(p, server);

	if (s->generation != NULL && !slice_eq(generation, slice_of(s->generation, s->generation_len)))
		say_again(s, true);
	mem_free(s->generation);
	s->generation = mem_dup(generation.ptr, generation.len);
	s->generation_len = generation.len;
	s->bulk_at_ms = p->now_ms;
	list_splice_tail(&s->fresh, &s->paused);
	s->has_lease = false;
	beat(s);
	pump(p);
}

void redis_presence_tick(struct redis_presence *p, uint64_t now_ms) {
	p->now_ms = now_ms;
	presence_tick(&p->store, now_ms);
	redis_waiters_expire(p);
	list_for_each(it, &p->shards) {
		struct shard *s = list_entry(it, struct shard, link);

		if (now_ms >= s->retry_at_ms) {
			s->retry_at_ms = now_ms + RETRY_MS;
			list_splice_tail(&s->fresh, &s->paused);
		}
		if (now_ms >= s->beat_at_ms && !s->is_beating && s->generation != NULL && p->ops.is_up(s->server))
			beat(s);
	}
	pump(p);
}

void redis_presence_count(const struct redis_presence *p, size_t *members, size_t *users) {
	*members = p->store.members.count - p->users;
	*users = p->users;
}
