/*
 * redis_ring - which of several Redis servers a channel lives on: consistent hashing; pure
 *
 * Every server has RING_POINTS points on a circle of 64 bits, made from its name; a channel belongs to the next point behind its own.
 * So all hosts agree whatever the order of their lists, and a server more or less moves only its own share of the channels.
 */
#ifndef BROKER_REDIS_RING_H
#define BROKER_REDIS_RING_H

#include "common/base/errbuf.h"
#include "common/base/slice.h"

/* The share of a server strays by 1 / sqrt(RING_POINTS) = 3 % of it. */
enum { RING_POINTS = 1024, RING_DIGEST_LEN = 16 };

struct redis_ring_point {
	uint64_t at;
	uint32_t server;	/* index into the list */
};

/* Embedded by its user. */
struct redis_ring {
	struct redis_ring_point *points;	/* owned; rising */
	size_t point_count, server_count;
	char digest[RING_DIGEST_LEN + 1];	/* hexadecimal; the same for lists of the same names, in whatever order */
};

/* names: at least one (see redis_url_name). On failure (one stands there twice) `e` says so, and nothing is owned. */
bool redis_ring_init(struct redis_ring *r, const char *const *names, size_t count, struct errbuf *e) MUST_CHECK;
void redis_ring_fini(struct redis_ring *r);
/* Index into the list of names. */
size_t redis_ring_find(const struct redis_ring *r, struct slice channel);

#endif
