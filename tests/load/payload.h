/*
 * payload - what clients send: masked frames, and texts that compress as messages do
 *
 * Pure. All frames have the same mask, because a load has no secrets.
 */
#ifndef TESTS_LOAD_PAYLOAD_H
#define TESTS_LOAD_PAYLOAD_H

#include "common/base/buf.h"

extern const uint8_t payload_mask[4];

/* The head of a masked frame, the last one of its message (RFC 6455, 5.2). */
void payload_add_head(struct buf *b, uint8_t opcode, uint64_t len);
void payload_add_masked(struct buf *b, struct slice s);
/* Members of an object with texts and numbers that differ, cut off at the end. */
void payload_fill(uint8_t *out, size_t bytes);

#endif
