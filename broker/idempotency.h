/*
 * idempotency - the keys of publications that were accepted lately, and their offsets
 *
 * Does:      remembers (channel, key) -> offset; bounded over all channels by bytes and age, the oldest go first.
 * Does not:  keep the epoch: it is the channel's, who lives as long as one of its keys is remembered (`count`).
 */
#ifndef BROKER_IDEMPOTENCY_H
#define BROKER_IDEMPOTENCY_H

#include "broker/engine.h"
#include "common/base/htab.h"

/* Of one channel. Stays where it is. */
struct idempotency {
	uint32_t count;
	uint32_t owner_bytes;	/* what the channel takes; counts while there are keys, which keep it */
};

struct idempotency_store {
	struct htab keys;
	struct key_block *oldest, *newest;	/* owned; NULL: none */
	size_t bytes, bytes_max;
	uint64_t age_ms;
};

void idempotency_store_init(struct idempotency_store *s, const struct engine_limits *limits);
void idempotency_store_fini(struct idempotency_store *s);
/* All zeros is no key: not to be remembered. */
bool idempotency_is_key(const uint8_t key[IPC_KEY_BYTES]);
/* By which a key of a channel is found; channel_hash: htab_hash() of its name. */
uint64_t idempotency_hash(uint64_t channel_hash, const uint8_t key[IPC_KEY_BYTES]);
/* It is added soon. */
void idempotency_prefetch(const struct idempotency_store *s, uint64_t hash);
/* Remembers the key with *offset; false when it is known, *offset is then what it was remembered with. */
bool idempotency_add(struct idempotency_store *s, struct idempotency *i, uint64_t hash, const uint8_t key[IPC_KEY_BYTES], uint64_t *offset,
    uint64_t now_ms) MUST_CHECK;
void idempotency_expire(struct idempotency_store *s, uint64_t now_ms);

#endif
