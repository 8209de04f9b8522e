/* ws_deflate - RFC 7692's examples, round trips over every window, damage, bombs, memory */
#include <check.h>

#include "server/ws/ws_deflate.h"
#include "tests/unit/feed.h"

enum { ROOM = 1 << 20 };

/* Text that repeats itself near and far, with some noise; its end is cut as it comes. */
static void fill(uint64_t *seed, size_t bytes, struct buf *out) {
	static const char *const words[] = { "{\"type\":\"chat\",\"text\":\"", "hello ", "world ", "\"},", "0123456789", "\xc3\xa4" };

	while (out->len < bytes) {
		if (feed_random(seed, 8) == 0)
			buf_add_u8(out, (uint8_t)feed_random(seed, 256));
		else
			buf_add_text(out, words[feed_random(seed, ARRAY_LEN(words))]);
	}
	out->len = bytes;
}

/* In parts of `step` bytes. */
static enum ws_inflate_result inflate_message(struct ws_inflater *f, struct slice in, size_t step, struct buf *out) {
	enum ws_inflate_result result = WS_INFLATE_OK;

	while (in.len > 0 && result == WS_INFLATE_OK) {
		size_t len = in.len < step ? in.len : step;

		result = ws_inflater_add(f, slice_of(in.ptr, len), out);
		in = slice_skip(in, len);
	}
	return result == WS_INFLATE_OK ? ws_inflater_end(f, out) : result;
}

/* A fresh one for it. */
static enum ws_inflate_result inflate_once(struct slice in, size_t step, struct buf *out) {
	struct ws_inflater *f = ws_inflater_borrow();
	enum ws_inflate_result result = inflate_message(f, in, step, out);

	ws_inflater_release(&f);
	ck_assert_ptr_null(f);
	return result;
}

/* --- examples --- */

static const struct {
	const char *name;
	uint8_t bytes[24];
	size_t len;
	enum ws_inflate_result want;
	const char *text;
} examples[] = {
	{ "7.2.3.1: one block", { 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00 }, 7, WS_INFLATE_OK, "Hello" },
	{ "7.2.3.3: no compression", { 0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00 }, 11, WS_INFLATE_OK, "Hello" },
	{ "7.2.3.4: final block", { 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00 }, 8, WS_INFLATE_OK, "Hello" },
	{ "final block, nothing behind it", { 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00 }, 7, WS_INFLATE_OK, "Hello" },
	{ "7.2.3.5: two blocks", { 0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00 }, 13, WS_INFLATE_OK, "Hello" },
	{ "7.2.3.6: empty", { 0x00 }, 1, WS_INFLATE_OK, "" },
	{ "empty fixed block", { 0x02, 0x00 }, 2, WS_INFLATE_OK, "" },
	{ "no bytes at all", { 0 }, 0, WS_INFLATE_OK, "" },
	{ "whole stored block, nothing behind it", { 0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f }, 10, WS_INFLATE_OK, "Hello" },
	{ "two final blocks", { 0xf3, 0x48, 0x05, 0x00, 0xf3, 0x48, 0x05, 0x00, 0x00 }, 9, WS_INFLATE_OK, "HeHe" },
	{ "ends amid a stored block", { 0x00, 0x06, 0x00, 0xf9, 0xff, 0x48 }, 6, WS_INFLATE_CORRUPT, NULL },
	{ "ends amid a symbol", { 0xf2, 0x48, 0xcd }, 3, WS_INFLATE_CORRUPT, NULL },
	{ "ends amid a dynamic header", { 0x04, 0xc0 }, 2, WS_INFLATE_CORRUPT, NULL },
	{ "reserved block type", { 0x06, 0x00 }, 2, WS_INFLATE_CORRUPT, NULL },
	{ "stored length and its complement differ", { 0x00, 0x05, 0x00, 0xfb, 0xff, 0x48 }, 6, WS_INFLATE_CORRUPT, NULL },
	{ "reaches before the begin", { 0x02, 0x03, 0x00, 0x00 }, 4, WS_INFLATE_CORRUPT, NULL },
	{ "text", { 'H', 'e', 'l', 'l', 'o' }, 5, WS_INFLATE_CORRUPT, NULL },
	{ "ones", { 0xff, 0xff, 0xff, 0xff }, 4, WS_INFLATE_CORRUPT, NULL },
};

