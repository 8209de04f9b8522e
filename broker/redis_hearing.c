/* redis_hearing - the channels that this host hears: subscribed to, filled when something is missing, compared with Redis now and then */
#include "broker/redis_parts.h"

#include "common/base/mem.h"
#include "common/svc/stats.h"

enum {
	CONFIRM_MS = 250,	/* a snapshot waits so long for the subscription, which spares a fill behind it */
	LINGER_MS = 2000,	/* between the last interest in a channel and the end of its subscription */
	FILLS_MAX = 64,	/* under way, of a shard */
	FILL_LIMIT = 1000,
	TOPS_BATCH = 128,
	TOPS_PERIOD_MS = 3000,	/* in which all channels are looked at */
	TOPS_MAX = 8,	/* under way, of a shard */
	HOLD_BYTES_MAX = 64 << 20,
	HOLD_CHANNEL_BYTES_MAX = 4 << 20,
	STEP_MS = 10,
};

/* Of a channel that may go meanwhile. */
struct fill {
	struct list in_shard;
	struct shard *shard;
	struct heard_channel *channel;	/* NULL: it has gone */
};

struct tops {
	struct shard *shard;
	size_t count;
	struct buf names;	/* str8 of each */
};

static struct slice channel_key(const struct htab_node *node) {
	return heard_channel_name(htab_entry(node, struct heard_channel, node));
}

struct heard_channel *hearing_find(const struct engine *e, struct slice channel) {
	struct htab_node *node = htab_find(&e->channels, channel);

	return node != NULL ? htab_entry(node, struct heard_channel, node) : NULL;
}

/* --- what comes up --- */

static struct heard_channel *channel_of(struct redis_channel *hearing) {
	return container_of(hearing, struct heard_channel, hearing);
}

static void on_publication(void *arg, struct redis_channel *hearing, const struct redis_payload *p) {
	const struct heard_channel *ch = channel_of(hearing);
	struct engine *e = arg;
	struct ipc_deliver d = { .channel = heard_channel_name(ch), .epoch = p->epoch, .offset = p->offset, .time_ms = p->time_ms,
		.kind = p->kind, .sent_us = p->time_ms * 1000, .data = p->data };

	memcpy(d.key, p->key, IPC_KEY_BYTES);
	e->events->publication(e->arg, ch->interest, &d);
}

static void on_joined(void *arg, struct redis_channel *hearing, const struct redis_payload *p) {
	struct heard_channel *ch = channel_of(hearing);
	struct engine *e = arg;
	struct ipc_joined joined = { heard_channel_name(ch), p->member, p->data, p->member_count };

	ch->member_count = p->member_count;
	e->events->joined(e->arg, ch->interest, &joined);
}

static void on_left(void *arg, struct redis_channel *hearing, const struct redis_payload *p) {
	struct heard_channel *ch = channel_of(hearing);
	struct engine *e = arg;
	struct ipc_left left = { heard_channel_name(ch), p->member, p->data, p->member_count };

	ch->member_count = p->member_count;
	e->events->left(e->arg, ch->interest, &left);
}

static const struct redis_channel_ops channel_ops = { on_publication, on_joined, on_left, questions_on_released };

/* --- subscriptions --- */

static struct heard_channel *channel_new(struct engine *e, struct slice name) {
	struct heard_channel *ch = mem_zalloc(sizeof(*ch) + name.len);

	memcpy(ch->name, name.ptr, name.len);
	ch->name_len = (uint8_t)name.len;
	ch->shard = engine_shard(e, name);
	ch->since_ms = e->now_ms;
	redis_channel_init(&ch->hearing, &e->hold);
	list_init(&ch->questions);
	list_init(&ch->in_fills);
	list_init(&ch->in_unconfirmed);
	list_init(&ch->in_lingering);
	list_init(&ch->in_timed);
	list_add_tail(&ch->shard->channels, &ch->in_shard);
	ch->shard->channel_count++;
	htab_add(&e->channels, &ch->node);
	e->rooms += engine_is_room(name);
	return ch;
}

/* What was to be asked once it is confirmed may be asked. */
static void end_waiting(struct heard_channel *ch) {
	list_remove(&ch->in_unconfirmed);
	list_splice_tail(&ch->shard->waiting, &ch->questions);
}

static void channel_free(struct engine *e, struct heard_channel *ch) {
	end_waiting(ch);
	questions_unfence(ch);
	if (ch->fill != NULL)
		ch->fill->channel = NULL;
	redis_channel_fini(&ch->hearing);
	list_remove(&ch->in_shard);
	list_remove(&ch->in_fills);
	list_remove(&ch->in_lingering);
	list_remove(&ch->in_timed);
	ch->shard->channel_count--;
	htab_remove(&e->channels, &ch->node);
	e->rooms -= engine_is_room(heard_channel_name(ch));
	mem_free(ch);
}

