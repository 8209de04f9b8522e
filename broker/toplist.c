/* toplist - the channels with most members, found in one round over all channels */
#include "broker/toplist.h"

#include "common/base/buf.h"
#include "common/base/ids.h"
#include "common/base/mem.h"

struct found {
	uint64_t offset;
	uint32_t members;
	uint8_t name_len, epoch_len;
	uint8_t name[IPC_CHANNEL_MAX];
	uint8_t epoch[EPOCH_TEXT_MAX];
};

struct top {
	struct list link;
	struct ticket ticket;
	size_t limit, count;
	struct found *found;	/* owned */
	size_t prefix_len;
	uint8_t prefix[];
};

void toplist_init(struct toplist *ts) {
	*ts = (struct toplist){ .count = 0 };
	list_init(&ts->waiting);
}

static struct top *first_of(const struct toplist *ts) {
	return list_entry(ts->waiting.next, struct top, link);
}

static void drop_first(struct toplist *ts) {
	struct top *t = first_of(ts);

	list_remove(&t->link);
	ts->count--;
	ts->has_begun = false;
	mem_free(t->found);
	mem_free(t);
}

void toplist_fini(struct toplist *ts) {
	while (toplist_is_asked(ts))
		drop_first(ts);
}

bool toplist_ask(struct toplist *ts, struct ticket ticket, const struct ipc_top_rooms *m) {
	struct top *t;

	if (ts->count == TOP_WAITING_MAX)
		return false;
	t = mem_zalloc(sizeof(*t) + m->prefix.len);
	t->ticket = ticket;
	t->limit = m->limit < TOP_LIMIT_MAX ? m->limit : TOP_LIMIT_MAX;
	t->found = mem_alloc((t->limit + 1) * sizeof(t->found[0]));
	t->prefix_len = m->prefix.len;
	if (m->prefix.len > 0)
		memcpy(t->prefix, m->prefix.ptr, m->prefix.len);
	list_add_tail(&ts->waiting, &t->link);
	ts->count++;
	return true;
}

/* --- of the channels that are shown the largest --- */

static struct slice name_of(const struct found *f) {
	return slice_of(f->name, f->name_len);
}

static int compare_names(struct slice a, struct slice b) {
	int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* The larger one first; of equal ones, by their names. */
static int compare(const void *left, const void *right) {
	const struct found *a = left, *b = right;

	if (a->members != b->members)
		return a->members < b->members ? 1 : -1;
	return compare_names(name_of(a), name_of(b));
}

static bool is_asked_for(const struct top *t, const struct ipc_channel *ch) {
	return ch->member_count > 0 && ch->channel.len <= IPC_CHANNEL_MAX && ch->epoch.len <= EPOCH_TEXT_MAX && t->limit > 0 &&
	    ch->channel.len >= t->prefix_len && memcmp(ch->channel.ptr, t->prefix, t->prefix_len) == 0;
}

/* Kept in order, so that the last one has to give way. Few are larger than that, in a round over many. */
static void insert(struct top *t, const struct found *f) {
	size_t at = t->count;

	while (at > 0 && compare(f, &t->found[at - 1]) < 0)
		at--;
	memmove(&t->found[at + 1], &t->found[at], (t->count - at) * sizeof(*f));
	t->found[at] = *f;
	t->count += t->count < t->limit;
}

static void forget(struct top *t, struct slice name) {
	for (size_t i = 0; i < t->count; i++) {
		if (slice_eq(name_of(&t->found[i]), name)) {
			t->count--;
			memmove(&t->found[i], &t->found[i + 1], (t->count - i) * sizeof(t->found[0]));
			return;
		}
	}
}

/* Most of many are too small, or as large as others that stand before them. */
static bool is_too_small(const struct top *t, const struct ipc_channel *ch) {
	const struct found *last = t->count == t->limit ? &t->found[t->count - 1] : NULL;

	return last != NULL && (ch->member_count < last->members ||
				   (ch->member_count == last->members && compare_names(ch->channel, name_of(last)) > 0));
}

void toplist_show(struct toplist *ts, const struct ipc_channel *ch) {
	struct top *t = first_of(ts);
	struct found f;

	if (!is_asked_for(t, ch) || is_too_small(t, ch))
		return;
	f.offset = ch->offset;
	f.members = ch->member_count;
	f.name_len = (uint8_t)ch->channel.len;
	f.epoch_len = (uint8_t)ch->epoch.len;
	memcpy(f.name, ch->channel.ptr, ch->channel.len);
	if (ch->epoch.len > 0)
		memcpy(f.epoch, ch->epoch.ptr, ch->epoch.len);
	forget(t, ch->channel);
	insert(t, &f);
}

void toplist_answer(struct toplist *ts, const struct engine_events *events, void *arg, size_t room) {
	const struct top *t = first_of(ts);
	struct ipc_channel_list list = { .result = IPC_OK };
	struct buf channels;

	buf_init(&channels, room);
	for (size_t i = 0; i < t->count && channels.max - channels.len > 2 * IPC_CHANNEL_MAX; i++) {
		const struct found *f = &t->found[i];

		ipc_put_channel(&channels, &(struct ipc_channel){ name_of(f), slice_of(f->epoch, f->epoch_len), f->offset, f->members });
	}
	list.channels = buf_slice(&channels);
	events->channel_list(arg, t->ticket, &list);
	buf_fini(&channels);
	drop_first(ts);
}
