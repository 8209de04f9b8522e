/*
 * feed - a parser must say the same however its input is cut
 *
 * The parser under test writes what it finds into a log, as text. The input is given to it whole, byte by byte, and in
 * two parts at every place, and the logs must be equal. Each part is in memory of its own, of exactly its size, which is
 * overwritten and freed after the call: what a parser keeps it must have copied.
 */
#ifndef TESTS_UNIT_FEED_H
#define TESTS_UNIT_FEED_H

#include "common/base/buf.h"

struct feed_parser {
	/* A new parser. */
	void *(*start)(const void *arg);
	/* The next part; false: it wants no more. May change the bytes. */
	bool (*part)(void *parser, struct slice part, struct buf *log);
	void (*stop)(void *parser);
	const void *arg;
};

/* One run, cut at the given places (rising). */
void feed_cut(const struct feed_parser *p, struct slice input, const size_t *cuts, size_t cut_count, struct buf *log);
/* All runs. Returns owned: the log of the whole one, as a text. `name` is for the message of a failure. */
char *feed_all(const struct feed_parser *p, const char *name, struct slice input);

/* A seeded random number below `limit` (> 0). */
uint32_t feed_random(uint64_t *seed, uint32_t limit);

#endif
