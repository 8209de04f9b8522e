/* history - the latest publications of each channel, in rings */
#include "broker/history.h"

#include "common/base/mem.h"
#include "common/svc/stats.h"

enum { RING_START = 4, EXPIRE_MAX = 4096 };

void history_store_init(struct history_store *s, struct history_bounds bounds, size_t total_max) {
	*s = (struct history_store){ .bounds = bounds, .total_max = total_max };
	list_init(&s->all);
}

void history_init(struct history *h, size_t owner_bytes) {
	*h = (struct history){ .owner_bytes = (uint32_t)owner_bytes };
}

static size_t ring_bytes(uint32_t cap) {
	return cap * sizeof(struct history_entry *);
}

static struct history_entry **slot_of(const struct history *h, uint32_t i) {
	return &h->ring[(h->first + i) & (h->cap - 1)];
}

/* With what stood around the publication in the message of the link. */
static size_t shared_bytes(const struct rcbuf *r) {
	return r->whole != NULL ? r->whole->cap : r->cap;
}

static void entry_free(struct history_entry *e) {
	rcbuf_unref(&e->shared);
	mem_free(e);
}

static void drop_oldest(struct history_store *s, struct history *h) {
	struct history_entry *e = *slot_of(h, 0);
	size_t bytes = HISTORY_ENTRY_BYTES + (e->shared != NULL ? shared_bytes(e->shared) : e->len);

	h->first = (h->first + 1) & (h->cap - 1);
	h->count--;
	h->bytes -= bytes;
	s->count--;
	s->bytes -= bytes;
	list_remove(&e->in_all);
	entry_free(e);
	if (h->count == 0) {
		s->bytes -= h->owner_bytes + ring_bytes(h->cap);
		mem_free(h->ring);
		history_init(h, h->owner_bytes);
	}
}

void history_fini(struct history_store *s, struct history *h) {
	while (h->count > 0)
		drop_oldest(s, h);
}

static uint32_t next_cap(const struct history *h) {
	return h->cap == 0 ? RING_START : 2 * h->cap;
}

/* What one entry more takes beside itself. */
static size_t extra_bytes(const struct history *h) {
	if (h->count < h->cap)
		return 0;
	return ring_bytes(next_cap(h)) - ring_bytes(h->cap) + (h->count == 0 ? h->owner_bytes : 0);
}

static void ring_grow(struct history *h) {
	uint32_t cap = next_cap(h);
	struct history_entry **ring = mem_alloc(ring_bytes(cap));

	for (uint32_t i = 0; i < h->count; i++)
		ring[i] = *slot_of(h, i);
	mem_free(h->ring);
	h->ring = ring;
	h->first = 0;
	h->cap = cap;
}

static bool is_shared(const struct ipc_publication *p) {
	return p->data_in != NULL && p->data.len >= IPC_BULK_BYTES;
}

static struct history_entry *entry_new(const struct ipc_publication *p) {
	struct history_entry *e = mem_try_alloc(sizeof(*e) + (is_shared(p) ? 0 : p->data.len));

	if (e == NULL)
		return NULL;
	e->shared = is_shared(p) ? rcbuf_part(p->data_in, p->data) : NULL;
	e->offset = p->offset;
	e->time_ms = p->time_ms;
	e->kind = p->kind;
	e->len = (uint32_t)p->data.len;
	memcpy(e->key, p->key, IPC_KEY_BYTES);
	if (e->shared == NULL && e->len > 0)
		memcpy(e->data, p->data.ptr, e->len);
	return e;
}

/* The oldest of all may be of any channel; within a channel it is that one's oldest, because time does not go backwards. */
static void drop_oldest_of_all(struct history_store *s) {
	const struct list *oldest = s->all.next;

	/* When all there may be is there, there is one of them for each that is added, each anywhere in memory. */
	if (oldest->next != &s->all) {
		__builtin_prefetch(oldest->next->next);
		__builtin_prefetch(list_entry(oldest->next, struct history_entry, in_all)->owner);
	}
	drop_oldest(s, list_entry(oldest, struct history_entry, in_all)->owner);
}

static void make_room(struct history_store *s, struct history *h, size_t bytes) {
	while (h->count > 0 && h->count >= s->bounds.count)
		drop_oldest(s, h);
	/* The newest is kept even if it is larger than that alone: else a client that missed just this one could not recover. */
	while (h->count > 0 && h->bytes + bytes > s->bounds.bytes) {
		drop_oldest(s, h);
		stat_add(STAT_history_dropped, 1);
	}
	while (s->bytes + bytes + extra_bytes(h) > s->total_max) {
		drop_oldest_of_all(s);
		stat_add(STAT_history_dropped, 1);
	}
}

void history_prefetch(const struct history_store *s, const struct history *h) {
	if (h->count > 0 && h->count >= s->bounds.count)
		__builtin_prefetch(*slot_of(h, 0));
}

void history_add(struct history_store *s, struct history *h, const struct ipc_publication *p, uint64_t now_ms) {
	size_t bytes = HISTORY_ENTRY_BYTES + (is_shared(p) ? shared_bytes(p->data_in) : p->data.len);
	struct history_entry *e = NULL;

	if (s->bounds.count == 0)
		return;
	if (bytes + h->owner_bytes + ring_bytes(RING_START) <= s->total_max)
		e = entry_new(p);
	if (e == NULL) {
		stat_add(STAT_history_dropped, 1);
		return;
	}
	make_room(s, h, bytes);
	s->bytes += extra_bytes(h);
	if (h->count == h->cap)
		ring_grow(h);
	e->owner = h;
	e->expires_ms = now_ms + s->bounds.age_ms;
	h->count++;
	*slot_of(h, h->count - 1) = e;
	h->bytes += bytes;
	s->count++;
	s->bytes += bytes;
	list_add_tail(&s->all, &e->in_all);
}

void history_expire(struct history_store *s, uint64_t now_ms) {
	for (unsigned n = 0; n < EXPIRE_MAX && !list_is_empty(&s->all); n++) {
		if (list_entry(s->all.next, struct history_entry, in_all)->expires_ms > now_ms)
			return;
		drop_oldest_of_all(s);
	}
}

uint32_t history_index_after(const struct history *h, uint64_t offset) {
	uint32_t low = 0, high = h->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (history_at(h, middle)->offset > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

const struct history_entry *history_at(const struct history *h, uint32_t i) {
	BUG_ON(i >= h->count);
	return *slot_of(h, i);
}

void history_put(const struct history *h, uint32_t i, struct buf *out) {
	const struct history_entry *e = history_at(h, i);
	struct ipc_publication p = { .offset = e->offset, .time_ms = e->time_ms, .kind = e->kind };

	memcpy(p.key, e->key, IPC_KEY_BYTES);
	p.data = e->shared != NULL ? rcbuf_slice(e->shared) : slice_of(e->data, e->len);
	ipc_put_publication(out, &p);
}
