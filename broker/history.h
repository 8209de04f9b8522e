/*
 * history - the latest publications of each channel
 *
 * Does:      keeps publications in the order of their offsets, bounded per channel by count, bytes and age, and over all channels
 *            by bytes; the oldest go first.
 * Does not:  number, deliver, or know the clock (the time is an argument that never goes backwards).
 * Lifetime:  struct history_store is embedded by the engine, struct history by each channel.
 */
#ifndef BROKER_HISTORY_H
#define BROKER_HISTORY_H

#include "broker/engine.h"
#include "common/base/list.h"

/* One kept publication; owned by the store. */
struct history_entry {
	struct list in_all;
	struct history *owner;
	uint64_t expires_ms;
	uint64_t offset, time_ms;
	struct rcbuf *shared;	/* owned: a large publication as it came; NULL: it is in data */
	uint32_t len;
	uint8_t kind;
	uint8_t key[IPC_KEY_BYTES];
	uint8_t data[];
};

/* What an entry counts for besides its data: never less than its record in an answer needs. */
enum { HISTORY_ENTRY_BYTES = sizeof(struct history_entry) + 24 };

/* Of one channel: a ring of entries, offsets rising, perhaps with holes. */
struct history {
	struct history_entry **ring;
	uint32_t first, count, cap;	/* cap: 0 or a power of two */
	uint32_t owner_bytes;
	size_t bytes;		/* of the entries */
};

struct history_store {
	struct history_bounds bounds;	/* of each channel */
	size_t total_max;
	struct list all;	/* entries of all channels, oldest first */
	size_t count, bytes;	/* bytes: with rings and owners, so that many channels with little in them are bounded too */
};

/* total_max: bytes of all channels. */
void history_store_init(struct history_store *s, struct history_bounds bounds, size_t total_max);
/* owner_bytes: what the channel itself takes in memory; it counts as history while it has some. */
void history_init(struct history *h, size_t owner_bytes);
void history_fini(struct history_store *s, struct history *h);
/* Something is added soon. */
void history_prefetch(const struct history_store *s, const struct history *h);
/* Copies, or shares what is large and lies in a counted buffer; p->offset is above all before it. Not kept when larger than all history may be, or when memory is out: a hole. */
void history_add(struct history_store *s, struct history *h, const struct ipc_publication *p, uint64_t now_ms);
/* Drops what is too old, some thousands at most: the rest follows next time. */
void history_expire(struct history_store *s, uint64_t now_ms);
/* Index of the first entry above `offset`; h->count when there is none. */
uint32_t history_index_after(const struct history *h, uint64_t offset);
/* i < h->count; borrowed until something is added or expires. */
const struct history_entry *history_at(const struct history *h, uint32_t i);
/* Appends entry i as a record of an answer. */
void history_put(const struct history *h, uint32_t i, struct buf *out);

#endif
