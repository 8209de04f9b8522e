/*
 * share - what a process gets of a whole that is divided among many, and the address that a connection comes from
 *
 * Pure. The parts lie one after the other, and differ by one at most: the first ones have one more.
 */
#ifndef TESTS_LOAD_SHARE_H
#define TESTS_LOAD_SHARE_H

#include "common/base/base.h"

/* at < parts */
static inline uint64_t share_count(uint64_t whole, uint64_t parts, uint64_t at) {
	return whole / parts + (at < whole % parts ? 1 : 0);
}

/* Where the part begins. */
static inline uint64_t share_first(uint64_t whole, uint64_t parts, uint64_t at) {
	uint64_t rest = whole % parts;

	return whole / parts * at + (at < rest ? at : rest);
}

#endif
