/* redis_presence_members - the members of this host that have to do with Redis, and those who wait for them */
#include "broker/redis_presence_parts.h"
#include "common/base/mem.h"

enum {
	ID_BYTES = sizeof(uint64_t),
	WAIT_MIN_MS = 500,	/* who does not want to wait for a Redis in trouble still has to hear a healthy one's answer */
};

struct slice redis_entry_name(const struct entry *e) {
	return slice_of(e->bytes + ID_BYTES, e->name_len);
}

struct slice redis_entry_channel(const struct entry *e) {
	return slice_of(e->channel->name, e->channel->name_len);
}

struct slice redis_entry_key(const struct htab_node *node) {
	const struct entry *e = htab_entry(node, const struct entry, node);

	return slice_of(e->bytes, ID_BYTES + (size_t)e->name_len);
}

struct slice redis_entry_channel_key(const struct htab_node *node) {
	const struct channel *ch = htab_entry(node, const struct channel, node);

	return slice_of(ch->name, ch->name_len);
}

/* Being there is having a user id, not being in a channel. */
static bool is_own_of_hubs(const struct channel *ch) {
	return ch->name_len > 0 && ch->name[0] == '$';
}

uint32_t redis_entry_members_max(const struct redis_presence *p, const struct entry *e) {
	return e->is_kept || is_own_of_hubs(e->channel) ? 0 : p->settings.members_max;
}

/* --- shards and channels --- */

struct shard *redis_shard_find_or_new(struct redis_presence *p, struct redis_server *server) {
	struct shard *s;

	list_for_each(it, &p->shards) {
		s = list_entry(it, struct shard, link);
		if (s->server == server)
			return s;
	}
	s = mem_zalloc(sizeof(*s));
	s->presence = p;
	s->server = server;
	list_init(&s->settled);
	list_init(&s->fresh);
	list_init(&s->bulk);
	list_init(&s->paused);
	list_init(&s->taken);
	list_add_tail(&p->shards, &s->link);
	return s;
}

void redis_shard_free(struct shard *s) {
	list_remove(&s->link);
	mem_free(s->generation);
	mem_free(s);
}

static struct channel *channel_find(const struct redis_presence *p, struct slice name) {
	struct htab_node *node = htab_find(&p->channels, name);

	return node != NULL ? htab_entry(node, struct channel, node) : NULL;
}

static struct channel *channel_find_or_new(struct redis_presence *p, struct slice name) {
	struct channel *ch = channel_find(p, name);

	if (ch != NULL)
		return ch;
	ch = mem_zalloc(sizeof(*ch) + name.len);
	ch->shard = redis_shard_find_or_new(p, p->ops.server_of(p->arg, name));
	presence_init(&ch->presence, p->next_channel_id++);
	ch->name_len = (uint32_t)name.len;
	if (name.len > 0)
		memcpy(ch->name, name.ptr, name.len);
	htab_add(&p->channels, &ch->node);
	return ch;
}

static void channel_free_if_empty(struct redis_presence *p, struct channel *ch) {
	if (ch->entry_count > 0)
		return;
	presence_fini(&p->store, &ch->presence);
	htab_remove(&p->channels, &ch->node);
	mem_free(ch);
}

/* --- entries --- */

static struct entry *entry_find(const struct redis_presence *p, uint64_t channel_id, struct slice member) {
	uint8_t key[ID_BYTES + PRESENCE_NAME_MAX];
	struct htab_node *node;

	if (member.len == 0 || member.len > PRESENCE_NAME_MAX)
		return NULL;
	memcpy(key, &channel_id, ID_BYTES);
	memcpy(key + ID_BYTES, member.ptr, member.len);
	node = htab_find(&p->entries, slice_of(key, ID_BYTES + member.len));
	return node != NULL ? htab_entry(node, struct entry, node) : NULL;
}

struct entry *redis_entry_find(const struct redis_presence *p, struct slice channel, struct slice member) {
	const struct channel *ch = channel_find(p, channel);

	return ch != NULL ? entry_find(p, ch->presence.channel_id, member) : NULL;
}

static struct entry *entry_new(struct redis_presence *p, struct channel *ch, struct slice member) {
	struct entry *e = mem_try_realloc(NULL, sizeof(*e) + ID_BYTES + member.len);

	if (e == NULL)
		return NULL;
	*e = (struct entry){ .channel = ch, .name_len = (uint16_t)member.len };
	list_init(&e->link);
	list_init(&e->waiters);
	memcpy(e->bytes, &ch->presence.channel_id, ID_BYTES);
	memcpy(e->bytes + ID_BYTES, member.ptr, member.len);
	htab_add(&p->entries, &e->node);
	ch->entry_count++;
	return e;
}

struct entry *redis_entry_find_or_new(struct redis_presence *p, struct slice channel, struct slice member) {
	struct channel *ch;
	struct entry *e;

