/* limit_table - lookup, claim and eviction without locks */
#include "server/limits/limit_table.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "server/limits/gcra.h"

STATIC_ASSERT(LIMIT_GOING + LIMIT_TABLE_SEATS_MAX <= LIMIT_COMING && LIMIT_COMING + LIMIT_TABLE_SEATS_MAX <= LIMIT_MARK_MASK,
    "a mark has room for all seats");
/* Looks at a way before one gives up, and before somebody who is coming there is no longer waited for: he may be dead. */
enum { TRIES_MAX = 64, TRIES_PATIENT = 16 };
/* So long a sanction's end is remembered: news that are older than it may still be under way to other processes. */
enum { SANCTION_MEMORY_DS = 600 };
#define OWES_TOO_MUCH UINT64_MAX

static const uint64_t free_key = 0;

static uint64_t identity(uint64_t hash) {
	uint64_t id = hash & ~(uint64_t)LIMIT_MARK_MASK;

	return id != 0 ? id : (uint64_t)LIMIT_MARK_MASK + 1;
}

static bool has_identity(uint64_t key, uint64_t id) {
	return (key & ~(uint64_t)LIMIT_MARK_MASK) == id;
}

/* Live or going. */
static bool can_be_found(uint64_t key) {
	return key > LIMIT_MARK_MASK && (key & LIMIT_MARK_MASK) < LIMIT_COMING;
}

static uint32_t first_way(const struct limit_table *t, uint64_t hash) {
	uint64_t windows = t->entries / LIMIT_TABLE_WAYS;

	return (uint32_t)((hash & UINT32_MAX) * windows >> 32) * LIMIT_TABLE_WAYS;
}

/* --- the body --- */

enum { BODY_WORDS = LIMIT_RATES + LIMIT_SANCTIONS };

static _Atomic uint64_t *words_of(const struct limit_table *t, uint32_t at) {
	return (_Atomic uint64_t *)(void *)(t->bodies + (size_t)at * t->body_bytes);
}

static _Atomic uint32_t *counters_of(const struct limit_table *t, uint32_t at, enum limit_holding what) {
	uint8_t *counters = t->bodies + (size_t)at * t->body_bytes + BODY_WORDS * sizeof(uint64_t);

	return (_Atomic uint32_t *)(void *)counters + (size_t)what * t->seat_count;
}

_Atomic uint64_t *limit_table_rate(const struct limit_table *t, uint32_t at, enum limit_rate rate) {
	return words_of(t, at) + rate;
}

_Atomic uint64_t *limit_table_sanction(const struct limit_table *t, uint32_t at, enum limit_sanction what) {
	return words_of(t, at) + LIMIT_RATES + what;
}

uint32_t limit_table_sum(const struct limit_table *t, uint32_t at, enum limit_holding what) {
	const _Atomic uint32_t *counter = counters_of(t, at, what);
	uint32_t sum = 0;

	for (uint32_t i = 0; i < t->seat_count; i++)
		sum += atomic_load_explicit(&counter[i], memory_order_acquire);
	return sum;
}

/* The only writer: load and store instead of a locked add. */
static void add_own(_Atomic uint32_t *counter, uint32_t n) {
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_release);
}

bool limit_table_hold(struct limit_table *t, uint32_t at, enum limit_holding what, uint32_t most) {
	_Atomic uint32_t *own = counters_of(t, at, what) + t->seat;

	add_own(own, 1);
	if (most == 0)
		return true;
	/* Counted first, then looked: of two who meet at the bound at least one sees the other. */
	atomic_thread_fence(memory_order_seq_cst);
	if (limit_table_sum(t, at, what) <= most)
		return true;
	add_own(own, UINT32_MAX);
	return false;
}

void limit_table_drop(struct limit_table *t, uint32_t at, enum limit_holding what) {
	_Atomic uint32_t *own = counters_of(t, at, what) + t->seat;

	BUG_ON(atomic_load_explicit(own, memory_order_relaxed) == 0);
	add_own(own, UINT32_MAX);
}

/* --- eviction --- */

static bool is_held(const struct limit_table *t, uint32_t at) {
	/* The pins first: who holds from now on does it under one, and gives it up only then. */
	for (uint32_t i = 0; i < t->seat_count; i++) {
		if (atomic_load(&t->seats[i].pin) == at + 1)
			return true;
	}
	for (int what = 0; what < LIMIT_HOLDINGS; what++) {
		if (limit_table_sum(t, at, (enum limit_holding)what) != 0)
			return true;
	}
	return false;
}

static bool is_sanctioned(const struct limit_table *t, uint32_t at, const struct limit_now *now) {
	for (int what = 0; what < LIMIT_SANCTIONS; what++) {
		uint64_t word = atomic_load(limit_table_sanction(t, at, (enum limit_sanction)what));

		if (word != 0 && (limit_sanction_until(word) > now->wall_ds / 10 || limit_sanction_age(word, now->wall_ds) < SANCTION_MEMORY_DS))
			return true;
	}
	return false;
}

