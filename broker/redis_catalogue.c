/* redis_catalogue - which channels there are: every server is asked for a page of its own, and the pages are merged */
#include "broker/redis_parts.h"

#include "common/base/mem.h"

enum part_state { PART_WAITING = 0, PART_UNDER_WAY, PART_DONE };

/* The page of one server. */
struct part {
	struct catalogue *catalogue;
	enum part_state state;
	uint64_t from_ms;	/* not asked before */
	bool has_more;
	struct buf channels;	/* ipc_channel records, sorted */
	struct slice rest;	/* not merged yet */
	struct ipc_channel next;
	bool has_next;
};

struct catalogue {
	struct list in_all;
	struct engine *engine;
	struct ticket ticket;
	uint64_t start_ms;
	uint32_t limit;
	size_t waiting, under_way;	/* of the parts */
	bool is_told;	/* at the deadline: it only waits for its calls */
	struct part *parts;	/* owned: one per shard */
	size_t prefix_len, after_len;
	uint8_t bytes[];	/* prefix, after */
};

static struct slice prefix_of(const struct catalogue *c) {
	return slice_of(c->bytes, c->prefix_len);
}

static struct slice after_of(const struct catalogue *c) {
	return slice_of(c->bytes + c->prefix_len, c->after_len);
}

static void catalogue_free(struct catalogue *c) {
	list_remove(&c->in_all);
	for (size_t i = 0; i < c->engine->shard_count; i++)
		buf_fini(&c->parts[i].channels);
	mem_free(c->parts);
	mem_free(c);
}

/* --- the answer --- */