void hearing_subscribe(struct engine *e, struct slice channel, void *interest) {
	struct heard_channel *ch = hearing_find(e, channel);

	if (ch == NULL) {
		ch = channel_new(e, channel);
		redis_server_subscribe(ch->shard->server, channel);
		if (redis_server_is_listening(ch->shard->server))
			list_add_tail(&e->unconfirmed, &ch->in_unconfirmed);
	}
	ch->interest = interest;
	list_remove(&ch->in_lingering);
}

void hearing_unsubscribe(struct engine *e, struct slice channel) {
	struct heard_channel *ch = hearing_find(e, channel);

	if (ch == NULL)
		return;
	ch->interest = NULL;
	ch->since_ms = e->now_ms;
	list_add_tail(&e->lingering, &ch->in_lingering);
}

static void end_lingering(struct engine *e) {
	while (!list_is_empty(&e->lingering)) {
		struct heard_channel *ch = list_entry(e->lingering.next, struct heard_channel, in_lingering);

		if (e->now_ms < ch->since_ms + LINGER_MS)
			return;
		redis_server_unsubscribe(ch->shard->server, heard_channel_name(ch));
		channel_free(e, ch);
	}
}

static void end_patience(struct engine *e) {
	while (!list_is_empty(&e->unconfirmed)) {
		struct heard_channel *ch = list_entry(e->unconfirmed.next, struct heard_channel, in_unconfirmed);

		if (e->now_ms < ch->since_ms + CONFIRM_MS)
			return;
		end_waiting(ch);
	}
}

/* --- what is heard --- */

void hearing_attend(struct heard_channel *ch) {
	struct engine *e = ch->shard->engine;

	if (!list_is_linked(&ch->in_fills) && redis_channel_needs_fill(&ch->hearing))
		list_add_tail(&ch->shard->fills, &ch->in_fills);
	if (!list_is_linked(&ch->in_fills) && !list_is_linked(&ch->in_timed) && redis_channel_due_ms(&ch->hearing) != UINT64_MAX)
		list_add_tail(&e->timed, &ch->in_timed);
}

void hearing_on_subscribed(struct shard *s, struct slice channel) {
	struct heard_channel *ch = hearing_find(s->engine, channel);

	if (ch == NULL)
		return;
	end_waiting(ch);
	redis_channel_confirmed(&ch->hearing);
	hearing_attend(ch);
}

void hearing_on_message(struct shard *s, struct slice channel, struct slice payload) {
	struct heard_channel *ch = hearing_find(s->engine, channel);
	struct redis_payload p;

	if (ch == NULL || !redis_payload_read(payload, &p))
		return;
	redis_channel_heard(&ch->hearing, &p);
	hearing_attend(ch);
}

void hearing_on_deaf(struct shard *s) {
	list_for_each(it, &s->channels)
		end_waiting(list_entry(it, struct heard_channel, in_shard));
}

void hearing_on_generation(struct shard *s) {
	list_for_each(it, &s->channels) {
		struct heard_channel *ch = list_entry(it, struct heard_channel, in_shard);

		redis_channel_confirmed(&ch->hearing);
		hearing_attend(ch);
	}
}

/* --- fills --- */

/* Payloads of a list, those that can be read. Returns owned. */
static struct redis_payload *read_payloads(const struct redis_reply *list, size_t *count) {
	size_t n = redis_reply_count(list);
	struct redis_payload *found = mem_alloc((n + 1) * sizeof(*found));

	*count = 0;
	for (size_t i = 0; i < n; i++) {
		if (redis_payload_read(redis_reply_text(redis_reply_at(list, i)), &found[*count]))
			(*count)++;
	}
	return found;
}

/* An answer has epoch, offset and payloads of publications, then the same of who is there. */
static bool take_fill(struct redis_channel *hearing, const struct redis_reply *reply) {
	struct redis_position top[REDIS_LANES];

	for (size_t i = 0; i < REDIS_LANES; i++) {
		if (!redis_position_set(&top[i], redis_reply_text(redis_reply_at(reply, 3 * i)),
			redis_reply_number(redis_reply_at(reply, 3 * i + 1))))
			return false;
	}
	for (size_t i = 0; i < REDIS_LANES; i++) {
		size_t count;
		struct redis_payload *found = read_payloads(redis_reply_at(reply, 3 * i + 2), &count);

		redis_channel_filled(hearing, (enum redis_lane_kind)i, &top[i], found, count);
		mem_free(found);
	}
	redis_channel_fill_end(hearing);
	return true;
}