/* What would be forgotten with it, in nanoseconds that its client owes. */
static uint64_t worth(const struct limit_table *t, uint32_t at, const struct limit_now *now) {
	uint64_t most = 0;

	if (is_held(t, at) || is_sanctioned(t, at, now))
		return OWES_TOO_MUCH;
	for (int rate = 0; rate < LIMIT_RATES; rate++) {
		uint64_t owed = gcra_owed_ns(atomic_load_explicit(limit_table_rate(t, at, (enum limit_rate)rate), memory_order_relaxed), now->ms);

		if (owed > most)
			most = owed;
	}
	return most;
}

static bool evict(struct limit_table *t, uint32_t at, uint64_t key, const struct limit_now *now) {
	uint64_t going = key | (LIMIT_GOING + t->seat), expected = going;

	if (!atomic_compare_exchange_strong(&t->keys[at], &key, going))
		return false;
	if (!is_held(t, at) && !is_sanctioned(t, at, now))
		return atomic_compare_exchange_strong(&t->keys[at], &expected, LIMIT_BUSY + t->seat);
	/* Fails when somebody who pinned it has kept it: then that is done. */
	(void)atomic_compare_exchange_strong(&t->keys[at], &expected, key);
	return false;
}

/* Makes a way ours (busy): a free one, or the one that says least. *is_full: all of them have to stay. */
static uint32_t claim(struct limit_table *t, uint32_t first, const struct limit_now *now, bool *is_full) {
	uint64_t least = OWES_TOO_MUCH, victim_key = 0;
	uint32_t victim = LIMIT_TABLE_NONE;

	for (uint32_t at = first; at < first + LIMIT_TABLE_WAYS; at++) {
		uint64_t key = free_key;

		if (atomic_load(&t->keys[at]) == free_key && atomic_compare_exchange_strong(&t->keys[at], &key, LIMIT_BUSY + t->seat))
			return at;
	}
	for (uint32_t at = first; at < first + LIMIT_TABLE_WAYS && least > 0; at++) {
		uint64_t key = atomic_load(&t->keys[at]), owed;

		if (!can_be_found(key) || (key & LIMIT_MARK_MASK) != 0)
			continue;
		owed = worth(t, at, now);
		if (owed < least) {
			least = owed;
			victim = at;
			victim_key = key;
		}
	}
	*is_full = victim == LIMIT_TABLE_NONE;
	return !*is_full && evict(t, victim, victim_key, now) ? victim : LIMIT_TABLE_NONE;
}

/* --- coming --- */

/* Whether nobody else in the window has that identity or is coming with it. Of two who are coming the lower way stays. */
static bool is_alone(struct limit_table *t, uint32_t first, uint32_t own, uint64_t id) {
	for (uint32_t at = first; at < first + LIMIT_TABLE_WAYS; at++) {
		uint64_t key = atomic_load(&t->keys[at]);

		while (at != own && has_identity(key, id)) {
			if (can_be_found(key) || at < own)
				return false;
			if (atomic_compare_exchange_strong(&t->keys[at], &key, free_key))
				break;
		}
	}
	return true;
}

/* A way that is busy gets the identity. Everybody says first that he is coming and looks then who else is: the later of two sees
 * the earlier. Only who has looked himself becomes live, because a look is good for one coming. */
static void publish(struct limit_table *t, uint32_t first, uint32_t own, uint64_t id) {
	uint64_t coming = id | (LIMIT_COMING + t->seat);

	for (int i = 0; i < BODY_WORDS; i++)
		atomic_store_explicit(words_of(t, own) + i, 0, memory_order_relaxed);
	atomic_store(&t->keys[own], coming);
	/* Either may fail: somebody has ended our coming, and the way is no longer ours. */
	(void)atomic_compare_exchange_strong(&t->keys[own], &coming, is_alone(t, first, own, id) ? id : free_key);
}

/* --- lookup --- */

/* *coming: a way where somebody is coming with that identity. */
static uint32_t look(const struct limit_table *t, uint32_t first, uint64_t id, uint32_t *coming) {
	*coming = LIMIT_TABLE_NONE;
	for (uint32_t at = first; at < first + LIMIT_TABLE_WAYS; at++) {
		uint64_t key = atomic_load(&t->keys[at]);

		if (!has_identity(key, id))
			continue;
		if (can_be_found(key))
			return at;
		*coming = at;
	}
	return LIMIT_TABLE_NONE;
}

uint32_t limit_table_find(const struct limit_table *t, uint64_t hash) {
	uint32_t coming;

	return look(t, first_way(t, hash), identity(hash), &coming);
}

