/* redis_queue - publications on their way into one Redis server */
#include "broker/redis_queue.h"

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/svc/stats.h"

struct waiting {
	struct list in_queue;
	struct redis_queue *queue;
	struct ticket ticket;
	uint64_t deadline_ms;
	size_t size;
	uint32_t data_len;
	bool is_under_way;
	bool is_answered;	/* only its call is waited for */
	bool was_sent;
	bool may_be_done;	/* the answer of a call was lost */
	uint8_t kind, flags, channel_len;
	uint8_t key[IPC_KEY_BYTES];
	uint8_t bytes[];	/* channel, data */
};
STATIC_ASSERT(IPC_CHANNEL_MAX <= UINT8_MAX, "channel_len");

struct redis_queue {
	struct redis_queue_settings settings;
	struct redis_args args;
	struct list all;	/* in the order of coming, deadlines rising */
	struct list *next;	/* the first that is not under way; all itself: none */
	size_t bytes, under_way;
	uint64_t now_ms, pause_end_ms;
	uint64_t key_start, key_next;	/* of publications that came without one */
	bool is_up;
	bool is_stopped;	/* until none is under way */
	bool had_success;	/* since the last stop */
};

struct redis_queue *redis_queue_new(const struct redis_queue_settings *settings) {
	struct redis_queue *q = mem_zalloc(sizeof(*q));

	q->settings = *settings;
	q->had_success = true;
	redis_args_init(&q->args, settings->prefix, settings->call);
	list_init(&q->all);
	q->next = &q->all;
	random_bytes(&q->key_start, sizeof(q->key_start));
	q->key_next = 1;
	return q;
}

static struct slice channel_of(const struct waiting *w) {
	return slice_of(w->bytes, w->channel_len);
}

static void waiting_free(struct redis_queue *q, struct waiting *w) {
	if (q->next == &w->in_queue)
		q->next = w->in_queue.next;
	list_remove(&w->in_queue);
	q->bytes -= w->size;
	stat_sub(STAT_redis_waiting, 1);
	stat_sub(STAT_redis_queue_bytes, w->size);
	mem_free(w);
}

void redis_queue_free(struct redis_queue **qp) {
	struct redis_queue *q = *qp;

	if (q == NULL)
		return;
	*qp = NULL;
	BUG_ON(q->under_way > 0);
	while (!list_is_empty(&q->all))
		waiting_free(q, list_entry(q->all.next, struct waiting, in_queue));
	redis_args_fini(&q->args);
	mem_free(q);
}

static void answer(struct redis_queue *q, const struct waiting *w, enum ipc_result result, struct slice epoch, uint64_t offset) {
	q->settings.published(q->settings.arg, w->ticket, result, epoch, offset);
}

/* --- what comes --- */

static void make_key(struct redis_queue *q, uint8_t key[IPC_KEY_BYTES]) {
	static const uint8_t none[IPC_KEY_BYTES];

	if (memcmp(key, none, IPC_KEY_BYTES) != 0)
		return;
	memcpy(key, &q->key_start, sizeof(q->key_start));
	memcpy(key + sizeof(q->key_start), &q->key_next, sizeof(q->key_next));
	q->key_next++;
}

static struct waiting *waiting_new(struct redis_queue *q, struct ticket t, const struct ipc_publish *p, size_t size) {
	struct waiting *w = mem_zalloc(size);

	w->queue = q;
	w->ticket = t;
	w->size = size;
	w->data_len = (uint32_t)p->data.len;
	w->kind = p->kind;
	w->flags = p->flags;
	w->channel_len = (uint8_t)p->channel.len;
	memcpy(w->key, p->key, IPC_KEY_BYTES);
	make_key(q, w->key);
	memcpy(w->bytes, p->channel.ptr, p->channel.len);
	if (p->data.len > 0)
		memcpy(w->bytes + p->channel.len, p->data.ptr, p->data.len);
	return w;
}

void redis_queue_add(struct redis_queue *q, struct ticket t, const struct ipc_publish *p, uint64_t now_ms) {
	size_t size = sizeof(struct waiting) + p->channel.len + p->data.len;
	struct waiting *w;

	if (q->bytes + size > q->settings.bytes_max) {
		q->settings.published(q->settings.arg, t, IPC_UNAVAILABLE, SLICE_EMPTY, 0);
		return;
	}
	w = waiting_new(q, t, p, size);
	w->deadline_ms = now_ms + q->settings.wait_ms;
	list_add_tail(&q->all, &w->in_queue);
	if (q->next == &q->all)
		q->next = &w->in_queue;
	q->bytes += size;
	stat_add(STAT_redis_waiting, 1);
	stat_add(STAT_redis_queue_bytes, size);
}

