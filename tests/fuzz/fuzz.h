/*
 * fuzz - what the fuzz targets share
 *
 * Each tests/fuzz/fuzz_NAME.c exports LLVMFuzzerTestOneInput() and nothing else. The input is in memory of exactly its size,
 * so that reading past its end is seen. A broken promise ends the process (BUG_ON); so do the sanitizers.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "common/base/mem.h"
#include "common/base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next byte; 0 when there is none. */
static inline uint8_t fuzz_u8(struct slice *in) {
	uint8_t c = in->len > 0 ? in->ptr[0] : 0;

	if (in->len > 0)
		*in = slice_skip(*in, 1);
	return c;
}

/* The next n bytes, or as many as there are. */
static inline struct slice fuzz_bytes(struct slice *in, size_t n) {
	struct slice part = slice_of(in->ptr, n < in->len ? n : in->len);

	if (part.len > 0)
		*in = slice_skip(*in, part.len);
	return part;
}

/* For choices that need no byte of their own in the input (FNV-1a). */
static inline uint32_t fuzz_hash(struct slice s) {
	uint32_t hash = 2166136261U;

	for (size_t i = 0; i < s.len; i++)
		hash = (uint32_t)((hash ^ s.ptr[i]) * (uint64_t)16777619U);
	return hash;
}

static inline bool fuzz_is_inside(struct slice part, struct slice whole) {
	return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

#endif
