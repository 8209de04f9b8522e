/* json_scan - strings of JSON, many bytes at a time */
#include "server/proto/json_scan.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

static bool is_plain(uint8_t c) {
	return c >= 0x20 && c != '"' && c != '\\';
}

static size_t plain_run(struct slice s, size_t i) {
	while (i < s.len && is_plain(s.ptr[i]))
		i++;
	return i;
}

/* Not zero where a byte below 0x80 is less than `limit`; the bits above the first such byte mean nothing. */
static uint64_t less_than(uint64_t word, uint8_t limit) {
	return (word - EACH_BYTE(limit)) & ~word & EACH_BYTE(0x80);
}

size_t json_plain_len_portable(struct slice s) {
	size_t i = 0;

	for (; s.len - i >= 8; i += 8) {
		uint64_t word;

		memcpy(&word, s.ptr + i, sizeof(word));
		if ((less_than(word, 0x20) | less_than(word ^ EACH_BYTE('"'), 1) | less_than(word ^ EACH_BYTE('\\'), 1)) != 0)
			break;
	}
	return plain_run(s, i);
}

#if defined(__x86_64__)

/* A bit for each of 16 bytes that is not plain. */
static inline unsigned not_plain(const uint8_t *ptr) {
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1f);
	__m128i bytes = _mm_loadu_si128((const void *)ptr);
	__m128i found = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
	    _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes));

	return (unsigned)_mm_movemask_epi8(found);
}

size_t json_plain_len(struct slice s) {
	unsigned mask;

	if (s.len < 16)
		return json_plain_len_portable(s);
	for (size_t i = 0; s.len - i >= 16; i += 16) {
		mask = not_plain(s.ptr + i);
		if (mask != 0)
			return i + (size_t)__builtin_ctz(mask);
	}
	/* The rest, with some of what is known to be plain. */
	mask = not_plain(s.ptr + s.len - 16);
	return mask != 0 ? s.len - 16 + (size_t)__builtin_ctz(mask) : s.len;
}

#else

size_t json_plain_len(struct slice s) {
	return json_plain_len_portable(s);
}

#endif