/* --- what became of a call --- */

/* Those that are under way stand before those that are not, except behind a stop: then all but the answered ones go again. */
static void start_over(struct redis_queue *q) {
	q->is_stopped = false;
	q->next = q->all.next;
	q->pause_end_ms = q->had_success ? 0 : q->now_ms + REDIS_QUEUE_PAUSE_MS;
	q->had_success = false;
}

static void on_published(struct redis_queue *q, const struct waiting *w, const struct redis_reply *reply) {
	bool is_repeat = redis_reply_number(redis_reply_at(reply, 0)) != 0;
	struct slice epoch = redis_reply_text(redis_reply_at(reply, 1));
	uint64_t offset = redis_reply_number(redis_reply_at(reply, 2));

	q->had_success = true;
	if (w->is_answered)
		return;
	if (epoch.len == 0 || offset == 0) {
		/* Not an answer of this script: whatever it is that answers there. */
		answer(q, w, IPC_UNCERTAIN, SLICE_EMPTY, 0);
		return;
	}
	if (is_repeat && !w->may_be_done)
		stat_add(STAT_idempotency_hits, 1);
	answer(q, w, is_repeat && !w->may_be_done ? IPC_REPEATED : IPC_OK, epoch, offset);
}

static void on_outcome(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct waiting *w = arg;
	struct redis_queue *q = w->queue;

	w->is_under_way = false;
	q->under_way--;
	if (outcome == REDIS_DONE)
		on_published(q, w, reply);
	else
		q->is_stopped = true;
	if (outcome == REDIS_LOST)
		w->may_be_done = true;
	if (outcome == REDIS_DONE || w->is_answered)
		waiting_free(q, w);
	if (q->is_stopped && q->under_way == 0)
		start_over(q);
}

/* --- sending --- */

static void call(struct redis_queue *q, struct waiting *w) {
	struct slice channel = channel_of(w), key = slice_of(w->key, IPC_KEY_BYTES);
	struct history_bounds bounds = engine_history_bounds(&q->settings.limits, channel);
	struct redis_args *a = &q->args;

	redis_args_keys(a, "ms", channel);
	redis_args_key_of_publication(a, channel, key);
	redis_args_key(a, 'n', SLICE_EMPTY);
	redis_args_add(a, redis_epochs_next(q->settings.epochs));
	redis_args_add(a, channel);
	redis_args_add(a, key);
	redis_args_add(a, slice_of(&w->kind, 1));
	redis_args_add(a, slice_of(w->bytes + w->channel_len, w->data_len));
	redis_args_number(a, (w->flags & IPC_NO_HISTORY) == 0);
	redis_args_number(a, bounds.count);
	redis_args_number(a, bounds.bytes);
	redis_args_number(a, bounds.age_ms);
	redis_args_number(a, q->settings.limits.idempotency_ms);
	redis_args_pubsub(a, channel);
	if (w->was_sent)
		stat_add(STAT_redis_retries, 1);
	w->was_sent = w->is_under_way = true;
	q->under_way++;
	redis_args_call(a, q->settings.server, REDIS_SCRIPT_publish, on_outcome, w);
}

void redis_queue_send(struct redis_queue *q, uint64_t now_ms) {
	q->now_ms = now_ms;
	if (!q->is_up || q->is_stopped || now_ms < q->pause_end_ms)
		return;
	while (q->next != &q->all && q->under_way < REDIS_QUEUE_CALLS) {
		struct waiting *w = list_entry(q->next, struct waiting, in_queue);

		q->next = q->next->next;
		call(q, w);
	}
}

void redis_queue_set_up(struct redis_queue *q, bool is_up) {
	q->is_up = is_up;
	q->pause_end_ms = 0;
	q->had_success = true;
}

uint64_t redis_queue_due_ms(const struct redis_queue *q) {
	bool is_pausing = q->is_up && !q->is_stopped && q->next != &q->all && q->pause_end_ms > q->now_ms;

	return is_pausing ? q->pause_end_ms : UINT64_MAX;
}

/* --- deadlines --- */

void redis_queue_tick(struct redis_queue *q, uint64_t now_ms) {
	q->now_ms = now_ms;
	list_for_each_safe(it, &q->all) {
		struct waiting *w = list_entry(it, struct waiting, in_queue);

		if (now_ms < w->deadline_ms)
			return;
		if (!w->is_answered)
			answer(q, w, w->is_under_way || w->may_be_done ? IPC_UNCERTAIN : IPC_UNAVAILABLE, SLICE_EMPTY, 0);
		w->is_answered = true;
		if (!w->is_under_way)
			waiting_free(q, w);
	}
}
