/*
 * stamp - what a message says of itself in its first bytes: whose it is, which one, and of what time
 *
 * Three numbers of 40 bits, five in each byte: the bytes are from '<' to '[', which may stand in any text and in JSON as they are. Pure.
 */
#ifndef TESTS_LOAD_STAMP_H
#define TESTS_LOAD_STAMP_H

#include <string.h>

#include "common/base/base.h"

enum { STAMP_BYTES = 24, STAMP_SENDER_BITS = 20, STAMP_TIME_SHIFT = 6 };

struct stamp {
	uint32_t run, publisher; /* 20 bits each */
	uint64_t message;
	uint64_t time;		 /* in 64 ns, which is good for 19 hours and then begins anew */
};

/* Bit groups are put together pairwise: 5 bits in each byte, 10 in 16, 20 in 32, 40. */
static inline uint64_t stamp_unpack(const uint8_t in[8]) {
	uint64_t v;

	memcpy(&v, in, 8);
	v = (v - 0x3c3c3c3c3c3c3c3c) & 0x1f1f1f1f1f1f1f1f;
	v = (v & 0x001f001f001f001f) | (v & 0x1f001f001f001f00) >> 3;
	v = (v & 0x000003ff000003ff) | (v & 0x03ff000003ff0000) >> 6;
	return (v & 0xfffff) | (v & 0x000fffff00000000) >> 12;
}

static inline void stamp_pack(uint64_t v, uint8_t out[8]) {
	for (unsigned i = 0; i < 8; i++)
		out[i] = (uint8_t)(0x3c + (v >> (5 * i) & 0x1f));
}

static inline struct stamp stamp_read(const uint8_t in[STAMP_BYTES]) {
	uint64_t who = stamp_unpack(in);

	return (struct stamp){ .run = (uint32_t)(who >> STAMP_SENDER_BITS), .publisher = (uint32_t)(who & ((1 << STAMP_SENDER_BITS) - 1)),
		.message = stamp_unpack(in + 8), .time = stamp_unpack(in + 16) };
}

static inline void stamp_write(const struct stamp *s, uint8_t out[STAMP_BYTES]) {
	stamp_pack((uint64_t)s->run << STAMP_SENDER_BITS | s->publisher, out);
	stamp_pack(s->message, out + 8);
	stamp_pack(s->time, out + 16);
}

/* Of nanoseconds since a time that all have together. */
static inline uint64_t stamp_time(uint64_t ns) {
	return ns >> STAMP_TIME_SHIFT & 0xffffffffff;
}

/* When it was, seen from `ns`, at which it is over. */
static inline uint64_t stamp_ns(const struct stamp *s, uint64_t ns) {
	return ns - (((stamp_time(ns) - s->time) & 0xffffffffff) << STAMP_TIME_SHIFT);
}

#endif
