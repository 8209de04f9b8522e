/* ws_frame - headers of frames that go out, masks of frames that come in */
#include "server/ws/ws_frame.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { WIDE_BYTES = 64 };

size_t ws_frame_header(uint8_t out[WS_SERVER_HEADER_MAX], uint8_t first, uint64_t payload_bytes) {
	size_t length_bytes = payload_bytes < 126 ? 0 : payload_bytes <= UINT16_MAX ? 2 : 8;

	out[0] = first;
	out[1] = (uint8_t)(length_bytes == 0 ? payload_bytes : length_bytes == 2 ? 126 : 127);
	for (size_t i = 0; i < length_bytes; i++)
		out[2 + i] = (uint8_t)(payload_bytes >> 8 * (length_bytes - 1 - i));
	return 2 + length_bytes;
}

size_t ws_frame_split(struct slice frames, uint8_t *first, struct slice *payload) {
	size_t length_bytes = frames.ptr[1] < 126 ? 0 : frames.ptr[1] == 126 ? 2 : 8, bytes = 0;

	*first = frames.ptr[0];
	if (length_bytes == 0)
		bytes = frames.ptr[1];
	for (size_t i = 0; i < length_bytes; i++)
		bytes = bytes << 8 | frames.ptr[2 + i];
	BUG_ON(2 + length_bytes > frames.len || bytes > frames.len - 2 - length_bytes);
	*payload = slice_of(frames.ptr + 2 + length_bytes, bytes);
	return 2 + length_bytes + bytes;
}

/* The mask, so turned that it begins with the byte for `offset`. */
static uint64_t turned_mask(const uint8_t mask[4], uint64_t offset) {
	uint8_t turned[8];
	uint64_t wide;

	for (size_t k = 0; k < sizeof(turned); k++)
		turned[k] = mask[(offset + k) & 3];
	memcpy(&wide, turned, sizeof(wide));
	return wide;
}

/* The bits of all that came out, together. */
static uint64_t unmask_plain(uint8_t *data, size_t len, uint64_t wide) {
	uint8_t turned[8];
	uint64_t word, seen = 0;
	size_t i = 0;

	for (; len - i >= sizeof(word); i += sizeof(word)) {
		memcpy(&word, data + i, sizeof(word));
		word ^= wide;
		memcpy(data + i, &word, sizeof(word));
		seen |= word;
	}
	memcpy(turned, &wide, sizeof(turned));
	for (; i < len; i++)
		seen |= data[i] ^= turned[i & 7];
	return seen;
}

static bool is_ascii(uint64_t seen) {
	return (seen & 0x8080808080808080) == 0;
}

#if defined(__x86_64__)

/* How many of the bytes are done: whole blocks. */
__attribute__((target("avx2"))) static size_t unmask_blocks(uint8_t *data, size_t len, uint64_t wide, uint64_t *seen) {
	const __m256i mask = _mm256_set1_epi64x((long long)wide);
	__m256i both = _mm256_setzero_si256();
	size_t i = 0;

	for (; len - i >= WIDE_BYTES; i += WIDE_BYTES) {
		__m256i *at = (void *)(data + i);
		__m256i a = _mm256_xor_si256(_mm256_loadu_si256(at), mask), b = _mm256_xor_si256(_mm256_loadu_si256(at + 1), mask);

		_mm256_storeu_si256(at, a);
		_mm256_storeu_si256(at + 1, b);
		both = _mm256_or_si256(both, _mm256_or_si256(a, b));
	}
	*seen = _mm256_movemask_epi8(both) == 0 ? 0 : UINT64_MAX;
	return i;
}

static size_t unmask_wide(uint8_t *data, size_t len, uint64_t wide, uint64_t *seen) {
	return len >= WIDE_BYTES && __builtin_cpu_supports("avx2") ? unmask_blocks(data, len, wide, seen) : 0;
}

#else

static size_t unmask_wide(uint8_t *data UNUSED, size_t len UNUSED, uint64_t wide UNUSED, uint64_t *seen UNUSED) {
	return 0;
}

#endif

bool ws_unmask(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset) {
	uint64_t wide = turned_mask(mask, offset), seen = 0;
	size_t done = unmask_wide(data, len, wide, &seen);

	/* A block has whole masks. */
	return is_ascii(seen | unmask_plain(data + done, len - done, wide));
}

bool ws_unmask_plain(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset) {
	return is_ascii(unmask_plain(data, len, turned_mask(mask, offset)));
}
