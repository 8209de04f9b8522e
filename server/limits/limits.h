/*
 * limits - what one client may take, counted for all workers of a host together
 *
 * A table of fixed size in memory that master and workers share: an entry per client (its address, IPv6 by the /64; or
 * its user id) that is here or was lately. Every operation takes constant time and no lock, so that a process that dies
 * in the middle of one holds up nobody.
 * Rates: GCRA, in one 64-bit word each: the theoretical arrival time, and a bit "was warned"; one compare-and-swap per
 *          decision.
 * Holdings (connections, rooms): for each entry one counter per seat, written by that seat's process alone and summed
 *          by who asks; what a dead process held is forgotten with its seat. A bound is never exceeded: two who meet
 *          at it may both be refused.
 * Eviction: an entry that anybody holds, or with a sanction in force, stays; of the others the one that says least
 *          goes.
 * Does not: log, count, answer, know connections or what a refusal looks like.
 */
#ifndef SERVER_LIMITS_LIMITS_H
#define SERVER_LIMITS_LIMITS_H

#include "common/svc/config.h"
#include "common/svc/nets.h"
#include "common/svc/sock.h"

enum limit_rate {
	LIMIT_CONNECTS = 0,	/* of an address: address_connects_per_second */
	LIMIT_MESSAGES,		/* of a user, or an address: messages_per_minute */
	LIMIT_BYTES,		/* likewise: bytes_per_second */
	LIMIT_JOINS,		/* likewise: joins_per_minute */
	LIMIT_RATES
};

enum { LIMIT_REQUEST_BYTES = 4096 };	/* what an HTTP request takes of its address's LIMIT_BYTES */

enum limit_holding {
	LIMIT_CONNECTIONS = 0,	/* address_connections, user_connections */
	LIMIT_ROOMS,		/* of a user: user_rooms */
	LIMIT_HOLDINGS
};

enum limit_verdict {
	LIMIT_OK = 0,
	LIMIT_WARN,	/* over the rate, for the first time since it was not: the client is to be told */
	LIMIT_OVER,	/* over the rate, and told before */
};

/* A process's view. */
struct limits;

/* An entry, as long as it is held; 0: nobody is counted (limits are off, the client is exempt, or there was no room in
 * the table). */
typedef uint32_t limit_id;

/* --- the table --- */

/* Master, before it forks: the mapping, for so many seats. Returns owned; children inherit it. NULL: no memory. */
struct limits *limits_new(const struct config *c, int seats, struct errbuf *e) MUST_CHECK;
/* Child: whose counters it writes from now on. One process without a seat may ask and sanction, not hold. */
void limits_sit(struct limits *l, int seat);
enum { LIMITS_NO_SEAT = -1 };
/* Master, when the process of that seat (or that without one) has ended: what it held is free, what it left half done
 * is undone. Time: the whole table. */
void limits_clear_seat(struct limits *l, int seat);
/* This process's view only. */
void limits_free(struct limits **l);

/* --- who --- */

/* Is in limit_exempt. */
bool limits_is_exempt(const struct limits *l, const struct sock_peer *p);
/* Finds or makes the entry and holds it (one of LIMIT_CONNECTIONS). False: it has as many as it may, and is not held.
 * *id 0 with true: not counted. now_ms: the monotonic clock, here and below. */
bool limits_hold_address(struct limits *l, const struct sock_peer *p, uint64_t now_ms, limit_id *id) MUST_CHECK;
bool limits_hold_user(struct limits *l, struct slice user, uint64_t now_ms, limit_id *id) MUST_CHECK;
/* One more connection of an entry that is held. Id 0 is allowed, here and below. */
void limits_share(struct limits *l, limit_id id);
void limits_drop(struct limits *l, limit_id id);

/* --- rates and holdings of an entry that is held --- */

/* Takes `cost` (connects, messages, bytes, joins). Not LIMIT_OK: nothing was taken, and in *wait_ms (at least 1) is
 * when it would have been possible. Without a limit, or for id 0, LIMIT_OK. */
enum limit_verdict limits_take(struct limits *l, limit_id id, enum limit_rate rate, uint64_t cost, uint64_t now_ms,
    uint64_t *wait_ms);
/* The same for an address that need not be held: LIMIT_CONNECTS, before anything else is done for it. */
enum limit_verdict limits_knock(struct limits *l, const struct sock_peer *p, uint64_t now_ms, uint64_t *wait_ms);
/* False: the bound is reached, and nothing was taken. */
bool limits_hold_room(struct limits *l, limit_id id) MUST_CHECK;
void limits_drop_room(struct limits *l, limit_id id);

/* --- all clients of the host together --- */

/* Who asks for a handshake. */
enum limit_asker {
	LIMIT_ASKER_HEARS = 0,	/* what it is refused with */
	LIMIT_ASKER_DEAF,	/* a browser's WebSocket, which is not told why it was refused: the page asks again, plainly ... */
	LIMIT_ASKER_CURIOUS,	/* ... by a request that takes none, but is told whether it could */
};

/* handshakes_per_second. Who is refused and hears it has a place in a row: in *wait_ms is when it will be its turn, so that a herd comes back
 * as fast as it is let in, and each of it once. The curious are as many per second at most, because their tokens cost as much. */
enum limit_verdict limits_take_handshake(struct limits *l, enum limit_asker asker, uint64_t now_ms, uint64_t *wait_ms);
/* max_connections (of all workers) and worker_connections (of this one). */
bool limits_hold_connection(struct limits *l) MUST_CHECK;
void limits_drop_connection(struct limits *l);

/* --- sanctions: the news of moderation, as they stand for this host --- */

enum limit_sanction { LIMIT_BANNED = 0, LIMIT_MUTED, LIMIT_SANCTIONS };

/* Until then (seconds since 1970; 0: no longer). stamp_ds: when it was said, tenths of seconds since 1970; what was
 * said later stands, whatever comes first. False: no room in the table for another one. */
bool limits_sanction(struct limits *l, struct slice user, enum limit_sanction what, uint32_t until_s, uint64_t stamp_ds,
    uint64_t now_ms) MUST_CHECK;
/* Until when; 0: not at all. Makes no entry. */
uint32_t limits_sanction_of(const struct limits *l, struct slice user, enum limit_sanction what, uint64_t now_s);
/* The same for one who is held: costs one load. */
uint32_t limits_sanction_held(const struct limits *l, limit_id id, enum limit_sanction what, uint64_t now_s);

/* --- for status and tests --- */

struct limits_usage {
	uint32_t entries, used;		/* of the table */
	uint32_t connections;		/* of all seats */
	uint64_t uncounted;		/* clients that found no room, since the start */
	size_t bytes;			/* of the mapping */
};

void limits_usage(const struct limits *l, struct limits_usage *out);
/* Connections of an address, on all seats; 0: none, or not counted. */
uint32_t limits_connections_of(const struct limits *l, const struct sock_peer *p);

#endif
