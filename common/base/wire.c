/* wire - taking messages apart and putting them together, field by field */
#include "common/base/wire.h"

#include <endian.h>

struct slice wire_get_fixed(struct wire_reader *r, size_t len) {
	struct slice field;

	if (r->failed || len > r->rest.len) {
		r->failed = true;
		return SLICE_EMPTY;
	}
	if (len == 0)
		return SLICE_EMPTY;
	field = slice_of(r->rest.ptr, len);
	r->rest = slice_skip(r->rest, len);
	return field;
}

/* The next bytes, or zeros. */
static inline void get_bytes(struct wire_reader *r, void *out, size_t bytes) {
	r->failed = r->failed || bytes > r->rest.len;
	if (r->failed) {
		memset(out, 0, bytes);
		return;
	}
	memcpy(out, r->rest.ptr, bytes);
	r->rest = slice_skip(r->rest, bytes);
}

uint8_t wire_get_u8(struct wire_reader *r) {
	uint8_t v;

	get_bytes(r, &v, sizeof(v));
	return v;
}

uint16_t wire_get_u16(struct wire_reader *r) {
	uint16_t v;

	get_bytes(r, &v, sizeof(v));
	return be16toh(v);
}

uint32_t wire_get_u32(struct wire_reader *r) {
	uint32_t v;

	get_bytes(r, &v, sizeof(v));
	return be32toh(v);
}

uint64_t wire_get_u64(struct wire_reader *r) {
	uint64_t v;

	get_bytes(r, &v, sizeof(v));
	return be64toh(v);
}

struct slice wire_get_str8(struct wire_reader *r) {
	return wire_get_fixed(r, wire_get_u8(r));
}

struct slice wire_get_str16(struct wire_reader *r) {
	return wire_get_fixed(r, wire_get_u16(r));
}

struct slice wire_get_bytes(struct wire_reader *r) {
	return wire_get_fixed(r, wire_get_u32(r));
}

static void put_number(struct buf *b, uint64_t v, size_t bytes) {
	uint8_t field[8];

	for (size_t i = bytes; i > 0; i--) {
		field[i - 1] = (uint8_t)v;
		v >>= 8;
	}
	buf_add(b, slice_of(field, bytes));
}

void wire_put_u8(struct buf *b, uint8_t v) {
	put_number(b, v, 1);
}

void wire_put_u16(struct buf *b, uint16_t v) {
	put_number(b, v, 2);
}

void wire_put_u32(struct buf *b, uint32_t v) {
	put_number(b, v, 4);
}

void wire_put_u64(struct buf *b, uint64_t v) {
	put_number(b, v, 8);
}

static void put_counted(struct buf *b, struct slice s, size_t length_bytes, uint64_t max) {
	if (s.len > max) {
		b->failed = true;
		return;
	}
	put_number(b, s.len, length_bytes);
	buf_add(b, s);
}

void wire_put_str8(struct buf *b, struct slice s) {
	put_counted(b, s, 1, UINT8_MAX);
}

void wire_put_str16(struct buf *b, struct slice s) {
	put_counted(b, s, 2, UINT16_MAX);
}

void wire_put_bytes(struct buf *b, struct slice s) {
	put_counted(b, s, 4, UINT32_MAX);
}
