/*
 * slice - bytes that somebody else owns
 *
 * Passed by value. Not NUL-terminated. Borrows: valid as long as what it points into. {NULL, 0} is the empty slice.
 */
#ifndef COMMON_BASE_SLICE_H
#define COMMON_BASE_SLICE_H

#include <string.h>

#include "common/base/base.h"

struct slice {
	const uint8_t *ptr;
	size_t len;
};

#define SLICE_EMPTY ((struct slice){ NULL, 0 })
/* printf arguments for "%.*s" */
#define SLICE_ARGS(s) (int)(s).len, (const char *)(s).ptr

static inline struct slice slice_of(const void *ptr, size_t len) {
	return (struct slice){ ptr, len };
}

static inline struct slice slice_text(const char *text) {
	return (struct slice){ (const uint8_t *)text, strlen(text) };
}

static inline bool slice_eq(struct slice a, struct slice b) {
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_eq_text(struct slice a, const char *text) {
	return slice_eq(a, slice_text(text));
}

static inline bool slice_starts_with(struct slice a, const char *prefix) {
	size_t len = strlen(prefix);

	return a.len >= len && memcmp(a.ptr, prefix, len) == 0;
}

/* The rest after the first n bytes (n <= s.len). */
static inline struct slice slice_skip(struct slice s, size_t n) {
	return (struct slice){ s.ptr + n, s.len - n };
}

/* ASCII case folded: header names and tokens (RFC 9110, 5.1). */
bool slice_eq_nocase(struct slice a, const char *text);
/* Without spaces and tabs at both ends (OWS, RFC 9110, 5.6.3). */
struct slice slice_trim(struct slice s);
/* Cuts the part before `separator` off the front of *rest (all of it if there is none); false when *rest is used up. */
bool slice_next_part(struct slice *rest, uint8_t separator, struct slice *part);
/* Decimal digits only, no sign, no blanks, no overflow; false otherwise. */
bool slice_to_u64(struct slice s, uint64_t *out) MUST_CHECK;
/* Returns owned: a NUL-terminated copy. */
char *slice_dup_text(struct slice s) MUST_CHECK;

#endif