static void on_filled(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct fill *f = arg;
	struct shard *s = f->shard;
	struct heard_channel *ch = f->channel;

	list_remove(&f->in_shard);
	s->fill_count--;
	mem_free(f);
	if (ch != NULL)
		ch->fill = NULL;
	if (outcome != REDIS_DONE || (ch != NULL && !take_fill(&ch->hearing, reply))) {
		s->fills_from_ms = s->engine->now_ms + PAUSE_MS;
		if (ch != NULL)
			redis_channel_fill_failed(&ch->hearing);
	}
	if (ch != NULL)
		hearing_attend(ch);
}

static void ask_fill(struct shard *s, struct heard_channel *ch) {
	struct redis_args *a = &s->engine->args;
	struct fill *f = mem_zalloc(sizeof(*f));
	struct redis_fill question;

	redis_channel_fill_begin(&ch->hearing, &question);
	f->shard = s;
	f->channel = ch;
	ch->fill = f;
	list_add_tail(&s->fills_under_way, &f->in_shard);
	s->fill_count++;
	redis_args_keys(a, "mswv", heard_channel_name(ch));
	redis_args_add(a, slice_text(question.from[REDIS_LANE_PUBLICATIONS].epoch));
	redis_args_number(a, question.from[REDIS_LANE_PUBLICATIONS].number);
	redis_args_number(a, question.time_ms);
	redis_args_add(a, slice_text(question.from[REDIS_LANE_WHO].epoch));
	redis_args_number(a, question.from[REDIS_LANE_WHO].number);
	redis_args_number(a, FILL_LIMIT);
	redis_args_number(a, s->engine->limits.reply_max_bytes);
	redis_args_number(a, engine_history_bounds(&s->engine->limits, heard_channel_name(ch)).age_ms);
	redis_args_call(a, s->server, REDIS_SCRIPT_fill, on_filled, f);
}

static void send_fills(struct shard *s) {
	if (s->engine->now_ms < s->fills_from_ms)
		return;
	while (!list_is_empty(&s->fills) && s->fill_count < FILLS_MAX) {
		struct heard_channel *ch = list_entry(s->fills.next, struct heard_channel, in_fills);

		list_remove(&ch->in_fills);
		if (redis_channel_needs_fill(&ch->hearing))
			ask_fill(s, ch);
	}
}

/* --- tops --- */

static void take_top(struct engine *e, struct slice name, const struct redis_reply *reply, size_t at) {
	struct heard_channel *ch = hearing_find(e, name);
	struct redis_position top[REDIS_LANES];

	for (size_t i = 0; i < REDIS_LANES; i++) {
		if (!redis_position_set(&top[i], redis_reply_text(redis_reply_at(reply, at + 2 * i)),
			redis_reply_number(redis_reply_at(reply, at + 2 * i + 1))))
			return;
	}
	if (ch == NULL)
		return;
	redis_channel_tops(&ch->hearing, top);
	hearing_attend(ch);
}

static void on_tops(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct tops *t = arg;
	struct wire_reader names = wire_reader_of(buf_slice(&t->names));

	t->shard->tops_count--;
	if (outcome == REDIS_DONE && redis_reply_count(reply) == 2 * REDIS_LANES * t->count) {
		for (size_t i = 0; i < t->count; i++)
			take_top(t->shard->engine, wire_get_str8(&names), reply, 2 * REDIS_LANES * i);
	}
	buf_fini(&t->names);
	mem_free(t);
}

/* The next in its row, which goes to the end of it. */
static struct heard_channel *next_in_row(struct shard *s) {
	struct heard_channel *ch = list_entry(s->channels.next, struct heard_channel, in_shard);
	struct engine *e = s->engine;

	list_remove(&ch->in_shard);
	list_add_tail(&s->channels, &ch->in_shard);
	if (e->toplist.left > 0 && s == &e->shards[e->toplist_shard]) {
		const struct redis_position *at = &ch->hearing.lane[REDIS_LANE_PUBLICATIONS].at;

		toplist_show(&e->toplist, &(struct ipc_channel){ heard_channel_name(ch), slice_text(at->epoch), at->number, ch->member_count });
		e->toplist.left--;
	}
	return ch;
}

