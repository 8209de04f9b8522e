/*
 * wire - fields of a message: bounds-checked reads, sticky-fail writes
 *
 * Integers are big endian. Text and bytes carry a length before them: u8 (str8), u16 (str16) or u32 (bytes). Readers never
 * read past the end: the first failure sets `failed`, after which every get returns zeros. Check wire_reader_done() once.
 */
#ifndef COMMON_BASE_WIRE_H
#define COMMON_BASE_WIRE_H

#include "common/base/buf.h"

struct wire_reader {
	struct slice rest;	/* borrowed */
	bool failed;
};

static inline struct wire_reader wire_reader_of(struct slice s) {
	return (struct wire_reader){ s, false };
}

uint8_t wire_get_u8(struct wire_reader *r);
uint16_t wire_get_u16(struct wire_reader *r);
uint32_t wire_get_u32(struct wire_reader *r);
uint64_t wire_get_u64(struct wire_reader *r);
/* Borrowed from the message. */
struct slice wire_get_fixed(struct wire_reader *r, size_t len);
struct slice wire_get_str8(struct wire_reader *r);
struct slice wire_get_str16(struct wire_reader *r);
struct slice wire_get_bytes(struct wire_reader *r);

/* Nothing failed and nothing is left over. */
static inline bool wire_reader_done(const struct wire_reader *r) {
	return !r->failed && r->rest.len == 0;
}

void wire_put_u8(struct buf *b, uint8_t v);
void wire_put_u16(struct buf *b, uint16_t v);
void wire_put_u32(struct buf *b, uint32_t v);
void wire_put_u64(struct buf *b, uint64_t v);
/* Longer than the length field can say: sets b->failed. */
void wire_put_str8(struct buf *b, struct slice s);
void wire_put_str16(struct buf *b, struct slice s);
void wire_put_bytes(struct buf *b, struct slice s);

#endif
