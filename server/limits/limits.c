/* limits - who a client is, what the options allow him, and the sums for all */
#include "server/limits/limits.h"

#include <string.h>
#include <time.h>

#include "common/base/digest.h"
#include "common/base/htab.h"
#include "common/base/mem.h"
#include "server/limits/gcra.h"
#include "server/limits/limit_table.h"

enum { IPV6_NET_BYTES = 8, BYTES_BURST_SECONDS = 4, ROW_SECONDS = 30 };

enum kind { ADDRESS = 0, USER, KINDS };

struct limits {
	struct limit_table table;
	struct nets exempt;
	struct gcra rate[LIMIT_RATES];
	struct gcra handshakes, row;	/* row: of those who were refused one, and when it will be their turn */
	uint32_t connections_most[KINDS];
	uint32_t rooms_most;
	uint32_t host_most, worker_most;
	uint64_t secret[KINDS][2];	/* of the hashes: drawn before the first fork, never shared */
};

static uint64_t larger(int64_t a, int64_t b) {
	return (uint64_t)(a > b ? a : b);
}

static void read_settings(struct limits *l, const struct config *c) {
	int64_t message = (int64_t)larger(c->max_message_bytes, c->chat_message_bytes);
	/* And what the request costs that comes before. */
	uint64_t bytes_burst = larger(BYTES_BURST_SECONDS * c->bytes_per_second, message) + LIMIT_REQUEST_BYTES;

	l->rate[LIMIT_CONNECTS] = gcra_make((uint64_t)c->address_connects_per_second, 1, (uint64_t)c->address_connects_per_second);
	l->rate[LIMIT_MESSAGES] = gcra_make((uint64_t)c->messages_per_minute, 60, (uint64_t)c->messages_per_minute);
	l->rate[LIMIT_BYTES] = gcra_make((uint64_t)c->bytes_per_second, 1, bytes_burst);
	/* Who comes back joins all his rooms at once. */
	l->rate[LIMIT_JOINS] = gcra_make((uint64_t)c->joins_per_minute, 60, larger(c->joins_per_minute, c->client_channels));
	l->handshakes = gcra_make((uint64_t)c->handshakes_per_second, 1, (uint64_t)c->handshakes_per_second);
	l->row = gcra_make((uint64_t)c->handshakes_per_second, 1, (uint64_t)c->handshakes_per_second * ROW_SECONDS);
	l->connections_most[ADDRESS] = (uint32_t)c->address_connections;
	l->connections_most[USER] = (uint32_t)c->user_connections;
	l->rooms_most = (uint32_t)c->user_rooms;
	l->host_most = (uint32_t)c->max_connections;
	l->worker_most = (uint32_t)c->worker_connections;
}

struct limits *limits_new(const struct config *c, int seats, struct errbuf *e) {
	struct limits *l = mem_zalloc(sizeof(*l));

	BUG_ON(seats < 0);
	/* The last seat is that of processes without one, of which only one runs that sanctions. */
	if (!nets_init(&l->exempt, c->limit_exempt.item, c->limit_exempt.count, e) ||
	    !limit_table_init(&l->table, (uint32_t)c->limit_entries, (uint32_t)seats + 1, e)) {
		limits_free(&l);
		return NULL;
	}
	l->table.seat = (uint32_t)seats;
	random_bytes(l->secret, sizeof(l->secret));
	read_settings(l, c);
	return l;
}

static uint32_t seat_of(const struct limits *l, int seat) {
	BUG_ON(seat < LIMITS_NO_SEAT || seat >= (int)l->table.seat_count - 1);
	return seat == LIMITS_NO_SEAT ? l->table.seat_count - 1 : (uint32_t)seat;
}

void limits_sit(struct limits *l, int seat) {
	l->table.seat = seat_of(l, seat);
}

void limits_clear_seat(struct limits *l, int seat) {
	limit_table_clear_seat(&l->table, seat_of(l, seat));
}

void limits_free(struct limits **l) {
	if (*l == NULL)
		return;
	limit_table_fini(&(*l)->table);
	nets_fini(&(*l)->exempt);
	explicit_bzero((*l)->secret, sizeof((*l)->secret));
	mem_free(*l);
	*l = NULL;
}

/* --- who --- */

/* Addresses and users never meet: each has a key of its own. */
static uint64_t hash_user(const struct limits *l, struct slice user) {
	return htab_hash_with(l->secret[USER], user);
}

static uint64_t hash_address(const struct limits *l, const struct sock_peer *p) {
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	uint8_t who[1 + sizeof(p->ip)] = { p->is_unix != 0 };
	bool is_ipv4 = memcmp(p->ip, mapped, sizeof(mapped)) == 0;

	if (p->is_unix == 0)
		memcpy(who + 1, p->ip, is_ipv4 ? sizeof(p->ip) : IPV6_NET_BYTES);
	return htab_hash_with(l->secret[ADDRESS], slice_of(who, sizeof(who)));
}

