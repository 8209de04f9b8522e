/* utf8 - validation by the table of well-formed byte sequences (RFC 3629, section 4) */
#include "common/base/utf8.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { WIDE_BYTES = 64 };

/* --- one by one, and ASCII eight at a time --- */

/* How many bytes at the front are ASCII, as far as that shows eight at a time. */
static size_t ascii_run(const uint8_t *ptr, size_t len) {
	size_t i = 0;

	for (; len - i >= 8; i += 8) {
		uint64_t word;

		memcpy(&word, ptr + i, sizeof(word));
		if ((word & 0x8080808080808080) != 0)
			break;
	}
	return i;
}

static bool begin_character(struct utf8_state *state, uint8_t c) {
	if (c < 0xc2 || c > 0xf4)
		return false;
	state->need = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	state->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	state->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	return true;
}

bool utf8_feed_plain(struct utf8_state *state, struct slice s) {
	struct utf8_state now = *state;
	size_t i = 0;

	while (i < s.len) {
		uint8_t c = s.ptr[i];

		if (now.need > 0) {
			if (c < now.low || c > now.high)
				return false;
			now.need--;
			now.low = 0x80;
			now.high = 0xbf;
			i++;
		} else if (c < 0x80) {
			i += 1 + ascii_run(s.ptr + i + 1, s.len - i - 1);
		} else {
			if (!begin_character(&now, c))
				return false;
			i++;
		}
	}
	*state = now;
	return true;
}

/* --- 64 bytes at a time --- */

#if defined(__x86_64__)

/*
 * Any characters, by the method of Keiser and Lemire ("Validating UTF-8 in less than one instruction per byte",
 * 2021): what may be wrong with two neighbouring bytes is a set of bits for the first one's upper half, one for its lower half and
 * one for the second one's upper half, and it is wrong if all three agree on a bit. What that cannot see is whether a byte is the
 * third or fourth of a character, which is known from the bytes two and three before it.
 */
enum {
	SHORT = 1 << 0,		/* a character's beginning, and no continuation after it */
	LONG = 1 << 1,		/* a continuation after ASCII */
	OVERLONG_3 = 1 << 2,	/* e0 80..9f */
	BEYOND = 1 << 3,	/* f4 90..bf, f5..ff 90..bf */
	SURROGATE = 1 << 4,	/* ed a0..bf */
	OVERLONG_2 = 1 << 5,	/* c0, c1 */
	BEYOND_80 = 1 << 6,	/* f5..ff 80..8f; and f0 80..8f, which is overlong */
	TWO = 1 << 7,		/* two continuations: wrong, or a third or fourth byte */
	ANY_LOW = SHORT | LONG | TWO,
	F5_UP = ANY_LOW | BEYOND | BEYOND_80,
	CONTINUATION = LONG | OVERLONG_2 | TWO,
};

#define AVX2 __attribute__((target("avx2")))
/* The same sixteen in both halves, as the instruction looks them up. */
#define SIXTEEN(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)
#define BITS(n) ((char)(n))

AVX2 static inline __m256i halves_above(__m256i bytes) {
	return _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0f));
}

