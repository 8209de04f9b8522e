/*
 * limit_table - clients by their hash, in memory that several processes change at once and in which any of them may die
 *
 * Set-associative: a hash has its place in one of WAYS neighbouring entries. An entry is a key and a body: a word per rate, a word per
 * sanction, and per holding a counter for each seat, which only the process in that seat writes.
 *
 * Keys. The upper 54 bits are the hash's, the lower ten say who is about to do what:
 *   live                  can be found
 *   going, by a seat      can be found and kept: that seat looks whether it may be evicted
 *   coming, by a seat     cannot be found: that seat looks whether it is the only one of its hash
 *   busy, by a seat       no hash: that seat writes the body
 *   free                  no hash
 * free -> busy -> coming -> live -> going -> live or busy. Coming goes to live by its seat alone, and to free by anybody.
 *
 * Pins. What is not held is pinned while something is done to it; each seat has at most one pin. Whoever pins says so first and looks at
 * the key then; whoever evicts says "going" first and looks at the pins and counters then: one of the two sees the other.
 * So: counters, rates and sanctions change only in entries that are held or pinned, and those are never evicted; what is busy or
 * coming has no counter that is not zero.
 *
 * Does not: know clocks, addresses, users, limits.
 */
#ifndef SERVER_LIMITS_LIMIT_TABLE_H
#define SERVER_LIMITS_LIMIT_TABLE_H

#include <stdatomic.h>

#include "server/limits/limits.h"

enum { LIMIT_TABLE_WAYS = 32, LIMIT_TABLE_SEATS_MAX = 511 };
#define LIMIT_TABLE_NONE UINT32_MAX

/* The lower bits of a key with a hash: 0 (live), or one of these and a seat. Without a hash: 0 (free), or BUSY and a seat. */
enum { LIMIT_MARK_MASK = 1023, LIMIT_GOING = 1, LIMIT_COMING = 512, LIMIT_BUSY = 1 };

/* A process's own, in a line of its own. */
struct limit_seat {
	_Alignas(64) _Atomic uint32_t pin;	/* an entry and 1; 0: none */
	_Atomic uint32_t connections;
};

/* Of the mapping's start. */
struct limit_common {
	_Alignas(64) _Atomic uint64_t handshakes;	/* gcra */
	_Atomic uint64_t row;				/* gcra, too: of those who were refused one */
	_Atomic uint64_t curious;			/* and of those who only ask whether they could have one */
	_Alignas(64) _Atomic uint64_t uncounted;
	_Atomic uint64_t sanctions;			/* ever said: with none, nobody is looked for */
};

/* A process's view. */
struct limit_table {
	void *map;
	size_t bytes;
	struct limit_common *common;
	struct limit_seat *seats;	/* [seat_count] */
	_Atomic uint64_t *keys;		/* [entries] */
	uint8_t *bodies;		/* [entries], of body_bytes each */
	size_t body_bytes;
	uint32_t entries;		/* a multiple of LIMIT_TABLE_WAYS */
	uint32_t seat_count;
	uint32_t seat;			/* of this process */
};

/* Two clocks: the monotonic one of the rates, and that of the sanctions. */
struct limit_now {
	uint64_t ms;
	uint64_t wall_ds;		/* tenths of seconds since 1970 */
};

/* At least so many entries. False: no memory. */
bool limit_table_init(struct limit_table *t, uint32_t entries, uint32_t seats, struct errbuf *e) MUST_CHECK;
/* Unmaps it in this process. */
void limit_table_fini(struct limit_table *t);
void limit_table_clear_seat(struct limit_table *t, uint32_t seat);

/* The entry, or LIMIT_TABLE_NONE. It may be another's a moment later, unless this process holds it: see limit_table_is(). */
uint32_t limit_table_find(const struct limit_table *t, uint64_t hash);
bool limit_table_is(const struct limit_table *t, uint32_t at, uint64_t hash);
/* Finds or makes the entry and pins it. LIMIT_TABLE_NONE: there is no room. */
uint32_t limit_table_pin(struct limit_table *t, uint64_t hash, const struct limit_now *now) MUST_CHECK;
void limit_table_unpin(struct limit_table *t);

/* The rest: of an entry that is held or pinned. */
_Atomic uint64_t *limit_table_rate(const struct limit_table *t, uint32_t at, enum limit_rate rate);
_Atomic uint64_t *limit_table_sanction(const struct limit_table *t, uint32_t at, enum limit_sanction what);
/* One more for this seat, unless all seats together would then have more than `most` (0: no bound). */
bool limit_table_hold(struct limit_table *t, uint32_t at, enum limit_holding what, uint32_t most) MUST_CHECK;
void limit_table_drop(struct limit_table *t, uint32_t at, enum limit_holding what);
/* Of all seats. */
uint32_t limit_table_sum(const struct limit_table *t, uint32_t at, enum limit_holding what);

/* A sanction's word: until when (seconds since 1970), and when that was said. */
static inline uint64_t limit_sanction_word(uint32_t until_s, uint64_t stamp_ds) {
	return (uint64_t)until_s << 32 | (uint32_t)stamp_ds;
}
static inline uint32_t limit_sanction_until(uint64_t word) {
	return (uint32_t)(word >> 32);
}
/* By how much `ds` is later than the word was said; negative: earlier. Both within 6 years. */
static inline int32_t limit_sanction_age(uint64_t word, uint64_t ds) {
	return (int32_t)((uint32_t)ds - (uint32_t)word);
}

#endif