bool limit_table_is(const struct limit_table *t, uint32_t at, uint64_t hash) {
	uint64_t key = atomic_load(&t->keys[at]);

	return can_be_found(key) && has_identity(key, identity(hash));
}

/* False: it went before it was pinned. */
static bool pin(struct limit_table *t, uint32_t at, uint64_t id) {
	uint64_t key;

	atomic_store(&t->seats[t->seat].pin, at + 1);
	atomic_thread_fence(memory_order_seq_cst);
	key = atomic_load(&t->keys[at]);
	while (can_be_found(key) && has_identity(key, id)) {
		/* Whoever is about to evict it may have looked at the pins before: it is taken out of his hands. */
		if (key == id || atomic_compare_exchange_strong(&t->keys[at], &key, id))
			return true;
	}
	limit_table_unpin(t);
	return false;
}

void limit_table_unpin(struct limit_table *t) {
	atomic_store_explicit(&t->seats[t->seat].pin, 0, memory_order_release);
}

uint32_t limit_table_pin(struct limit_table *t, uint64_t hash, const struct limit_now *now) {
	uint32_t first = first_way(t, hash), at, coming;
	uint64_t id = identity(hash), key;
	bool is_full = false;

	for (int i = 0; i < TRIES_MAX && !is_full; i++) {
		at = look(t, first, id, &coming);
		if (at != LIMIT_TABLE_NONE && pin(t, at, id))
			return at;
		if (at != LIMIT_TABLE_NONE || (coming != LIMIT_TABLE_NONE && i < TRIES_PATIENT))
			continue;
		if (coming != LIMIT_TABLE_NONE) {
			key = atomic_load(&t->keys[coming]);
			if (has_identity(key, id) && !can_be_found(key))
				(void)atomic_compare_exchange_strong(&t->keys[coming], &key, free_key);
			continue;
		}
		at = claim(t, first, now, &is_full);
		if (at != LIMIT_TABLE_NONE)
			publish(t, first, at, id);
	}
	return LIMIT_TABLE_NONE;
}

/* --- the mapping --- */

static size_t lines(size_t bytes) {
	return (bytes + 63) / 64 * 64;
}

bool limit_table_init(struct limit_table *t, uint32_t entries, uint32_t seats, struct errbuf *e) {
	uint8_t *at;

	BUG_ON(seats == 0 || seats > LIMIT_TABLE_SEATS_MAX);
	*t = (struct limit_table){ .seat_count = seats };
	t->entries = (entries + LIMIT_TABLE_WAYS - 1) / LIMIT_TABLE_WAYS * LIMIT_TABLE_WAYS;
	t->body_bytes = BODY_WORDS * sizeof(uint64_t) + (size_t)LIMIT_HOLDINGS * seats * sizeof(uint32_t);
	t->bytes = sizeof(struct limit_common) + seats * sizeof(struct limit_seat) + lines(t->entries * sizeof(uint64_t)) + t->entries * t->body_bytes;
	t->map = mmap(NULL, t->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t->map == MAP_FAILED) {
		t->map = NULL;
		return errbuf_set(e, "no memory for %u limit_entries (%zu bytes): %s", t->entries, t->bytes, strerror(errno));
	}
	at = t->map;
	t->common = (struct limit_common *)(void *)at;
	at += sizeof(struct limit_common);
	t->seats = (struct limit_seat *)(void *)at;
	at += seats * sizeof(struct limit_seat);
	t->keys = (_Atomic uint64_t *)(void *)at;
	t->bodies = at + lines(t->entries * sizeof(uint64_t));
	return true;
}

void limit_table_fini(struct limit_table *t) {
	if (t->map != NULL)
		munmap(t->map, t->bytes);
	t->map = NULL;
}

/* A key that the seat has left in the middle of something. */
static void clear_key(_Atomic uint64_t *word, uint32_t seat) {
	uint64_t key = atomic_load(word), id = key & ~(uint64_t)LIMIT_MARK_MASK;

	if (key == LIMIT_BUSY + seat || (id != 0 && (key & LIMIT_MARK_MASK) == LIMIT_COMING + seat))
		(void)atomic_compare_exchange_strong(word, &key, free_key);
	else if (id != 0 && (key & LIMIT_MARK_MASK) == LIMIT_GOING + seat)
		(void)atomic_compare_exchange_strong(word, &key, id);
}

void limit_table_clear_seat(struct limit_table *t, uint32_t seat) {
	for (uint32_t at = 0; at < t->entries; at++) {
		clear_key(&t->keys[at], seat);
		/* Pages that nobody has touched stay so: others have no counters. */
		if (!can_be_found(atomic_load(&t->keys[at])))
			continue;
		for (int what = 0; what < LIMIT_HOLDINGS; what++)
			atomic_store(counters_of(t, at, (enum limit_holding)what) + seat, 0);
	}
	atomic_store(&t->seats[seat].connections, 0);
	atomic_store(&t->seats[seat].pin, 0);
}
