/* redis_questions - snapshots, history and lists of members: asked when their server takes calls, answered by their deadline */
#include "broker/redis_parts.h"

#include "common/base/mem.h"

enum question_kind { QUESTION_READ = 0, QUESTION_HISTORY, QUESTION_MEMBERS };

/*
 *   waiting --server up--> under way --answer--> (fenced: waits for its channel) --> answered, freed
 *      ^                      |
 *      +------ refused, lost -+         At the deadline the asker is answered; what is under way is freed when it comes back.
 */
struct question {
	struct list in_all, in_waiting;
	struct engine *engine;
	struct shard *shard;
	struct ticket ticket;
	uint64_t start_ms;
	struct redis_fence fence;	/* linked while it is under way or waits, if the channel is heard */
	enum question_kind kind;
	bool is_under_way;
	bool is_told;	/* the asker has an answer: it only waits for its call */
	bool is_news;	/* asked for what is new in another epoch than the asker's */
	uint8_t flags;	/* of the question */
	uint64_t offset;	/* or the number after which members are listed */
	uint32_t limit, member_limit;
	/* The answer, kept until the fence is through. */
	struct ipc_snapshot snapshot;
	struct buf publications, members;
	char epoch[EPOCH_TEXT_MAX + 1];
	char news_epoch[EPOCH_TEXT_MAX + 1];	/* in which news were asked for */
	size_t channel_len, text_len;
	uint8_t bytes[];	/* channel; epoch, or the member after whom members are listed */
};

static struct slice channel_of(const struct question *q) {
	return slice_of(q->bytes, q->channel_len);
}

static struct slice text_of(const struct question *q) {
	return slice_of(q->bytes + q->channel_len, q->text_len);
}

static void question_free(struct question *q) {
	list_remove(&q->in_all);
	list_remove(&q->in_waiting);
	buf_fini(&q->publications);
	buf_fini(&q->members);
	mem_free(q);
}

/* --- answers --- */

static void tell_snapshot(struct question *q) {
	struct engine *e = q->engine;

	q->snapshot.channel = channel_of(q);
	e->events->snapshot(e->arg, q->ticket, &q->snapshot);
}

static void tell_unavailable(struct question *q) {
	struct ipc_member_list list = { .result = IPC_UNAVAILABLE };

	q->is_told = true;
	if (q->kind == QUESTION_MEMBERS) {
		q->engine->events->member_list(q->engine->arg, q->ticket, &list);
		return;
	}
	q->snapshot = (struct ipc_snapshot){ .flags = IPC_SNAPSHOT_UNAVAILABLE };
	tell_snapshot(q);
}

/* Returns how many. */
static size_t put_publications(const struct redis_reply *list, struct buf *out) {
	size_t count = redis_reply_count(list);

	for (size_t i = 0; i < count; i++) {
		struct redis_payload p;
		struct ipc_publication kept;

		if (!redis_payload_read(redis_reply_text(redis_reply_at(list, i)), &p) || p.type != REDIS_PUBLICATION)
			continue;
		kept = (struct ipc_publication){ .offset = p.offset, .time_ms = p.time_ms, .kind = p.kind, .data = p.data };
		memcpy(kept.key, p.key, IPC_KEY_BYTES);
		ipc_put_publication(out, &kept);
	}
	return count;
}

/* Of {number, member, info, ..}: as many as there is room for. True: that was all. */
static bool put_members(const struct redis_reply *list, struct buf *out) {
	for (size_t i = 0; i + 2 < redis_reply_count(list); i += 3) {
		struct ipc_member m = { redis_reply_number(redis_reply_at(list, i)), redis_reply_text(redis_reply_at(list, i + 1)),
			redis_reply_text(redis_reply_at(list, i + 2)) };

		/* Its number, and the lengths before its texts. */
		if (out->max - out->len < m.member.len + m.info.len + 14)
			return false;
		ipc_put_member(out, &m);
	}
	return true;
}

enum { READ_RECOVERED = 1, READ_MORE = 2 };

