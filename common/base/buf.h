/*
 * buf - growable bytes with a hard cap
 *
 * Appending past `max` or out of memory sets `failed`, after which appends do nothing: build a whole message, check once.
 * Owned by its user; buf_fini() frees and works on a zeroed one.
 */
#ifndef COMMON_BASE_BUF_H
#define COMMON_BASE_BUF_H

#include "common/base/slice.h"

struct buf {
	uint8_t *data;
	size_t len;	/* len <= cap <= max */
	size_t cap;
	size_t max;
	bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
/* Empty again; keeps the memory, clears `failed`. */
void buf_reset(struct buf *b);
/* Room for `len` more bytes at b->data + b->len, or NULL (then failed). The caller adds to b->len what it wrote. */
uint8_t *buf_reserve(struct buf *b, size_t len) MUST_CHECK;
void buf_add(struct buf *b, struct slice s);
void buf_add_u64_text(struct buf *b, uint64_t value);
void buf_addf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
/* Removes the first n bytes (n <= len). */
void buf_drop_front(struct buf *b, size_t n);

/* Inline, so that the length of a literal is known. */
static inline void buf_add_text(struct buf *b, const char *text) {
	buf_add(b, slice_text(text));
}

static inline void buf_add_u8(struct buf *b, uint8_t c) {
	if (b->len < b->cap && !b->failed)
		b->data[b->len++] = c;
	else
		buf_add(b, slice_of(&c, 1));
}

static inline struct slice buf_slice(const struct buf *b) {
	return slice_of(b->data, b->len);
}

#endif