START_TEST(example) {
	for (size_t step = 1; step <= 24; step++) {
		struct buf out;

		buf_init(&out, 1024);
		ck_assert_msg(inflate_once(slice_of(examples[_i].bytes, examples[_i].len), step, &out) == examples[_i].want, "%s, %zu",
		    examples[_i].name, step);
		if (examples[_i].text != NULL)
			ck_assert_msg(slice_eq_text(buf_slice(&out), examples[_i].text), "%s: %.*s", examples[_i].name,
			    SLICE_ARGS(buf_slice(&out)));
		buf_fini(&out);
	}
	ws_deflate_free_shared();
}
END_TEST

/* 7.2.3.2: the second message refers to the first; a final block in between does not make it forget. */
START_TEST(context) {
	static const uint8_t first[] = { 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00 }, second[] = { 0xf2, 0x00, 0x11, 0x00, 0x00 },
			     last[] = { 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00 };
	struct ws_inflater *f = ws_inflater_new(15);
	struct buf out;

	buf_init(&out, 1024);
	ck_assert_int_eq(inflate_message(f, slice_of(first, sizeof(first)), 3, &out), WS_INFLATE_OK);
	ck_assert_int_eq(inflate_message(f, slice_of(second, sizeof(second)), 3, &out), WS_INFLATE_OK);
	ck_assert_int_eq(inflate_message(f, slice_of(last, sizeof(last)), 3, &out), WS_INFLATE_OK);
	ck_assert_int_eq(inflate_message(f, slice_of(second, sizeof(second)), 1, &out), WS_INFLATE_OK);
	ck_assert(slice_eq_text(buf_slice(&out), "HelloHelloHelloHello"));
	ws_inflater_release(&f);
	buf_reset(&out);
	ck_assert_int_eq(inflate_once(slice_of(second, sizeof(second)), 5, &out), WS_INFLATE_CORRUPT);
	buf_fini(&out);
	ws_deflate_free_shared();
}
END_TEST

/* --- round trips --- */

static const size_t sizes[] = { 0, 1, 2, 100, 255, 256, 257, 511, 512, 513, 1024, 4096, 32768, 32769, 65535, 200000 };

/* Made with the bits that are chosen for it, each message can be inflated with the window that its receiver has. */
START_TEST(alone) {
	uint8_t bits = (uint8_t)_i;
	uint64_t seed = 7692;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct ws_inflater *f;
		struct buf message, deflated, out;

		/* Nobody makes what is larger with 8 bits. */
		if (bits == WS_WINDOW_BITS_MIN && sizes[i] > 256)
			break;
		f = ws_inflater_new(bits);
		buf_init(&message, ROOM);
		buf_init(&deflated, ROOM);
		buf_init(&out, ROOM);
		fill(&seed, sizes[i], &message);
		ck_assert(ws_deflate_alone(ws_deflate_bits_for(bits, sizes[i]), 3, buf_slice(&message), &deflated));
		/* In crumbs: else zlib looks back further than its window. */
		ck_assert_int_eq(inflate_message(f, buf_slice(&deflated), 3, &out), WS_INFLATE_OK);
		ck_assert_msg(slice_eq(buf_slice(&message), buf_slice(&out)), "%u bits, %zu bytes", bits, sizes[i]);
		ws_inflater_release(&f);
		buf_fini(&message);
		buf_fini(&deflated);
		buf_fini(&out);
	}
	ws_deflate_free_shared();
	ck_assert_uint_eq(ws_deflate_counted()->memory_bytes, 0);
}
END_TEST

START_TEST(with_context) {
	uint8_t bits = (uint8_t)_i;
	struct ws_deflater *d = ws_deflater_new(bits, 6);
	struct ws_inflater *f = ws_inflater_new(bits);
	uint64_t seed = 7692;

	for (size_t round = 0; round < 40; round++) {
		struct buf message, deflated, out;

		buf_init(&message, ROOM);
		buf_init(&deflated, ROOM);
		buf_init(&out, ROOM);
		fill(&seed, sizes[feed_random(&seed, ARRAY_LEN(sizes))], &message);
		ck_assert(ws_deflater_add(d, buf_slice(&message), &deflated));
		ck_assert_int_eq(inflate_message(f, buf_slice(&deflated), 1 + feed_random(&seed, 5000), &out), WS_INFLATE_OK);
		ck_assert(slice_eq(buf_slice(&message), buf_slice(&out)));
		buf_fini(&message);
		buf_fini(&deflated);
		buf_fini(&out);
	}
	ck_assert_uint_gt(ws_deflate_counted()->memory_bytes, 0);
	ws_deflater_free(&d);
	ws_inflater_release(&f);
	ck_assert_uint_eq(ws_deflate_counted()->memory_bytes, 0);
}
END_TEST

