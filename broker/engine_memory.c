/* engine_memory - channels in the memory of this process: order, history, presence and publication keys put together */
#include "broker/engine.h"

#include <stdlib.h>

#include "broker/history.h"
#include "broker/idempotency.h"
#include "broker/last_positions.h"
#include "broker/presence.h"
#include "broker/toplist.h"
#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/svc/stats.h"

enum {
	SWEEP_MS = 100,
	SWEEP_MIN = 64,		/* channels looked at per sweep, at least; and 1/SWEEP_PART of all */
	SWEEP_PART = 64,
	SWEEP_PER_NEW = 4,	/* channels looked at before one is made, so that forgotten ones never get many */
	CHANNEL_EXTRA_BYTES = 48,	/* its bucket, and what the allocator adds to channel and ring */
	INFO_PART = 16,		/* a member fits at least so often into an answer */
	ARRIVALS_PER_MS = 1000,	/* more than ever come: so their numbers rise over restarts too */
	POSITIONS_PART = 16,	/* of history_total_bytes, besides, for where forgotten channels stood */
};

struct channel {
	struct htab_node node;
	struct list in_sweep;
	struct history history;
	struct history_store *store;	/* of the engine: where its history is kept */
	struct presence presence;
	struct idempotency keys;
	struct position top;	/* of the last publication */
	void *interest;		/* of the router, or NULL */
	uint8_t name_len;
	uint8_t name[];
};
STATIC_ASSERT(IPC_CHANNEL_MAX <= UINT8_MAX, "name_len");

struct engine {
	struct engine_limits limits;
	struct evloop *loop;
	const struct engine_events *events;
	void *arg;
	uint64_t now_ms, wall_ms, swept_ms;
	uint64_t next_channel_id;
	struct htab channels;
	struct list sweep;	/* all channels; the next to be looked at first */
	struct history_store history;
	struct history_store moderation;	/* the history of its channel, which no other one drives out */
	struct presence_store presence;
	struct idempotency_store keys;
	struct last_positions gone;	/* of channels that were forgotten */
	struct toplist toplist;
	size_t rooms;		/* among channels */
	size_t users;		/* members of the hubs' own channels */
};

static struct slice channel_name(const struct channel *ch) {
	return slice_of(ch->name, ch->name_len);
}

static struct slice channel_key(const struct htab_node *node) {
	return channel_name(htab_entry(node, struct channel, node));
}

static struct slice channel_epoch(const struct channel *ch) {
	return slice_of(ch->top.epoch, ENGINE_EPOCH_LEN);
}

/* Those of the hubs themselves: being there is having a user id, not being in a channel. */
static bool is_own_of_hubs(const struct channel *ch) {
	return ch->name[0] == '$';
}

static void on_left(struct presence *p, struct slice member, struct slice info, void *arg) {
	struct engine *e = arg;
	struct channel *ch = container_of(p, struct channel, presence);
	struct ipc_left left = { channel_name(ch), member, info, p->count };

	e->users -= is_own_of_hubs(ch);
	e->events->left(e->arg, ch->interest, &left);
}

static struct engine *memory_create(const struct engine_setup *setup, const struct engine_events *events, void *arg,
    uint64_t now_ms, uint64_t wall_ms) {
	const struct engine_limits *limits = &setup->limits;
	struct history_bounds moderation = engine_history_bounds(limits, slice_text(IPC_MODERATION_CHANNEL));
	struct engine *e = mem_zalloc(sizeof(*e));

	e->limits = *limits;
	e->loop = setup->loop;
	toplist_init(&e->toplist);
	e->events = events;
	e->arg = arg;
	e->now_ms = e->swept_ms = now_ms;
	e->wall_ms = wall_ms;
	htab_init(&e->channels, channel_key);
	list_init(&e->sweep);
	history_store_init(&e->history, engine_history_bounds(limits, SLICE_EMPTY), limits->history_total_bytes);
	history_store_init(&e->moderation, moderation, 2 * moderation.bytes);
	idempotency_store_init(&e->keys, limits);
	last_positions_init(&e->gone, limits->history_total_bytes / POSITIONS_PART, limits->history_ms);
	presence_store_init(&e->presence, limits->reply_max_bytes / INFO_PART, wall_ms * ARRIVALS_PER_MS, on_left, e, now_ms);
	return e;
}

static struct channel *channel_find_hashed(const struct engine *e, uint64_t hash, struct slice name) {
	struct htab_node *node = htab_find_hashed(&e->channels, hash, name);

	return node != NULL ? htab_entry(node, struct channel, node) : NULL;
}

