/* test_utf8 - texts good and bad, fed whole, byte by byte and in every two parts */
#include <check.h>

#include "common/base/mem.h"
#include "common/base/utf8.h"
#include "tests/unit/feed.h"

static const struct {
	const char *text;
	size_t len;
} valid[] = {
	{ "", 0 },
	{ "\0", 1 },
	{ "plain text, longer than eight bytes", 35 },
	{ "\x7f", 1 },
	{ "\xc2\x80", 2 },
	{ "\xdf\xbf", 2 },
	{ "\xe0\xa0\x80", 3 },
	{ "\xed\x9f\xbf", 3 },
	{ "\xee\x80\x80", 3 },
	{ "\xef\xbf\xbf", 3 },
	{ "\xf0\x90\x80\x80", 4 },
	{ "\xf3\xbf\xbf\xbf", 4 },
	{ "\xf4\x8f\xbf\xbf", 4 },
	{ "1234567\xc3\xa4" "12345678\xe2\x82\xac" "123456789\xf0\x9f\x98\x80", 33 },
	{ "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", 11 },
};

/* `good` bytes at the front are the start of a valid text, the next one ends that; == len: merely truncated. */
static const struct {
	const char *text;
	size_t len, good;
} invalid[] = {
	{ "\x80", 1, 0 },
	{ "\xbf", 1, 0 },
	{ "\xc0\x80", 2, 0 },
	{ "\xc1\xbf", 2, 0 },
	{ "\xe0\x80\x80", 3, 1 },
	{ "\xe0\x9f\xbf", 3, 1 },
	{ "\xf0\x80\x80\x80", 4, 1 },
	{ "\xf0\x8f\xbf\xbf", 4, 1 },
	{ "\xed\xa0\x80", 3, 1 },
	{ "\xed\xbf\xbf", 3, 1 },
	{ "\xed\xa0\xbd\xed\xb8\x80", 6, 1 },
	{ "\xf4\x90\x80\x80", 4, 1 },
	{ "\xf5\x80\x80\x80", 4, 0 },
	{ "\xf8\x88\x80\x80\x80", 5, 0 },
	{ "\xfe", 1, 0 },
	{ "\xff", 1, 0 },
	{ "12345678\xff" "12345678", 17, 8 },
	{ "123456789012345\xff", 16, 15 },
	{ "\xc3" "a", 2, 1 },
	{ "\xe2\x82" "a", 3, 2 },
	{ "\xf0\x9f\x98\xc3", 4, 3 },
	{ "\xc3\xa4\xa4", 3, 2 },
	{ "\xc3", 1, 1 },
	{ "\xe2\x82", 2, 2 },
	{ "\xf0\x9f\x98", 3, 3 },
	{ "12345678\xf4", 9, 9 },
};

/* As if it came from the network: what stands behind it is not ours to read. */
static bool feed(struct utf8_state *state, const char *text, size_t len) {
	void *exact = mem_dup(text, len);
	bool ok = utf8_feed(state, slice_of(exact, len));

	mem_free(exact);
	return ok;
}

static bool fed_in_two(const char *text, size_t len, size_t cut) {
	struct utf8_state state = { 0 };

	return feed(&state, text, cut) && feed(&state, text + cut, len - cut) && utf8_is_complete(&state);
}

/* Returns how many bytes are taken one at a time before one is refused. */
static size_t fed_bytewise(const char *text, size_t len, bool *complete) {
	struct utf8_state state = { 0 };
	size_t i;

	for (i = 0; i < len && feed(&state, text + i, 1); i++)
		continue;
	*complete = i == len && utf8_is_complete(&state);
	return i;
}

START_TEST(valid_however_split) {
	const char *text = valid[_i].text;
	size_t len = valid[_i].len;
	bool complete;

	ck_assert(utf8_is_valid(slice_of(text, len)));
	ck_assert_uint_eq(fed_bytewise(text, len, &complete), len);
	ck_assert(complete);
	for (size_t cut = 0; cut <= len; cut++)
		ck_assert(fed_in_two(text, len, cut));
}
END_TEST