static struct limit_now now_of(uint64_t now_ms) {
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	return (struct limit_now){ now_ms, (uint64_t)wall.tv_sec * 10 + (uint64_t)wall.tv_nsec / 100000000 };
}

static uint32_t pin(struct limits *l, uint64_t hash, uint64_t now_ms) {
	struct limit_now now = now_of(now_ms);

	return limit_table_pin(&l->table, hash, &now);
}

static void count_uncounted(struct limits *l) {
	atomic_fetch_add_explicit(&l->table.common->uncounted, 1, memory_order_relaxed);
}

static bool has_seat(const struct limits *l) {
	return l->table.seat != l->table.seat_count - 1;
}

static bool hold(struct limits *l, uint64_t hash, enum kind kind, uint64_t now_ms, limit_id *id) {
	uint32_t at;
	bool is_held;

	BUG_ON(!has_seat(l));
	*id = 0;
	at = pin(l, hash, now_ms);
	if (at == LIMIT_TABLE_NONE) {
		count_uncounted(l);
		return true;
	}
	is_held = limit_table_hold(&l->table, at, LIMIT_CONNECTIONS, l->connections_most[kind]);
	limit_table_unpin(&l->table);
	if (is_held)
		*id = at + 1;
	return is_held;
}

static uint32_t entry_of(const struct limits *l, limit_id id) {
	BUG_ON(id == 0 || id > l->table.entries);
	return id - 1;
}

bool limits_is_exempt(const struct limits *l, const struct sock_peer *p) {
	return nets_has(&l->exempt, p);
}

bool limits_hold_address(struct limits *l, const struct sock_peer *p, uint64_t now_ms, limit_id *id) {
	*id = 0;
	return limits_is_exempt(l, p) || hold(l, hash_address(l, p), ADDRESS, now_ms, id);
}

bool limits_hold_user(struct limits *l, struct slice user, uint64_t now_ms, limit_id *id) {
	return hold(l, hash_user(l, user), USER, now_ms, id);
}

void limits_share(struct limits *l, limit_id id) {
	if (id != 0)
		(void)!limit_table_hold(&l->table, entry_of(l, id), LIMIT_CONNECTIONS, 0);
}

void limits_drop(struct limits *l, limit_id id) {
	if (id != 0)
		limit_table_drop(&l->table, entry_of(l, id), LIMIT_CONNECTIONS);
}

/* --- rates and holdings --- */

enum limit_verdict limits_take(struct limits *l, limit_id id, enum limit_rate rate, uint64_t cost, uint64_t now_ms, uint64_t *wait_ms) {
	*wait_ms = 0;
	if (id == 0)
		return LIMIT_OK;
	return gcra_take(limit_table_rate(&l->table, entry_of(l, id), rate), &l->rate[rate], cost, now_ms, wait_ms);
}

enum limit_verdict limits_knock(struct limits *l, const struct sock_peer *p, uint64_t now_ms, uint64_t *wait_ms) {
	enum limit_verdict verdict;
	uint32_t at;

	*wait_ms = 0;
	if (l->rate[LIMIT_CONNECTS].scale == 0 || limits_is_exempt(l, p))
		return LIMIT_OK;
	at = pin(l, hash_address(l, p), now_ms);
	/* Counted where it is to be held. */
	if (at == LIMIT_TABLE_NONE)
		return LIMIT_OK;
	verdict = gcra_take(limit_table_rate(&l->table, at, LIMIT_CONNECTS), &l->rate[LIMIT_CONNECTS], 1, now_ms, wait_ms);
	limit_table_unpin(&l->table);
	return verdict;
}

bool limits_hold_room(struct limits *l, limit_id id) {
	return id == 0 || limit_table_hold(&l->table, entry_of(l, id), LIMIT_ROOMS, l->rooms_most);
}

void limits_drop_room(struct limits *l, limit_id id) {
	if (id != 0)
		limit_table_drop(&l->table, entry_of(l, id), LIMIT_ROOMS);
}

/* --- all clients together --- */

enum limit_verdict limits_take_handshake(struct limits *l, enum limit_asker asker, uint64_t now_ms, uint64_t *wait_ms) {
	_Atomic uint64_t *word = &l->table.common->handshakes, *row = &l->table.common->row;
	enum limit_verdict verdict;
	uint64_t ignored;