static struct channel *channel_find(const struct engine *e, struct slice name) {
	return channel_find_hashed(e, htab_hash(name), name);
}

/* Random, so that neither an earlier life of the channel nor an earlier broker had the same one. */
static void make_epoch(char epoch[ENGINE_EPOCH_LEN]) {
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	uint64_t n;

	random_bytes(&n, sizeof(n));
	for (int i = 0; i < ENGINE_EPOCH_LEN; i++, n /= sizeof(digits) - 1)
		epoch[i] = digits[n % (sizeof(digits) - 1)];
}

static void channel_free(struct engine *e, struct channel *ch) {
	history_fini(ch->store, &ch->history);
	presence_fini(&e->presence, &ch->presence);
	htab_remove(&e->channels, &ch->node);
	e->rooms -= engine_is_room(channel_name(ch));
	list_remove(&ch->in_sweep);
	mem_free(ch);
}

static bool is_forgettable(const struct channel *ch) {
	return ch->interest == NULL && ch->presence.count == 0 && ch->history.count == 0 && ch->keys.count == 0;
}

static struct ipc_channel describe(const struct channel *ch) {
	return (struct ipc_channel){ channel_name(ch), channel_epoch(ch), ch->top.offset, ch->presence.count };
}

/* Amid a round for who asks for the largest. */
static void show(struct engine *e, const struct channel *ch) {
	struct ipc_channel shown = describe(ch);

	toplist_show(&e->toplist, &shown);
	e->toplist.left--;
}

/* Looks at the next `n`. A channel that nothing is known of any more goes; should it come back soon, it goes on where it stood, since nothing
 * was lost; later, its epoch is another one. */
static void sweep(struct engine *e, size_t n) {
	for (; n > 0 && !list_is_empty(&e->sweep); n--) {
		struct channel *ch = list_entry(e->sweep.next, struct channel, in_sweep);

		list_remove(&ch->in_sweep);
		list_add_tail(&e->sweep, &ch->in_sweep);
		if (e->toplist.left > 0)
			show(e, ch);
		if (is_forgettable(ch)) {
			last_positions_add(&e->gone, ch->node.hash, &ch->top, e->now_ms);
			channel_free(e, ch);
		}
	}
}

static struct channel *channel_find_or_new(struct engine *e, uint64_t hash, struct slice name) {
	struct channel *ch = channel_find_hashed(e, hash, name);

	if (ch != NULL)
		return ch;
	BUG_ON(name.len == 0 || name.len > IPC_CHANNEL_MAX);
	sweep(e, SWEEP_PER_NEW);
	ch = mem_zalloc(sizeof(*ch) + name.len);
	memcpy(ch->name, name.ptr, name.len);
	ch->name_len = (uint8_t)name.len;
	if (!last_positions_take(&e->gone, hash, &ch->top, e->now_ms))
		make_epoch(ch->top.epoch);
	history_init(&ch->history, sizeof(*ch) + name.len + CHANNEL_EXTRA_BYTES);
	ch->store = slice_eq_text(name, IPC_MODERATION_CHANNEL) ? &e->moderation : &e->history;
	ch->keys.owner_bytes = ch->history.owner_bytes;
	presence_init(&ch->presence, e->next_channel_id++);
	htab_add_hashed(&e->channels, &ch->node, hash);
	e->rooms += engine_is_room(name);
	list_add_tail(&e->sweep, &ch->in_sweep);
	return ch;
}

static void memory_destroy(struct engine **engine) {
	struct engine *e = *engine;

	if (e == NULL)
		return;
	*engine = NULL;
	idempotency_store_fini(&e->keys);
	toplist_fini(&e->toplist);
	while (!list_is_empty(&e->sweep))
		channel_free(e, list_entry(e->sweep.next, struct channel, in_sweep));
	presence_store_fini(&e->presence);
	last_positions_fini(&e->gone);
	htab_fini(&e->channels);
	mem_free(e);
}

static void memory_subscribe(struct engine *e, struct slice channel, void *interest) {
	channel_find_or_new(e, htab_hash(channel), channel)->interest = interest;
}

static void memory_unsubscribe(struct engine *e, struct slice channel) {
	struct channel *ch = channel_find(e, channel);

	if (ch != NULL)
		ch->interest = NULL;
}

static void deliver(struct engine *e, const struct channel *ch, const struct ipc_publish *p) {
	struct ipc_deliver d = { .channel = channel_name(ch),
		.epoch = channel_epoch(ch),
		.offset = ch->top.offset,
		.time_ms = e->wall_ms,
		.kind = p->kind,
		.sent_us = p->sent_us,
		.data = p->data,
		.data_in = p->data_in };

	memcpy(d.key, p->key, IPC_KEY_BYTES);
	e->events->publication(e->arg, ch->interest, &d);
}