/* Who subscribes gets all that was missed, or nothing; who reads history gets it by pages. */
static void take_publications(struct question *q, const struct redis_reply *reply) {
	uint64_t flags = redis_reply_number(redis_reply_at(reply, 2));
	size_t count = put_publications(redis_reply_at(reply, 3), &q->publications);
	bool is_whole = flags == READ_RECOVERED && q->offset + count == q->snapshot.offset;

	if (q->kind == QUESTION_HISTORY) {
		if ((flags & READ_RECOVERED) != 0 && (q->flags & IPC_SINCE) != 0)
			q->snapshot.flags |= IPC_SNAPSHOT_RECOVERED;
		if ((flags & READ_MORE) != 0)
			q->snapshot.flags |= IPC_SNAPSHOT_MORE;
		return;
	}
	if (is_whole && !q->is_news)
		q->snapshot.flags |= IPC_SNAPSHOT_RECOVERED;
	else if (q->is_news && (flags & READ_MORE) == 0 && slice_eq(q->snapshot.epoch, slice_text(q->news_epoch)))
		q->snapshot.flags |= IPC_SNAPSHOT_NEWS;
	else
		buf_reset(&q->publications);
}

static void note_member_count(const struct question *q) {
	struct heard_channel *ch = hearing_find(q->engine, channel_of(q));

	if (ch != NULL)
		ch->member_count = q->snapshot.member_count;
}

/* {epoch, offset, flags, {payload..}, life, event number, member count, {number, member, info, ..}} */
static bool take_read(struct question *q, const struct redis_reply *reply) {
	struct redis_position *top = q->fence.top;
	size_t room = q->engine->limits.reply_max_bytes;

	if (redis_reply_count(reply) != 8 ||
	    !redis_position_set(&top[REDIS_LANE_PUBLICATIONS], redis_reply_text(redis_reply_at(reply, 0)),
		redis_reply_number(redis_reply_at(reply, 1))) ||
	    !redis_position_set(&top[REDIS_LANE_WHO], redis_reply_text(redis_reply_at(reply, 4)),
		redis_reply_number(redis_reply_at(reply, 5))))
		return false;
	memcpy(q->epoch, top[REDIS_LANE_PUBLICATIONS].epoch, sizeof(q->epoch));
	q->snapshot = (struct ipc_snapshot){ .epoch = slice_text(q->epoch), .offset = top[REDIS_LANE_PUBLICATIONS].number };
	buf_init(&q->publications, room);
	take_publications(q, reply);
	if (q->publications.failed)
		return false;
	buf_init(&q->members, room - q->publications.len);
	(void)put_members(redis_reply_at(reply, 7), &q->members);
	q->snapshot.publications = buf_slice(&q->publications);
	q->snapshot.member_count = (uint32_t)redis_reply_number(redis_reply_at(reply, 6));
	q->snapshot.members = buf_slice(&q->members);
	note_member_count(q);
	return true;
}

/* {member count, more, {number, member, info, ..}} */
static void tell_members(struct question *q, const struct redis_reply *reply) {
	struct ipc_member_list list = { .member_count = (uint32_t)redis_reply_number(redis_reply_at(reply, 0)) };

	buf_init(&q->members, q->engine->limits.reply_max_bytes);
	list.more = !put_members(redis_reply_at(reply, 2), &q->members) || redis_reply_number(redis_reply_at(reply, 1)) != 0;
	list.members = buf_slice(&q->members);
	q->engine->events->member_list(q->engine->arg, q->ticket, &list);
}

void questions_on_released(void *engine UNUSED, struct redis_fence *f) {
	struct question *q = container_of(f, struct question, fence);

	tell_snapshot(q);
	question_free(q);
}

/* --- fences --- */

/* The channel goes on without it. */
static void leave_channel(struct question *q) {
	struct heard_channel *ch = hearing_find(q->engine, channel_of(q));

	if (!list_is_linked(&q->fence.in_channel))
		return;
	BUG_ON(ch == NULL);
	redis_channel_fence_lost(&ch->hearing, &q->fence);
	hearing_attend(ch);
}