	if (member.len == 0 || member.len > PRESENCE_NAME_MAX)
		return NULL;
	ch = channel_find_or_new(p, channel);
	e = entry_find(p, ch->presence.channel_id, member);
	if (e == NULL)
		e = entry_new(p, ch, member);
	if (e == NULL)
		channel_free_if_empty(p, ch);
	return e;
}

void redis_entry_free(struct redis_presence *p, struct entry *e) {
	struct channel *ch = e->channel;

	list_remove(&e->link);
	htab_remove(&p->entries, &e->node);
	mem_free(e);
	ch->entry_count--;
	channel_free_if_empty(p, ch);
}

void redis_entry_place(struct entry *e) {
	struct shard *s = e->channel->shard;

	list_remove(&e->link);
	if (e->call != CALL_NONE)
		return;
	if (!list_is_empty(&e->waiters))
		list_add_tail(&s->fresh, &e->link);
	else if (e->has_left || (e->is_wanted && e->known != KNOWN_IN))
		list_add_tail(&s->bulk, &e->link);
	else
		list_add_tail(e->is_wanted ? &s->settled : &s->presence->gone, &e->link);
}

void redis_entry_begin_stay(struct redis_presence *p, struct entry *e, uint8_t flags) {
	e->is_wanted = true;
	e->is_kept = false;
	e->is_silent = (flags & IPC_RESYNC) != 0;
	p->users += is_own_of_hubs(e->channel);
}

/* Who still waits had asked for a connection that is gone, too. */
void redis_entry_on_left(struct presence *presence, struct slice member, struct slice info UNUSED, void *arg) {
	struct redis_presence *p = arg;
	struct entry *e = entry_find(p, presence->channel_id, member);

	BUG_ON(e == NULL);	/* there as long as it is wanted */
	e->is_wanted = false;
	e->has_left = e->known != KNOWN_OUT || e->call == CALL_ENTER;
	p->users -= is_own_of_hubs(e->channel);
	redis_entry_answer_all(p, e, IPC_UNAVAILABLE, false);
	redis_entry_place(e);
}

/* --- those who wait --- */

void redis_entry_answer(struct redis_presence *p, const struct entry *e, struct ticket t, enum ipc_result result, bool is_new) {
	struct ipc_member_result r = { .result = (uint8_t)result, .is_new = is_new };

	if (t.request == 0)
		return;
	if (e != NULL) {
		const struct channel *ch = e->channel;

		r.member_count = ch->member_count > ch->presence.count ? ch->member_count : ch->presence.count;
	}
	p->ops.member_result(p->arg, t, &r);
}

void redis_entry_wait(struct redis_presence *p, struct entry *e, struct ticket t, uint64_t holder) {
	struct waiter *w = mem_alloc(sizeof(*w));

	w->entry = e;
	w->ticket = t;
	w->holder = holder;
	w->until_ms = p->now_ms + (p->settings.wait_ms > WAIT_MIN_MS ? p->settings.wait_ms : WAIT_MIN_MS);
	list_add_tail(&p->waiters, &w->in_all);
	list_add_tail(&e->waiters, &w->in_entry);
}

static void waiter_end(struct redis_presence *p, struct waiter *w, enum ipc_result result, bool is_new) {
	list_remove(&w->in_entry);
	list_remove(&w->in_all);
	redis_entry_answer(p, w->entry, w->ticket, result, is_new);
	mem_free(w);
}

void redis_entry_answer_all(struct redis_presence *p, struct entry *e, enum ipc_result result, bool is_new) {
	for (; !list_is_empty(&e->waiters); is_new = false)
		waiter_end(p, list_entry(e->waiters.next, struct waiter, in_entry), result, is_new);
}

/* Whose connection has gone meanwhile takes another one's back, who then is told. */
static void waiter_refuse(struct redis_presence *p, struct waiter *w, enum ipc_result result) {
	struct entry *e = w->entry;
	uint64_t holder = w->holder;

	waiter_end(p, w, result, false);
	presence_remove(&p->store, &e->channel->presence, holder, redis_entry_name(e), 0, p->now_ms);
}

void redis_entry_refuse_all(struct redis_presence *p, struct entry *e, enum ipc_result result) {
	struct list refused;

	list_init(&refused);
	list_splice_tail(&refused, &e->waiters);
	while (!list_is_empty(&refused))
		waiter_refuse(p, list_entry(refused.next, struct waiter, in_entry), result);
}

void redis_waiters_expire(struct redis_presence *p) {
	while (!list_is_empty(&p->waiters)) {
		struct waiter *w = list_entry(p->waiters.next, struct waiter, in_all);

		if (w->until_ms > p->now_ms)
			return;
		waiter_refuse(p, w, IPC_UNAVAILABLE);
	}
}