static void memory_publish(struct engine *e, struct ticket t, const struct ipc_publish *p) {
	uint64_t channel_hash = htab_hash(p->channel), key_hash = 0;
	bool has_key = idempotency_is_key(p->key);
	struct ipc_publication kept = { .time_ms = e->wall_ms, .kind = p->kind, .data = p->data, .data_in = p->data_in };
	struct channel *ch;

	if (has_key) {
		key_hash = idempotency_hash(channel_hash, p->key);
		idempotency_prefetch(&e->keys, key_hash);
	}
	htab_prefetch_node(&e->channels, channel_hash);
	ch = channel_find_or_new(e, channel_hash, p->channel);
	history_prefetch(ch->store, &ch->history);
	__builtin_prefetch(ch->interest);
	kept.offset = ch->top.offset + 1;
	if (has_key && !idempotency_add(&e->keys, &ch->keys, key_hash, p->key, &kept.offset, e->now_ms)) {
		stat_add(STAT_idempotency_hits, 1);
		e->events->published(e->arg, t, IPC_REPEATED, channel_epoch(ch), kept.offset);
		return;
	}
	ch->top.offset = kept.offset;
	memcpy(kept.key, p->key, IPC_KEY_BYTES);
	if ((p->flags & IPC_NO_HISTORY) == 0)
		history_add(ch->store, &ch->history, &kept, e->now_ms);
	deliver(e, ch, p);
	e->events->published(e->arg, t, IPC_OK, channel_epoch(ch), ch->top.offset);
}

/* Appends [from, from + count) unless that is more than `out` takes: then false, and nothing. */
static bool put_all(const struct history *h, uint32_t from, uint32_t count, struct buf *out) {
	for (uint32_t i = from; i < from + count; i++)
		history_put(h, i, out);
	if (!out->failed)
		return true;
	buf_reset(out);
	return false;
}

/* Everything after the offset, or nothing. Offsets are distinct, so as many as the distance means without a hole. */
static bool put_missed(const struct channel *ch, const struct ipc_subscribe *s, struct buf *out) {
	uint32_t from = history_index_after(&ch->history, s->offset);
	uint32_t count = ch->history.count - from;

	if (!slice_eq(s->epoch, channel_epoch(ch)) || s->offset > ch->top.offset)
		return false;
	if (count != ch->top.offset - s->offset || count > s->limit)
		return false;
	return put_all(&ch->history, from, count, out);
}

static void answer(struct engine *e, struct ticket t, struct ipc_snapshot *s) {
	e->events->snapshot(e->arg, t, s);
}

/* Publications and members share reply_max_bytes; the missed ones go first, since of members there is a count and a list by
 * pages. */
static void memory_read(struct engine *e, struct ticket t, const struct ipc_subscribe *s) {
	const struct channel *ch = channel_find(e, s->channel);
	struct ipc_snapshot answered = { .channel = s->channel };
	struct buf publications, members;

	if (ch == NULL) {
		answer(e, t, &answered);
		return;
	}
	buf_init(&publications, e->limits.reply_max_bytes);
	if ((s->flags & IPC_SINCE) != 0 && put_missed(ch, s, &publications))
		answered.flags |= IPC_SNAPSHOT_RECOVERED;
	buf_init(&members, e->limits.reply_max_bytes - publications.len);
	presence_list(&e->presence, &ch->presence, 0, SLICE_EMPTY, s->member_limit, &members);
	answered.epoch = channel_epoch(ch);
	answered.offset = ch->top.offset;
	answered.publications = buf_slice(&publications);
	answered.member_count = ch->presence.count;
	answered.members = buf_slice(&members);
	answer(e, t, &answered);
	buf_fini(&publications);
	buf_fini(&members);
}

static size_t entry_record_bytes(const struct history *h, uint32_t i) {
	return history_at(h, i)->len + (size_t)HISTORY_ENTRY_BYTES;
}

/* How many from `from` on fit into limit and reply. */
static uint32_t count_rising(const struct engine *e, const struct history *h, uint32_t from, uint32_t limit) {
	size_t bytes = 0;
	uint32_t n = 0;

	while (n < limit && from + n < h->count) {
		bytes += entry_record_bytes(h, from + n);
		if (bytes > e->limits.reply_max_bytes)
			break;
		n++;
	}
	return n;
}

/* How many directly before `end` fit. */
static uint32_t count_falling(const struct engine *e, const struct history *h, uint32_t end, uint32_t limit) {
	size_t bytes = 0;
	uint32_t n = 0;

	while (n < limit && n < end) {
		bytes += entry_record_bytes(h, end - n - 1);
		if (bytes > e->limits.reply_max_bytes)
			break;
		n++;
	}
	return n;
}