static void tell_through_channel(struct question *q) {
	struct heard_channel *ch = hearing_find(q->engine, channel_of(q));

	if (!list_is_linked(&q->fence.in_channel)) {
		tell_snapshot(q);
		question_free(q);
		return;
	}
	BUG_ON(ch == NULL);
	redis_channel_fence_answered(&ch->hearing, &q->fence);
	hearing_attend(ch);
}

void questions_unfence(struct heard_channel *ch) {
	while (!list_is_empty(&ch->hearing.fences)) {
		struct question *q = container_of(ch->hearing.fences.next, struct question, fence.in_channel);

		redis_channel_fence_lost(&ch->hearing, &q->fence);
		if (q->fence.is_answered) {
			tell_snapshot(q);
			question_free(q);
		}
	}
}

/* --- asking --- */

static void wait_again(struct question *q) {
	leave_channel(q);
	if (q->is_told) {
		question_free(q);
		return;
	}
	q->shard->questions_from_ms = q->engine->now_ms + PAUSE_MS;
	list_add_tail(&q->shard->waiting, &q->in_waiting);
}

static void on_answer(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct question *q = arg;

	q->is_under_way = false;
	if (outcome != REDIS_DONE) {
		wait_again(q);
	} else if (q->is_told) {
		question_free(q);
	} else if (q->kind == QUESTION_MEMBERS) {
		tell_members(q, reply);
		question_free(q);
	} else if (take_read(q, reply)) {
		tell_through_channel(q);
	} else {
		leave_channel(q);
		tell_unavailable(q);
		question_free(q);
	}
}

static void ask_members(struct question *q) {
	struct redis_args *a = &q->engine->args;

	redis_args_keys(a, "wz", channel_of(q));
	redis_args_number(a, q->offset);
	redis_args_add(a, text_of(q));
	redis_args_number(a, q->limit);
	redis_args_number(a, q->engine->limits.reply_max_bytes);
	redis_args_call(a, q->shard->server, REDIS_SCRIPT_members, on_answer, q);
}

/* What is asked for since a position in the epoch that the channel had before: what was news then. */
static bool asks_for_news(const struct question *q, const struct heard_channel *ch) {
	return q->kind == QUESTION_READ && (q->flags & IPC_SINCE) != 0 && ch->hearing.old_epoch[0] != '\0' &&
	    slice_eq(text_of(q), slice_text(ch->hearing.old_epoch));
}

static void add_range(struct redis_args *a, struct question *q, const struct heard_channel *ch) {
	const struct redis_channel *hearing = ch != NULL ? &ch->hearing : NULL;

	q->is_news = ch != NULL && asks_for_news(q, ch);
	if (q->is_news) {
		q->offset = hearing->news_from;
		memcpy(q->news_epoch, hearing->lane[REDIS_LANE_PUBLICATIONS].at.epoch, sizeof(q->news_epoch));
		redis_args_add(a, slice_text("since"));
		redis_args_add(a, slice_text(q->news_epoch));
	} else if ((q->flags & IPC_SINCE) != 0) {
		redis_args_add(a, slice_text("since"));
		redis_args_add(a, text_of(q));
	} else {
		redis_args_add(a, slice_text(q->kind == QUESTION_HISTORY ? "before" : "none"));
		redis_args_add(a, text_of(q));
	}
	redis_args_number(a, q->offset);
}

static void ask_read(struct question *q) {
	struct heard_channel *ch = hearing_find(q->engine, channel_of(q));
	const struct engine_limits *limits = &q->engine->limits;
	struct redis_args *a = &q->engine->args;

	redis_args_keys(a, "mswz", channel_of(q));
	if ((q->flags & IPC_WANT_DELIVER) != 0)
		redis_args_key(a, 'n', SLICE_EMPTY);
	add_range(a, q, ch);
	redis_args_number(a, q->limit);
	redis_args_number(a, limits->reply_max_bytes);
	redis_args_number(a, engine_history_bounds(limits, channel_of(q)).age_ms);
	redis_args_number(a, q->member_limit);
	redis_args_number(a, limits->reply_max_bytes);
	if ((q->flags & IPC_WANT_DELIVER) != 0) {
		/* Who is on a channel has an epoch to come back with, even if nothing was published there yet. */
		redis_args_add(a, redis_epochs_next(&q->engine->epochs));
		redis_args_add(a, channel_of(q));
		redis_args_number(a, META_LIVES_MS);
	}
	if (ch != NULL)
		redis_channel_fence(&ch->hearing, &q->fence);
	redis_args_call(a, q->shard->server, REDIS_SCRIPT_read, on_answer, q);
}