START_TEST(invalid_however_split) {
	const char *text = invalid[_i].text;
	size_t len = invalid[_i].len, good = invalid[_i].good;
	struct utf8_state state;
	bool complete;

	ck_assert(!utf8_is_valid(slice_of(text, len)));
	ck_assert_uint_eq(fed_bytewise(text, len, &complete), good);
	ck_assert(!complete);
	for (size_t cut = 0; cut <= len; cut++)
		ck_assert(!fed_in_two(text, len, cut));
	/* The first bad byte is refused when it comes, not later. */
	state = (struct utf8_state){ 0 };
	ck_assert(feed(&state, text, good));
	state = (struct utf8_state){ 0 };
	ck_assert(good == len || !feed(&state, text, good + 1));
}
END_TEST

/* Decodes by hand, strictly; the other opinion. Returns the bytes of the character at `p`, or 0. */
static size_t one_character(const uint8_t *p, size_t len) {
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : (p[0] & 0xe0) == 0xc0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : (p[0] & 0xf8) == 0xf0 ? 4 : 0;
	uint32_t code;

	if (n == 0 || n > len)
		return 0;
	code = n == 1 ? p[0] : p[0] & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	return code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? 0 : n;
}

/* Too often called for an assertion each time. */
static void check_one(const uint8_t *p, size_t len, bool is_good) {
	if (utf8_is_valid(slice_of(p, len)) != is_good)
		ck_abort_msg("%02x %02x %02x %02x, %zu bytes", p[0], p[1], p[2], p[3], len);
}

/* Every sequence of up to three bytes, and every four-byte one with third and fourth at the edges. */
START_TEST(every_short_sequence) {
	static const uint8_t edges[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff };
	uint8_t p[4] = { 0 };

	for (uint32_t i = 0; i < 1U << 24; i++) {
		size_t n;

		p[0] = (uint8_t)(i >> 16);
		p[1] = (uint8_t)(i >> 8);
		p[2] = (uint8_t)i;
		if (p[0] < 0xc0 && (i & 0xffff) != 0)
			continue;
		n = one_character(p, 3);
		if (n == 3 || (p[0] & 0xf0) == 0xe0)
			check_one(p, 3, n == 3);
		if (p[2] == 0)
			check_one(p, 2, one_character(p, 2) == 2 ||
				(one_character(p, 2) == 1 && one_character(p + 1, 1) == 1));
	}
	for (uint32_t i = 0; i < 1U << 16; i++) {
		p[0] = (uint8_t)(0xf0 | (i >> 8 & 0x0f));
		p[1] = (uint8_t)i;
		for (size_t at = 0; at < ARRAY_LEN(edges) * ARRAY_LEN(edges); at++) {
			p[2] = edges[at / ARRAY_LEN(edges)];
			p[3] = edges[at % ARRAY_LEN(edges)];
			check_one(p, 4, one_character(p, 4) == 4);
		}
	}
}
END_TEST

/* --- many at a time, as only some processors have it, and one by one: twins --- */

enum { LONG_BYTES = 3 * 64 + 40 };

/* Fed in two, the second part from memory of its own that ends with it. True: both are of one opinion, which is *is_good. */
static bool twins_agree(const uint8_t *text, size_t len, size_t cut, bool *is_good) {
	struct utf8_state wide = { 0 }, plain = { 0 };
	uint8_t *rest = mem_dup(text + cut, len - cut);
	bool first = utf8_feed(&wide, slice_of(text, cut)), first_plain = utf8_feed_plain(&plain, slice_of(text, cut)), agree;

	*is_good = first && utf8_feed(&wide, slice_of(rest, len - cut));
	agree = first == first_plain && *is_good == (first_plain && utf8_feed_plain(&plain, slice_of(rest, len - cut)));
	/* Between characters the bounds say nothing. */
	if (*is_good)
		agree = agree && wide.need == plain.need && (wide.need == 0 || (wide.low == plain.low && wide.high == plain.high));
	mem_free(rest);
	return agree;
}

/* As many whole characters of one length as there is room for, and ASCII. */
static void fill(uint8_t *text, size_t len, size_t char_bytes) {
	static const char *const chars[] = { "x", "\xd0\xb6", "\xe6\x97\xa5", "\xf0\x9f\x98\x80" };
	size_t i = 0;

	for (; len - i >= char_bytes; i += char_bytes)
		memcpy(text + i, chars[char_bytes - 1], char_bytes);
	memset(text + i, 'x', len - i);
}