static void put_since(struct engine *e, const struct channel *ch, const struct ipc_history *q, struct ipc_snapshot *s,
    struct buf *out) {
	const struct history *h = &ch->history;
	uint32_t from = history_index_after(h, q->offset);
	uint32_t n;

	if (!slice_eq(q->epoch, channel_epoch(ch)) || q->offset > ch->top.offset)
		return;
	n = count_rising(e, h, from, q->limit);
	if (!put_all(h, from, n, out))
		return;
	/* As far as it goes: offsets are distinct, so the last one says whether there was a hole. */
	if (n > 0 ? history_at(h, from + n - 1)->offset == q->offset + n : q->offset == ch->top.offset)
		s->flags |= IPC_SNAPSHOT_RECOVERED;
	if (from + n < h->count)
		s->flags |= IPC_SNAPSHOT_MORE;
}

static void put_before(struct engine *e, const struct channel *ch, const struct ipc_history *q, struct ipc_snapshot *s,
    struct buf *out) {
	const struct history *h = &ch->history;
	uint32_t end = h->count, n;

	/* An offset of another life of the channel says nothing. */
	if (q->offset > 0 && q->epoch.len > 0 && !slice_eq(q->epoch, channel_epoch(ch)))
		return;
	if (q->offset > 0)
		end = history_index_after(h, q->offset - 1);
	n = count_falling(e, h, end, q->limit);
	if (!put_all(h, end - n, n, out))
		return;
	if (n < end)
		s->flags |= IPC_SNAPSHOT_MORE;
}

static void memory_history(struct engine *e, struct ticket t, const struct ipc_history *q) {
	const struct channel *ch = channel_find(e, q->channel);
	struct ipc_snapshot answered = { .channel = q->channel };
	struct buf publications;

	if (ch == NULL) {
		answer(e, t, &answered);
		return;
	}
	buf_init(&publications, e->limits.reply_max_bytes);
	if ((q->flags & IPC_SINCE) != 0)
		put_since(e, ch, q, &answered, &publications);
	else
		put_before(e, ch, q, &answered, &publications);
	answered.epoch = channel_epoch(ch);
	answered.offset = ch->top.offset;
	answered.publications = buf_slice(&publications);
	answered.member_count = ch->presence.count;
	answer(e, t, &answered);
	buf_fini(&publications);
}

/* How many may be there before somebody comes. */
static uint32_t members_max(const struct engine *e, const struct channel *ch, struct ticket t, const struct ipc_member_add *m) {
	return t.request == 0 || (m->flags & IPC_RESYNC) != 0 || is_own_of_hubs(ch) ? 0 : e->limits.members_max;
}

static void memory_member_add(struct engine *e, struct ticket t, uint64_t holder, const struct ipc_member_add *m) {
	struct channel *ch = channel_find_or_new(e, htab_hash(m->channel), m->channel);
	struct ipc_member_result r = { 0 };
	bool is_new;

	r.result = (uint8_t)presence_add(&e->presence, &ch->presence, holder, m, members_max(e, ch, t, m), &is_new);
	r.is_new = is_new;
	r.member_count = ch->presence.count;
	e->users += is_new && is_own_of_hubs(ch);
	if (is_new && (m->flags & IPC_RESYNC) == 0) {
		struct ipc_joined joined = { m->channel, m->member, m->info, ch->presence.count };

		e->events->joined(e->arg, ch->interest, &joined);
	}
	e->events->member_result(e->arg, t, &r);
}

static void memory_member_remove(struct engine *e, uint64_t holder, const struct ipc_member_remove *m) {
	struct channel *ch = channel_find(e, m->channel);

	if (ch != NULL)
		presence_remove(&e->presence, &ch->presence, holder, m->member, m->grace_ms, e->now_ms);
}

static void memory_holder_lost(struct engine *e, uint64_t holder, uint32_t grace_ms) {
	presence_holder_lost(&e->presence, holder, grace_ms, e->now_ms);
}

static void memory_members(struct engine *e, struct ticket t, const struct ipc_members *m) {
	const struct channel *ch = channel_find(e, m->channel);
	struct ipc_member_list list = { 0 };
	struct buf members;

	buf_init(&members, e->limits.reply_max_bytes);
	if (ch != NULL) {
		list.more = presence_list(&e->presence, &ch->presence, m->after_number, m->after, m->limit, &members);
		list.member_count = ch->presence.count;
	}
	list.members = buf_slice(&members);
	e->events->member_list(e->arg, t, &list);
	buf_fini(&members);
}

