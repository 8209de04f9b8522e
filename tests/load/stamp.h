/*
 * stamp - what a broadcast message says of itself in its first bytes: whose it is, which one, and of what time
 *
 * Three numbers of 48 bits, six in each byte; the bytes are ASCII, so that the message may be a text. Pure.
 */
#ifndef TESTS_LOAD_STAMP_H
#define TESTS_LOAD_STAMP_H

#include <string.h>

#include "common/base/base.h"

struct stamp {
	uint32_t run, publisher; /* 24 bits each */
	uint64_t message, time;
};

/* Bit groups are put together pairwise: 6 bits in each byte, 12 in 16, 24 in 32, 48. */
static inline uint64_t stamp_unpack(const uint8_t in[8]) {
	uint64_t v;

	memcpy(&v, in, 8);
	v &= 0x3f3f3f3f3f3f3f3f;
	v = (v & 0x003f003f003f003f) | (v & 0x3f003f003f003f00) >> 2;
	v = (v & 0x00000fff00000fff) | (v & 0x0fff00000fff0000) >> 4;
	return (v & 0xffffff) | (v & 0x00ffffff00000000) >> 8;
}

static inline void stamp_pack(uint64_t v, uint8_t out[8]) {
	for (unsigned i = 0; i < 8; i++)
		out[i] = (uint8_t)(0x40 | (v >> (6 * i) & 0x3f));
}

static inline struct stamp stamp_read(const uint8_t in[24]) {
	uint64_t who = stamp_unpack(in);

	return (struct stamp){ .run = (uint32_t)(who >> 24), .publisher = (uint32_t)(who & 0xffffff), .message = stamp_unpack(in + 8),
		.time = stamp_unpack(in + 16) };
}

static inline void stamp_write(const struct stamp *s, uint8_t out[24]) {
	stamp_pack((uint64_t)s->run << 24 | s->publisher, out);
	stamp_pack(s->message, out + 8);
	stamp_pack(s->time, out + 16);
}

#endif