START_TEST(split_rule) {
	ck_assert_uint_eq(ws_deflate_bits_for(15, 1 << 20), 15);
	ck_assert_uint_eq(ws_deflate_bits_for(9, 512), 15);
	ck_assert_uint_eq(ws_deflate_bits_for(9, 513), 9);
	ck_assert_uint_eq(ws_deflate_bits_for(12, 4096), 15);
	ck_assert_uint_eq(ws_deflate_bits_for(12, 4097), 12);
}
END_TEST

/* What is deflated is the same, whatever came before it. */
START_TEST(nothing_is_kept) {
	struct buf one, two;

	buf_init(&one, ROOM);
	buf_init(&two, ROOM);
	ck_assert(ws_deflate_alone(15, 3, slice_text("Hello Hello Hello"), &one));
	ck_assert(ws_deflate_alone(15, 3, slice_text("Hello Hello Hello"), &two));
	ck_assert(slice_eq(buf_slice(&one), buf_slice(&two)));
	ck_assert_uint_eq(ws_deflate_counted()->deflate_calls, 2);
	ck_assert_uint_eq(ws_deflate_counted()->deflate_bytes_in, 34);
	ck_assert_uint_eq(ws_deflate_counted()->deflate_bytes_out, 2 * one.len);
	/* No room for it. */
	buf_fini(&one);
	buf_init(&one, 4);
	ck_assert(!ws_deflate_alone(15, 3, slice_text("Hello Hello Hello"), &one));
	buf_fini(&one);
	buf_fini(&two);
	ws_deflate_free_shared();
}
END_TEST

/* --- hostile --- */

/* A thousandfold: never more than the bound comes out, nor much more memory. */
START_TEST(bomb) {
	enum { BOUND = 100000 };
	struct buf zeros, deflated, out;

	buf_init(&zeros, 20 * ROOM);
	buf_init(&deflated, ROOM);
	ck_assert_ptr_nonnull(buf_reserve(&zeros, 20 * ROOM));
	zeros.len = 20 * ROOM;
	memset(zeros.data, 0, zeros.len);
	ck_assert(ws_deflate_alone(15, 9, buf_slice(&zeros), &deflated));
	ck_assert_uint_lt(deflated.len, zeros.len / 1000);
	for (size_t step = 1; step <= 100000; step *= 10) {
		buf_init(&out, BOUND);
		ck_assert_int_eq(inflate_once(buf_slice(&deflated), step, &out), WS_INFLATE_TOO_BIG);
		ck_assert_uint_le(out.cap, BOUND);
		ck_assert_uint_eq(out.len, BOUND);
		buf_fini(&out);
	}
	/* Exactly at the bound. */
	buf_init(&out, BOUND);
	buf_reset(&deflated);
	ck_assert(ws_deflate_alone(15, 9, slice_of(zeros.data, BOUND), &deflated));
	ck_assert_int_eq(inflate_once(buf_slice(&deflated), 50, &out), WS_INFLATE_OK);
	ck_assert_uint_eq(out.len, BOUND);
	buf_reset(&out);
	buf_reset(&deflated);
	ck_assert(ws_deflate_alone(15, 9, slice_of(zeros.data, BOUND + 1), &deflated));
	ck_assert_int_eq(inflate_once(buf_slice(&deflated), 50, &out), WS_INFLATE_TOO_BIG);
	buf_fini(&out);
	buf_fini(&zeros);
	buf_fini(&deflated);
	ws_deflate_free_shared();
	ck_assert_uint_eq(ws_deflate_counted()->memory_bytes, 0);
}
END_TEST

/* Damaged anywhere, cut anywhere: the same result, the same bytes, however it comes. */
START_TEST(mutations) {
	uint64_t seed = 20240807;

	for (int round = 0; round < 6000; round++) {
		struct buf message, deflated, whole, parts;
		enum ws_inflate_result result;

		buf_init(&message, ROOM);
		buf_init(&deflated, ROOM);
		buf_init(&whole, 2000);
		buf_init(&parts, 2000);
		fill(&seed, feed_random(&seed, 1500), &message);
		ck_assert(ws_deflate_alone((uint8_t)(9 + feed_random(&seed, 7)), 1 + (int)feed_random(&seed, 9), buf_slice(&message), &deflated));
		for (uint32_t i = feed_random(&seed, 4); i > 0; i--)
			deflated.data[feed_random(&seed, (uint32_t)deflated.len)] ^= (uint8_t)(1U << feed_random(&seed, 8));
		if (feed_random(&seed, 4) == 0)
			deflated.len = feed_random(&seed, (uint32_t)deflated.len);
		result = inflate_once(buf_slice(&deflated), ROOM, &whole);
		ck_assert_int_eq(inflate_once(buf_slice(&deflated), 1 + feed_random(&seed, 40), &parts), result);
		ck_assert(slice_eq(buf_slice(&whole), buf_slice(&parts)));
		buf_fini(&message);
		buf_fini(&deflated);
		buf_fini(&whole);
		buf_fini(&parts);
	}
	ws_deflate_free_shared();
	ck_assert_uint_eq(ws_deflate_counted()->memory_bytes, 0);
}
END_TEST