/* Each text of the tables above, between characters of each length, at every place around the blocks' edges. */
static void check_amid(const char *text, size_t len, bool want, size_t char_bytes) {
	uint8_t all[LONG_BYTES];

	for (size_t at = 0; at + len <= sizeof(all); at++) {
		bool is_good, is_last = at + len == sizeof(all);

		fill(all, at, char_bytes);
		memcpy(all + at, text, len);
		fill(all + at + len, sizeof(all) - at - len, char_bytes);
		if (!twins_agree(all, sizeof(all), 0, &is_good) || (is_good != want && !is_last) || (want && !is_good))
			ck_abort_msg("%zu bytes at %zu, between characters of %zu bytes", len, at, char_bytes);
	}
}

START_TEST(everywhere_in_a_long_text) {
	for (size_t char_bytes = 1; char_bytes <= 4; char_bytes++) {
		for (size_t i = 0; i < ARRAY_LEN(valid); i++)
			check_amid(valid[i].text, valid[i].len, true, char_bytes);
		for (size_t i = 0; i < ARRAY_LEN(invalid); i++)
			check_amid(invalid[i].text, invalid[i].len, false, char_bytes);
	}
}
END_TEST

/* Every pair of bytes across the edge of a block and inside of one. */
START_TEST(every_pair_like_its_twin) {
	uint8_t all[192];
	bool is_good;

	for (size_t char_bytes = 1; char_bytes <= 4; char_bytes++) {
		fill(all, sizeof(all), char_bytes);
		for (uint32_t pair = 0; pair < 1U << 16; pair++) {
			for (size_t at = 60; at < 66; at++) {
				uint8_t kept[2] = { all[at], all[at + 1] };

				all[at] = (uint8_t)(pair >> 8);
				all[at + 1] = (uint8_t)pair;
				if (!twins_agree(all, sizeof(all), 0, &is_good))
					ck_abort_msg("%04x at %zu", pair, at);
				memcpy(all + at, kept, sizeof(kept));
			}
		}
	}
}
END_TEST

static size_t put_random_character(uint64_t *seed, uint8_t *out) {
	static const uint32_t beginnings[] = { 0, 0x80, 0x800, 0xe000, 0x10000 }, ends[] = { 0x80, 0x800, 0xd800, 0x10000, 0x110000 };
	size_t kind = feed_random(seed, ARRAY_LEN(ends));
	uint32_t code = beginnings[kind] + (uint32_t)feed_random(seed, ends[kind] - beginnings[kind]);
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

	for (size_t i = n - 1; i > 0; i--, code >>= 6)
		out[i] = (uint8_t)(0x80 | (code & 0x3f));
	out[0] = (uint8_t)(n == 1 ? code : (0xf00U >> n & 0xff) | code);
	return n;
}

/* Any characters at any alignment, cut anywhere, as they are and with a byte spoilt. */
START_TEST(random_like_its_twin) {
	uint64_t seed = 11;

	for (int round = 0; round < 4000; round++) {
		uint8_t all[LONG_BYTES + 8];
		size_t begin = feed_random(&seed, 8), most = feed_random(&seed, LONG_BYTES), len = 0, cut;
		bool is_good;

		while (len + 4 <= most)
			len += put_random_character(&seed, all + begin + len);
		cut = feed_random(&seed, len + 1);
		ck_assert(twins_agree(all + begin, len, cut, &is_good));
		ck_assert(is_good);
		for (int i = 0; len > 0 && i < 8; i++) {
			all[begin + feed_random(&seed, len)] = (uint8_t)feed_random(&seed, 256);
			ck_assert(twins_agree(all + begin, len, cut, &is_good));
		}
	}
}
END_TEST

Suite *suite_utf8(void);
Suite *suite_utf8(void) {
	Suite *s = suite_create("utf8");
	TCase *tc = tcase_create("utf8");

	tcase_add_loop_test(tc, valid_however_split, 0, ARRAY_LEN(valid));
	tcase_add_loop_test(tc, invalid_however_split, 0, ARRAY_LEN(invalid));
	tcase_add_test(tc, every_short_sequence);
	tcase_add_test(tc, everywhere_in_a_long_text);
	tcase_add_test(tc, every_pair_like_its_twin);
	tcase_add_test(tc, random_like_its_twin);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	return s;
}