/* Not zero where `now` is wrong, after `before`. */
AVX2 static inline __m256i wrong_bytes(__m256i before, __m256i now) {
	const __m256i first_above = SIXTEEN(LONG, LONG, LONG, LONG, LONG, LONG, LONG, LONG, BITS(TWO), BITS(TWO), BITS(TWO), BITS(TWO),
		SHORT | OVERLONG_2, SHORT, SHORT | OVERLONG_3 | SURROGATE, SHORT | BEYOND | BEYOND_80);
	const __m256i first_below = SIXTEEN(BITS(ANY_LOW | OVERLONG_2 | OVERLONG_3 | BEYOND_80), BITS(ANY_LOW | OVERLONG_2), BITS(ANY_LOW),
		BITS(ANY_LOW), BITS(ANY_LOW | BEYOND), BITS(F5_UP), BITS(F5_UP), BITS(F5_UP), BITS(F5_UP), BITS(F5_UP), BITS(F5_UP),
		BITS(F5_UP), BITS(F5_UP), BITS(F5_UP | SURROGATE), BITS(F5_UP), BITS(F5_UP));
	const __m256i second_above = SIXTEEN(SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT,
		BITS(CONTINUATION | OVERLONG_3 | BEYOND_80), BITS(CONTINUATION | OVERLONG_3 | BEYOND), BITS(CONTINUATION | SURROGATE | BEYOND),
		BITS(CONTINUATION | SURROGATE | BEYOND), SHORT, SHORT, SHORT, SHORT);
	__m256i seam = _mm256_permute2x128_si256(before, now, 0x21);
	__m256i one = _mm256_alignr_epi8(now, seam, 15), two = _mm256_alignr_epi8(now, seam, 14), three = _mm256_alignr_epi8(now, seam, 13);
	__m256i wrong = _mm256_and_si256(_mm256_and_si256(_mm256_shuffle_epi8(first_above, halves_above(one)),
		_mm256_shuffle_epi8(first_below, _mm256_and_si256(one, _mm256_set1_epi8(0x0f)))),
		_mm256_shuffle_epi8(second_above, halves_above(now)));
	/* The highest bit: e0 and up two before, f0 and up three before. There TWO has to be, and nowhere else. */
	__m256i later = _mm256_or_si256(_mm256_subs_epu8(two, _mm256_set1_epi8(0xe0 - 0x80)),
		_mm256_subs_epu8(three, _mm256_set1_epi8(0xf0 - 0x80)));

	return _mm256_xor_si256(wrong, _mm256_and_si256(later, _mm256_set1_epi8(BITS(0x80))));
}

/* How many of the bytes before `end` belong to a character that goes on behind it. */
static size_t begun_before(const uint8_t *end, size_t most) {
	for (size_t n = 1; n <= 3 && n <= most; n++) {
		uint8_t c = end[-(ptrdiff_t)n];

		if (c >= 0xc0)
			return c >= (n == 1 ? 0xc0 : n == 2 ? 0xe0 : 0xf0) ? n : 0;
		if (c < 0x80)
			return 0;
	}
	return 0;
}

/* How many bytes at the front are whole characters, as far as whole blocks show it; begins at a character. */
AVX2 static size_t wide_run(const uint8_t *ptr, size_t len) {
	__m256i before = _mm256_setzero_si256();
	bool is_ascii = true;	/* what was before */
	size_t i = 0;

	for (; len - i >= WIDE_BYTES; i += WIDE_BYTES) {
		__m256i a = _mm256_loadu_si256((const void *)(ptr + i)), b = _mm256_loadu_si256((const void *)(ptr + i + 32));

		if (is_ascii && _mm256_movemask_epi8(_mm256_or_si256(a, b)) == 0)
			continue;
		if (is_ascii)
			before = _mm256_setzero_si256();
		before = _mm256_or_si256(wrong_bytes(before, a), wrong_bytes(a, b));
		if (!_mm256_testz_si256(before, before))
			break;
		before = b;
		is_ascii = _mm256_movemask_epi8(b) == 0;
	}
	return i - begun_before(ptr + i, i);
}

static bool has_wide_run(void) {
	return __builtin_cpu_supports("avx2");
}

#else

static size_t wide_run(const uint8_t *ptr UNUSED, size_t len UNUSED) {
	return 0;
}

static bool has_wide_run(void) {
	return false;
}

#endif

bool utf8_feed(struct utf8_state *state, struct slice s) {
	size_t begun = state->need;

	/* What it stops at is for the other one to judge. */
	if (s.len >= WIDE_BYTES + begun && has_wide_run()) {
		if (!utf8_feed_plain(state, slice_of(s.ptr, begun)))
			return false;
		s = slice_skip(s, begun);
		s = slice_skip(s, wide_run(s.ptr, s.len));
	}
	return utf8_feed_plain(state, s);
}

bool utf8_is_valid(struct slice s) {
	struct utf8_state state = { 0 };

	return utf8_feed(&state, s) && utf8_is_complete(&state);
}