static void ask_tops(struct shard *s) {
	size_t count = s->channel_count < TOPS_BATCH ? s->channel_count : TOPS_BATCH;
	struct redis_args *a = &s->engine->args;
	struct tops *t = mem_zalloc(sizeof(*t));

	t->shard = s;
	t->count = count;
	buf_init(&t->names, TOPS_BATCH * (IPC_CHANNEL_MAX + 1));
	while (count-- > 0) {
		const struct heard_channel *ch = next_in_row(s);

		redis_args_keys(a, "mw", heard_channel_name(ch));
		wire_put_str8(&t->names, heard_channel_name(ch));
	}
	redis_args_number(a, META_LIVES_MS);
	s->tops_count++;
	redis_args_call(a, s->server, REDIS_SCRIPT_tops, on_tops, t);
}

/* Batches are spread over the period. */
static void send_tops(struct shard *s) {
	uint64_t batches = (s->channel_count + TOPS_BATCH - 1) / TOPS_BATCH, now = s->engine->now_ms;

	if (now > s->tops_ms + TOPS_PERIOD_MS)
		s->tops_ms = now;
	while (batches > 0 && now >= s->tops_ms && s->tops_count < TOPS_MAX) {
		s->tops_ms += TOPS_PERIOD_MS / batches > 0 ? TOPS_PERIOD_MS / batches : 1;
		ask_tops(s);
	}
}

void hearing_send(struct shard *s) {
	if (!redis_server_is_up(s->server))
		return;
	send_fills(s);
	send_tops(s);
}

/* --- the largest --- */

void hearing_top_rooms(struct engine *e, struct ticket t, const struct ipc_top_rooms *m) {
	if (!toplist_ask(&e->toplist, t, m))
		e->events->channel_list(e->arg, t, &(struct ipc_channel_list){ .result = IPC_UNAVAILABLE });
}

/* One shard after the other. Channels that go meanwhile make the end of its row come sooner: then some are shown twice. */
void hearing_show_some(struct engine *e) {
	size_t room = TOP_STEP;

	if (!toplist_is_asked(&e->toplist))
		return;
	if (!e->toplist.has_begun) {
		e->toplist.has_begun = true;
		e->toplist_shard = 0;
		e->toplist.left = e->shards[0].channel_count;
	}
	for (; room > 0 && e->toplist.left > 0 && e->shards[e->toplist_shard].channel_count > 0; room--)
		next_in_row(&e->shards[e->toplist_shard]);
	if (room > 0 && ++e->toplist_shard < e->shard_count) {
		e->toplist.left = e->shards[e->toplist_shard].channel_count;
	} else if (room > 0) {
		e->toplist.left = e->toplist_shard = 0;
		toplist_answer(&e->toplist, e->events, e->arg, e->limits.reply_max_bytes);
	}
	if (toplist_is_asked(&e->toplist))
		evloop_do_not_wait(e->loop);
}

/* --- time --- */

/* What waits for pub/sub must not be given up because we have not read it: a turn counts for STEP_MS, however long it took. */
static void advance(struct engine *e) {
	uint64_t passed = e->now_ms - e->hold.now_ms;

	e->hold.now_ms += passed < STEP_MS ? passed : STEP_MS;
	e->hold.wall_ms = e->wall_ms;
}

void hearing_tick(struct engine *e) {
	struct list now;

	advance(e);
	end_lingering(e);
	end_patience(e);
	list_init(&now);
	list_splice_tail(&now, &e->timed);
	while (!list_is_empty(&now)) {
		struct heard_channel *ch = list_entry(now.next, struct heard_channel, in_timed);

		list_remove(&ch->in_timed);
		if (e->hold.now_ms >= redis_channel_due_ms(&ch->hearing))
			redis_channel_tick(&ch->hearing);
		hearing_attend(ch);
	}
}

bool hearing_needs_pulse(const struct engine *e) {
	return !list_is_empty(&e->timed) || !list_is_empty(&e->unconfirmed);
}

void hearing_init(struct engine *e) {
	htab_init(&e->channels, channel_key);
	list_init(&e->lingering);
	list_init(&e->unconfirmed);
	list_init(&e->timed);
	toplist_init(&e->toplist);
	e->hold = (struct redis_hold){ .ops = &channel_ops, .arg = e, .now_ms = e->now_ms, .wall_ms = e->wall_ms,
		.bytes_max = HOLD_BYTES_MAX, .channel_bytes_max = HOLD_CHANNEL_BYTES_MAX };
}

void hearing_fini(struct engine *e) {
	for (size_t i = 0; i < e->shard_count; i++) {
		struct list *channels = &e->shards[i].channels;

		while (!list_is_empty(channels))
			channel_free(e, list_entry(channels->next, struct heard_channel, in_shard));
	}
	toplist_fini(&e->toplist);
	htab_fini(&e->channels);
}