/* Farther back than the window that was agreed on: refused or right, depending on how it comes, but never other bytes. */
START_TEST(beyond_window) {
	uint64_t seed = 5;
	struct buf text, message, deflated;

	buf_init(&text, ROOM);
	buf_init(&message, ROOM);
	buf_init(&deflated, ROOM);
	fill(&seed, 1000, &text);
	buf_add(&message, buf_slice(&text));
	buf_add(&message, buf_slice(&text));
	ck_assert(ws_deflate_alone(15, 9, buf_slice(&message), &deflated));
	for (size_t step = 1; step < deflated.len; step += 7) {
		struct ws_inflater *f = ws_inflater_new(9);
		enum ws_inflate_result result;
		struct buf out;

		buf_init(&out, ROOM);
		result = inflate_message(f, buf_slice(&deflated), step, &out);
		ck_assert(result == WS_INFLATE_OK || result == WS_INFLATE_CORRUPT);
		ck_assert(result == WS_INFLATE_CORRUPT || out.len == message.len);
		ck_assert(slice_eq(buf_slice(&out), slice_of(message.data, out.len)));
		ws_inflater_release(&f);
		buf_fini(&out);
	}
	buf_fini(&text);
	buf_fini(&message);
	buf_fini(&deflated);
	ws_deflate_free_shared();
}
END_TEST

/* It ends with a block, without the begin of the empty one, and its 256 bytes just fill the first step's room. */
START_TEST(full_room) {
	static const uint8_t deflated[] = { 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0xaa, 0xa4, 0x2a, 0xa9, 0x2c, 0x53, 0xb2, 0x48, 0x2b, 0x78, 0x80,
					    0xa4, 0x0a, 0x48, 0x24, 0x00 };

	for (size_t step = 1; step <= sizeof(deflated); step++) {
		struct buf out;

		buf_init(&out, 1000);
		ck_assert_int_eq(inflate_once(slice_of(deflated, sizeof(deflated)), step, &out), WS_INFLATE_OK);
		ck_assert_uint_eq(out.len, 256);
		buf_fini(&out);
	}
	ws_deflate_free_shared();
}
END_TEST

/* Inflaters go back to those that are lent, and what the last one left in them does not matter. */
START_TEST(lending) {
	struct ws_inflater *f[20];
	struct buf out;
	uint64_t before;

	buf_init(&out, ROOM);
	for (size_t i = 0; i < ARRAY_LEN(f); i++) {
		f[i] = ws_inflater_borrow();
		ck_assert_int_eq(ws_inflater_add(f[i], slice_of("\xf2\x48\xcd", 3), &out), WS_INFLATE_OK);
	}
	before = ws_deflate_counted()->memory_bytes;
	for (size_t i = 0; i < ARRAY_LEN(f); i++)
		ws_inflater_release(&f[i]);
	ck_assert_uint_lt(ws_deflate_counted()->memory_bytes, before / 2);
	for (size_t i = 0; i < 3; i++) {
		buf_reset(&out);
		ck_assert_int_eq(inflate_once(slice_of("\xf2\x48\xcd\xc9\xc9\x07\x00", 7), 7, &out), WS_INFLATE_OK);
		ck_assert(slice_eq_text(buf_slice(&out), "Hello"));
	}
	buf_fini(&out);
	ws_deflate_free_shared();
	ck_assert_uint_eq(ws_deflate_counted()->memory_bytes, 0);
}
END_TEST

Suite *suite_ws_deflate(void);

Suite *suite_ws_deflate(void) {
	Suite *s = suite_create("ws_deflate");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, example, 0, ARRAY_LEN(examples));
	tcase_add_test(t, context);
	tcase_add_loop_test(t, alone, WS_WINDOW_BITS_MIN, WS_WINDOW_BITS_MAX + 1);
	tcase_add_loop_test(t, with_context, WS_DEFLATE_BITS_MIN, WS_WINDOW_BITS_MAX + 1);
	tcase_add_test(t, split_rule);
	tcase_add_test(t, nothing_is_kept);
	tcase_add_test(t, bomb);
	tcase_add_test(t, mutations);
	tcase_add_test(t, beyond_window);
	tcase_add_test(t, full_room);
	tcase_add_test(t, lending);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return s;
}
