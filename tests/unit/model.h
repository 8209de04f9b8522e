/*
 * model - what tests against a model share: seeded steps, the same every run, and a cheap assertion
 *
 * ck_assert() notes every call down; in loops of millions that takes minutes.
 */
#ifndef TESTS_UNIT_MODEL_H
#define TESTS_UNIT_MODEL_H

#include <check.h>
#include <stdint.h>

#define MUST(cond) \
	do { \
		if (!(cond)) \
			ck_abort_msg("broken at line %d: %s", __LINE__, #cond); \
	} while (0)

/* xorshift64*; the state must not be 0. */
static inline uint32_t random_below(uint64_t *state, uint32_t limit) {
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (uint32_t)((*state * 0x2545f4914f6cdd1d) >> 32) % limit;
}

#endif