static bool may_ask(const struct shard *s) {
	return redis_server_is_up(s->server) && s->engine->now_ms >= s->questions_from_ms;
}

static void ask(struct question *q) {
	list_remove(&q->in_waiting);
	q->is_under_way = true;
	if (q->kind == QUESTION_MEMBERS)
		ask_members(q);
	else
		ask_read(q);
}

void questions_send(struct shard *s) {
	while (!list_is_empty(&s->waiting) && may_ask(s))
		ask(list_entry(s->waiting.next, struct question, in_waiting));
}

/* A snapshot that is read before its subscription stands would have to be filled behind. Else at once: whoever says behind it that he
 * is there arrives behind the snapshot. */
static void begin(struct question *q) {
	struct heard_channel *ch = hearing_find(q->engine, channel_of(q));

	if (q->kind == QUESTION_READ && ch != NULL && list_is_linked(&ch->in_unconfirmed))
		list_add_tail(&ch->questions, &q->in_waiting);
	else if (may_ask(q->shard))
		ask(q);
	else
		list_add_tail(&q->shard->waiting, &q->in_waiting);
}

/* --- questions --- */

static struct question *question_new(struct engine *e, struct ticket t, enum question_kind kind, struct slice channel, struct slice text) {
	struct question *q = mem_zalloc(sizeof(*q) + channel.len + text.len);

	q->engine = e;
	q->shard = engine_shard(e, channel);
	q->ticket = t;
	q->kind = kind;
	q->start_ms = e->now_ms;
	q->channel_len = channel.len;
	q->text_len = text.len;
	memcpy(q->bytes, channel.ptr, channel.len);
	if (text.len > 0)
		memcpy(q->bytes + channel.len, text.ptr, text.len);
	redis_fence_init(&q->fence);
	list_init(&q->in_waiting);
	list_add_tail(&e->questions, &q->in_all);
	return q;
}

void questions_read(struct engine *e, struct ticket t, const struct ipc_subscribe *m) {
	struct question *q = question_new(e, t, QUESTION_READ, m->channel, m->epoch);

	q->flags = m->flags;
	q->offset = m->offset;
	q->limit = m->limit;
	q->member_limit = m->member_limit;
	begin(q);
}

void questions_history(struct engine *e, struct ticket t, const struct ipc_history *m) {
	struct question *q = question_new(e, t, QUESTION_HISTORY, m->channel, m->epoch);

	q->flags = m->flags & (IPC_SINCE | IPC_BEFORE);
	q->offset = m->offset;
	q->limit = m->limit;
	begin(q);
}

void questions_members(struct engine *e, struct ticket t, const struct ipc_members *m) {
	struct question *q = question_new(e, t, QUESTION_MEMBERS, m->channel, m->after);

	q->offset = m->after_number;
	q->limit = m->limit;
	begin(q);
}

/* --- deadlines --- */

void questions_tick(struct engine *e) {
	uint64_t wait_ms = (uint64_t)e->config->redis_wait_ms;

	while (!list_is_empty(&e->questions)) {
		struct question *q = list_entry(e->questions.next, struct question, in_all);

		if (e->now_ms < q->start_ms + wait_ms)
			return;
		/* May let others out, who were behind it on its channel. */
		leave_channel(q);
		tell_unavailable(q);
		list_remove(&q->in_all);
		if (q->is_under_way)
			list_add_tail(&e->late_questions, &q->in_all);
		else
			question_free(q);
	}
}

static void free_all(struct list *questions) {
	while (!list_is_empty(questions))
		question_free(list_entry(questions->next, struct question, in_all));
}

void questions_init(struct engine *e) {
	list_init(&e->questions);
	list_init(&e->late_questions);
}

void questions_fini(struct engine *e) {
	free_all(&e->questions);
	free_all(&e->late_questions);
}