static int compare_names(struct slice a, struct slice b) {
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* The part with the lowest name. NULL: nothing is left, or what one server has not told yet may be lower. */
static struct part *lowest(struct catalogue *c) {
	struct part *found = NULL;

	for (size_t i = 0; i < c->engine->shard_count; i++) {
		struct part *p = &c->parts[i];

		if (!p->has_next && p->has_more)
			return NULL;
		if (p->has_next && (found == NULL || compare_names(p->next.channel, found->next.channel) < 0))
			found = p;
	}
	return found;
}

static void tell(struct catalogue *c) {
	size_t room = c->engine->limits.reply_max_bytes;
	struct ipc_channel_list list = { .result = IPC_OK };
	struct buf merged;
	struct part *p;

	buf_init(&merged, room);
	for (size_t i = 0; i < c->engine->shard_count; i++) {
		c->parts[i].rest = buf_slice(&c->parts[i].channels);
		c->parts[i].has_next = ipc_next_channel(&c->parts[i].rest, &c->parts[i].next);
	}
	for (uint32_t n = 0; n < c->limit && room - merged.len > 2 * IPC_CHANNEL_MAX && (p = lowest(c)) != NULL; n++) {
		ipc_put_channel(&merged, &p->next);
		p->has_next = ipc_next_channel(&p->rest, &p->next);
	}
	for (size_t i = 0; i < c->engine->shard_count; i++)
		list.more |= c->parts[i].has_next || c->parts[i].has_more;
	list.channels = buf_slice(&merged);
	c->engine->events->channel_list(c->engine->arg, c->ticket, &list);
	buf_fini(&merged);
}

/* --- asking --- */

/* {more, {channel, epoch, offset, member count, ..}} */
static void take_part(struct part *p, const struct redis_reply *reply) {
	const struct redis_reply *list = redis_reply_at(reply, 1);

	p->has_more = redis_reply_number(redis_reply_at(reply, 0)) != 0;
	for (size_t i = 0; i + 3 < redis_reply_count(list); i += 4) {
		struct ipc_channel channel = { redis_reply_text(redis_reply_at(list, i)), redis_reply_text(redis_reply_at(list, i + 1)),
			redis_reply_number(redis_reply_at(list, i + 2)), (uint32_t)redis_reply_number(redis_reply_at(list, i + 3)) };

		if (channel.channel.len > IPC_CHANNEL_MAX || channel.epoch.len > EPOCH_TEXT_MAX)
			continue;
		if (p->channels.max - p->channels.len < 2 * IPC_CHANNEL_MAX) {
			p->has_more = true;
			return;
		}
		ipc_put_channel(&p->channels, &channel);
	}
}

static void on_answer(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	struct part *p = arg;
	struct catalogue *c = p->catalogue;

	c->under_way--;
	if (outcome == REDIS_DONE) {
		p->state = PART_DONE;
		take_part(p, reply);
	} else {
		p->state = PART_WAITING;
		p->from_ms = c->engine->now_ms + PAUSE_MS;
		c->waiting++;
	}
	if (c->under_way > 0 || (!c->is_told && c->waiting > 0))
		return;
	if (!c->is_told)
		tell(c);
	catalogue_free(c);
}

static void ask(struct engine *e, struct part *p, struct shard *s) {
	struct catalogue *c = p->catalogue;

	p->state = PART_UNDER_WAY;
	c->waiting--;
	c->under_way++;
	redis_args_key(&e->args, 'n', SLICE_EMPTY);
	redis_args_add(&e->args, prefix_of(c));
	redis_args_add(&e->args, after_of(c));
	redis_args_number(&e->args, c->limit);
	redis_args_add(&e->args, slice_text(e->config->redis_prefix));
	redis_args_call(&e->args, s->server, REDIS_SCRIPT_channels, on_answer, p);
}

void catalogue_send(struct engine *e) {
	list_for_each(it, &e->catalogues) {
		struct catalogue *c = list_entry(it, struct catalogue, in_all);

		for (size_t i = 0; i < e->shard_count && c->waiting > 0; i++) {
			struct part *p = &c->parts[i];

			if (p->state == PART_WAITING && e->now_ms >= p->from_ms && redis_server_is_up(e->shards[i].server))
				ask(e, p, &e->shards[i]);
		}
	}
}

void catalogue_ask(struct engine *e, struct ticket t, const struct ipc_channels *m) {
	struct catalogue *c = mem_zalloc(sizeof(*c) + m->prefix.len + m->after.len);

	c->engine = e;
	c->ticket = t;
	c->start_ms = e->now_ms;
	c->limit = m->limit;
	c->parts = mem_zalloc(e->shard_count * sizeof(*c->parts));
	c->waiting = e->shard_count;
	c->prefix_len = m->prefix.len;
	c->after_len = m->after.len;
	if (m->prefix.len > 0)
		memcpy(c->bytes, m->prefix.ptr, m->prefix.len);
	if (m->after.len > 0)
		memcpy(c->bytes + m->prefix.len, m->after.ptr, m->after.len);
	for (size_t i = 0; i < e->shard_count; i++) {
		c->parts[i].catalogue = c;
		buf_init(&c->parts[i].channels, e->limits.reply_max_bytes);
	}
	list_add_tail(&e->catalogues, &c->in_all);
}

/* --- life --- */

void catalogue_tick(struct engine *e) {
	static const struct ipc_channel_list unavailable = { .result = IPC_UNAVAILABLE };

	list_for_each_safe(it, &e->catalogues) {
		struct catalogue *c = list_entry(it, struct catalogue, in_all);
		struct ipc_channel_list list = unavailable;

		if (e->now_ms < c->start_ms + (uint64_t)e->config->redis_wait_ms)
			return;
		if (!c->is_told)
			e->events->channel_list(e->arg, c->ticket, &list);
		c->is_told = true;
		c->waiting = 0;
		if (c->under_way == 0)
			catalogue_free(c);
	}
}

void catalogue_init(struct engine *e) {
	list_init(&e->catalogues);
}

void catalogue_fini(struct engine *e) {
	while (!list_is_empty(&e->catalogues))
		catalogue_free(list_entry(e->catalogues.next, struct catalogue, in_all));
}