static int compare_names(struct slice a, struct slice b) {
	int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_channels(const void *a, const void *b) {
	const struct channel *const *left = a, *const *right = b;

	return compare_names(channel_name(*left), channel_name(*right));
}

static bool is_asked_for(const struct channel *ch, const struct ipc_channels *q) {
	struct slice name = channel_name(ch);

	if (name.len < q->prefix.len || (q->prefix.len > 0 && memcmp(name.ptr, q->prefix.ptr, q->prefix.len) != 0))
		return false;
	return q->after.len == 0 || compare_names(name, q->after) > 0;
}

/* All that match, sorted. Returns owned. */
static const struct channel **collect(const struct engine *e, const struct ipc_channels *q, size_t *count) {
	const struct channel **found = mem_alloc(e->channels.count * sizeof(*found));
	size_t n = 0;

	list_for_each(it, &e->sweep) {
		const struct channel *ch = list_entry(it, const struct channel, in_sweep);

		if (is_asked_for(ch, q))
			found[n++] = ch;
	}
	if (n > 0)
		qsort(found, n, sizeof(*found), compare_channels);
	*count = n;
	return found;
}

static void memory_channels(struct engine *e, struct ticket t, const struct ipc_channels *q) {
	struct ipc_channel_list list = { 0 };
	size_t count, i;
	const struct channel **found = collect(e, q, &count);
	struct buf channels;

	buf_init(&channels, e->limits.reply_max_bytes);
	for (i = 0; i < count && i < q->limit && channels.max - channels.len > 2 * IPC_CHANNEL_MAX; i++) {
		struct ipc_channel ch = describe(found[i]);

		ipc_put_channel(&channels, &ch);
	}
	list.more = i < count;
	list.channels = buf_slice(&channels);
	e->events->channel_list(e->arg, t, &list);
	buf_fini(&channels);
	mem_free(found);
}

static void memory_top_rooms(struct engine *e, struct ticket t, const struct ipc_top_rooms *m) {
	if (!toplist_ask(&e->toplist, t, m))
		e->events->channel_list(e->arg, t, &(struct ipc_channel_list){ .result = IPC_UNAVAILABLE });
}

/* The round is a part of the sweep: each channel has its place in the same row. */
static void memory_turn_end(struct engine *e) {
	if (!toplist_is_asked(&e->toplist))
		return;
	if (!e->toplist.has_begun) {
		e->toplist.has_begun = true;
		e->toplist.left = e->channels.count;
	}
	sweep(e, e->toplist.left < TOP_STEP ? e->toplist.left : TOP_STEP);
	if (e->toplist.left == 0)
		toplist_answer(&e->toplist, e->events, e->arg, e->limits.reply_max_bytes);
	if (toplist_is_asked(&e->toplist))
		evloop_do_not_wait(e->loop);
}

static void memory_tick(struct engine *e, uint64_t now_ms, uint64_t wall_ms) {
	e->now_ms = now_ms;
	e->wall_ms = wall_ms;
	presence_tick(&e->presence, now_ms);
	history_expire(&e->history, now_ms);
	history_expire(&e->moderation, now_ms);
	idempotency_expire(&e->keys, now_ms);
	last_positions_expire(&e->gone, now_ms);
	if (now_ms >= e->swept_ms + SWEEP_MS) {
		sweep(e, SWEEP_MIN + e->channels.count / SWEEP_PART);
		e->swept_ms = now_ms;
	}
	stat_set(STAT_channels, e->channels.count);
	stat_set(STAT_rooms, e->rooms);
	stat_set(STAT_users, e->users);
	stat_set(STAT_channel_members, e->presence.members.count - e->users);
	stat_set(STAT_history_messages, e->history.count + e->moderation.count);
	stat_set(STAT_history_bytes, e->history.bytes + e->moderation.bytes);
	stat_set(STAT_idempotency_keys, e->keys.keys.count);
	stat_set(STAT_idempotency_bytes, e->keys.bytes);
}

const struct engine_ops engine_memory = {
	.name = "memory",
	.create = memory_create,
	.destroy = memory_destroy,
	.subscribe = memory_subscribe,
	.unsubscribe = memory_unsubscribe,
	.publish = memory_publish,
	.read = memory_read,
	.history = memory_history,
	.member_add = memory_member_add,
	.member_remove = memory_member_remove,
	.holder_lost = memory_holder_lost,
	.members = memory_members,
	.channels = memory_channels,
	.top_rooms = memory_top_rooms,
	.tick = memory_tick,
	.turn_end = memory_turn_end,
};
