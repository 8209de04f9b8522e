/*
 * last_positions - where channels stood of which nothing else is known any more
 *
 * Does:      remembers epoch and offset of a channel that was forgotten, so that whoever comes back to it and has missed nothing is told so;
 *            bounded by age and number, the oldest go first.
 * Does not:  know names, only their hashes: who finds another channel's position there is told that what he missed is not known, nothing worse.
 */
#ifndef BROKER_LAST_POSITIONS_H
#define BROKER_LAST_POSITIONS_H

#include "common/base/htab.h"

enum { ENGINE_EPOCH_LEN = 8 };

struct position {
	uint64_t offset;	/* of the last publication */
	char epoch[ENGINE_EPOCH_LEN];
};

struct last_positions {
	struct htab by_hash;
	struct position_block *oldest, *newest;	/* owned; NULL: none */
	size_t count, count_max;	/* with those that were taken back, until it would be their turn to go */
	uint64_t age_ms;
};

void last_positions_init(struct last_positions *l, size_t bytes_max, uint64_t age_ms);
void last_positions_fini(struct last_positions *l);
/* hash: htab_hash() of the channel's name, which is not remembered yet. */
void last_positions_add(struct last_positions *l, uint64_t hash, const struct position *p, uint64_t now_ms);
/* Takes it back: the channel is there again. False: not known, or not any more. */
bool last_positions_take(struct last_positions *l, uint64_t hash, struct position *out, uint64_t now_ms) MUST_CHECK;
/* Drops what is too old, some thousands at most: the rest follows next time. */
void last_positions_expire(struct last_positions *l, uint64_t now_ms);

#endif