	if (asker != LIMIT_ASKER_CURIOUS) {
		verdict = gcra_take(word, &l->handshakes, 1, now_ms, wait_ms);
	} else {
		verdict = gcra_look(word, &l->handshakes, 1, now_ms, wait_ms);
		if (verdict == LIMIT_OK)
			verdict = gcra_take(&l->table.common->curious, &l->handshakes, 1, now_ms, wait_ms);
	}
	if (verdict == LIMIT_OK || asker == LIMIT_ASKER_DEAF)
		return verdict;
	/* A row that is longer than that is not made longer. */
	(void)gcra_take(row, &l->row, 1, now_ms, &ignored);
	*wait_ms += gcra_owed_ns(atomic_load_explicit(row, memory_order_relaxed), now_ms) / 1000000;
	return verdict;
}

static uint32_t all_connections(const struct limits *l) {
	uint32_t sum = 0;

	for (uint32_t i = 0; i < l->table.seat_count; i++)
		sum += atomic_load_explicit(&l->table.seats[i].connections, memory_order_acquire);
	return sum;
}

bool limits_hold_connection(struct limits *l) {
	_Atomic uint32_t *own = &l->table.seats[l->table.seat].connections;
	uint32_t before = atomic_load_explicit(own, memory_order_relaxed);

	BUG_ON(!has_seat(l));
	if (l->worker_most != 0 && before >= l->worker_most)
		return false;
	atomic_store_explicit(own, before + 1, memory_order_release);
	if (l->host_most == 0)
		return true;
	/* As in limit_table_hold(). */
	atomic_thread_fence(memory_order_seq_cst);
	if (all_connections(l) <= l->host_most)
		return true;
	atomic_store_explicit(own, before, memory_order_release);
	return false;
}

void limits_drop_connection(struct limits *l) {
	_Atomic uint32_t *own = &l->table.seats[l->table.seat].connections;
	uint32_t before = atomic_load_explicit(own, memory_order_relaxed);

	BUG_ON(before == 0);
	atomic_store_explicit(own, before - 1, memory_order_release);
}

/* --- sanctions --- */

static void say(_Atomic uint64_t *word, uint32_t until_s, uint64_t stamp_ds) {
	uint64_t old = atomic_load(word), new = limit_sanction_word(until_s, stamp_ds);

	/* Of what was said in the same tenth, what comes last stands: everybody gets the news in one order. */
	while ((old == 0 || limit_sanction_age(old, stamp_ds) >= 0) && !atomic_compare_exchange_weak(word, &old, new))
		continue;
}

bool limits_sanction(struct limits *l, struct slice user, enum limit_sanction what, uint32_t until_s, uint64_t stamp_ds, uint64_t now_ms) {
	uint32_t at = pin(l, hash_user(l, user), now_ms);

	if (at == LIMIT_TABLE_NONE)
		return false;
	atomic_fetch_add(&l->table.common->sanctions, 1);
	say(limit_table_sanction(&l->table, at, what), until_s, stamp_ds);
	limit_table_unpin(&l->table);
	return true;
}

static uint32_t in_force(uint64_t word, uint64_t now_s) {
	uint32_t until_s = limit_sanction_until(word);

	return until_s > now_s ? until_s : 0;
}

uint32_t limits_sanction_of(const struct limits *l, struct slice user, enum limit_sanction what, uint64_t now_s) {
	uint64_t hash, word;
	uint32_t at;

	if (atomic_load(&l->table.common->sanctions) == 0)
		return 0;
	hash = hash_user(l, user);
	at = limit_table_find(&l->table, hash);
	if (at == LIMIT_TABLE_NONE)
		return 0;
	word = atomic_load(limit_table_sanction(&l->table, at, what));
	/* Evicted meanwhile: then there was no sanction. */
	return limit_table_is(&l->table, at, hash) ? in_force(word, now_s) : 0;
}

uint32_t limits_sanction_held(const struct limits *l, limit_id id, enum limit_sanction what, uint64_t now_s) {
	return id == 0 ? 0 : in_force(atomic_load(limit_table_sanction(&l->table, entry_of(l, id), what)), now_s);
}

/* --- for status and tests --- */

void limits_usage(const struct limits *l, struct limits_usage *out) {
	*out = (struct limits_usage){ .entries = l->table.entries, .connections = all_connections(l), .bytes = l->table.bytes,
		.uncounted = atomic_load(&l->table.common->uncounted) };
	for (uint32_t at = 0; at < l->table.entries; at++)
		out->used += atomic_load_explicit(&l->table.keys[at], memory_order_relaxed) != 0;
}

uint32_t limits_connections_of(const struct limits *l, const struct sock_peer *p) {
	uint64_t hash = hash_address(l, p);
	uint32_t at = limit_table_find(&l->table, hash), sum;

	if (at == LIMIT_TABLE_NONE)
		return 0;
	sum = limit_table_sum(&l->table, at, LIMIT_CONNECTIONS);
	return limit_table_is(&l->table, at, hash) ? sum : 0;
}
