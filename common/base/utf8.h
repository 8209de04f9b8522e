/*
 * utf8 - resumable UTF-8 validation (RFC 3629)
 *
 * Refuses overlong forms, surrogates and everything above U+10FFFF at the first byte that makes the text invalid, also when a
 * character is split over two calls. Pure.
 */
#ifndef COMMON_BASE_UTF8_H
#define COMMON_BASE_UTF8_H

#include "common/base/slice.h"

/* Zeroed at the start of a text. */
struct utf8_state {
	uint8_t need;	/* continuation bytes still expected: 0..3 */
	uint8_t low;	/* the next continuation byte is in low..high */
	uint8_t high;
};

/* False at the first invalid byte; the state must not be used again then. */
bool utf8_feed(struct utf8_state *state, struct slice s) MUST_CHECK;
/* The same without what only some processors have; for its test and its measuring. */
bool utf8_feed_plain(struct utf8_state *state, struct slice s) MUST_CHECK;

/* The text may end here: no character is half done. */
static inline bool utf8_is_complete(const struct utf8_state *state) {
	return state->need == 0;
}

bool utf8_is_valid(struct slice s) MUST_CHECK;

#endif
