/* ws_reader_deflate - compressed messages in frames: where the bit may stand, fragments, bounds, contexts, memory */
#include <check.h>

#include "common/base/mem.h"
#include "server/ws/ws_reader.h"
#include "tests/unit/feed.h"
#include "tests/unit/ws_reference.h"

struct subject {
	uint32_t max_message_bytes;
	bool keeps;
};

static void *start(const void *arg) {
	const struct subject *s = arg;
	struct ws_deflate_terms terms = { .server_bits = 15, .client_bits = 15, .client_keeps = s->keeps };
	struct ws_reader *r = mem_zalloc(sizeof(*r));

	ws_reader_init(r, s->max_message_bytes);
	ws_reader_set_deflate(r, &terms);
	return r;
}

static bool part(void *parser, struct slice bytes, struct buf *log) {
	for (;;) {
		struct ws_item item = ws_reader_next(parser, &bytes);

		if (item.type == WS_ITEM_MORE)
			return true;
		ws_describe(&item, true, log);
		ck_assert(!item.is_corrupt || item.type == WS_ITEM_BAD);
		if (item.type == WS_ITEM_BAD || item.type == WS_ITEM_CLOSE)
			return false;
	}
}

static void stop(void *parser) {
	ws_reader_fini(parser);
	mem_free(parser);
}

/* Hexadecimal digits and blanks. */
static void bytes_of(const char *notation, struct buf *out) {
	static const char digits[] = "0123456789abcdef";

	for (const char *c = notation; *c != '\0'; c++) {
		if (*c == ' ')
			continue;
		buf_add_u8(out, (uint8_t)((strchr(digits, c[0]) - digits) << 4 | (strchr(digits, c[1]) - digits)));
		c++;
	}
}

/* A mask of zeros, to keep the payload readable. */
#define M " 00000000 "
#define HELLO "f248cdc9c90700"
#define TOO_BIG "BAD 1009 the message is larger than this server accepts\n"
#define CORRUPT "BAD 1007 the compressed data is corrupt\n"
#define BAD_TEXT "BAD 1007 the text is not valid UTF-8\n"
#define BAD_BIT "BAD 1002 a reserved bit is set where no extension agreed on has a use for it\n"

static const struct {
	const char *name, *input, *want;
	uint32_t max_message_bytes;	/* 0: 1024 */
	bool keeps;
} vectors[] = {
	{ "whole", "c1 87" M HELLO, "TEXT 1 Hello\n", 0, false },
	{ "binary", "c2 87" M HELLO, "BINARY 1 Hello\n", 0, false },
	{ "fragments", "41 83" M "f248cd 80 84" M "c9c90700", "TEXT 2 Hello\n", 0, false },
	{ "empty fragments around", "41 80" M "00 87" M HELLO "80 80" M, "TEXT 3 Hello\n", 0, false },
	{ "control frames between", "41 83" M "f248cd 89 81" M "70 00 82" M "c9c9 8a 80" M "80 82" M "0700", "PING 1 p\nPONG 1\nTEXT 3 Hello\n", 0, false },
	{ "empty message", "c1 81" M "00", "TEXT 1\n", 0, false },
	{ "empty frame", "c1 80" M, "TEXT 1\n", 0, false },
	{ "not compressed", "81 81" M "61 c1 87" M HELLO "82 81" M "62", "TEXT 1 a\nTEXT 1 Hello\nBINARY 1 b\n", 0, false },
	{ "not compressed, fragments", "01 81" M "61 80 81" M "62 c1 87" M HELLO, "TEXT 2 ab\nTEXT 1 Hello\n", 0, false },
	{ "each for itself", "c1 87" M HELLO "c1 85" M "f200110000", "TEXT 1 Hello\n" CORRUPT, 0, false },
	{ "one context", "c1 87" M HELLO "c1 85" M "f200110000", "TEXT 1 Hello\nTEXT 1 Hello\n", 0, true },
	{ "one context, plain between", "c1 87" M HELLO "81 81" M "61 41 82" M "f200 80 83" M "110000", "TEXT 1 Hello\nTEXT 1 a\nTEXT 2 Hello\n", 0, true },
	{ "final block", "c1 88" M "f348cdc9c9070000", "TEXT 1 Hello\n", 0, false },
	{ "close between fragments", "41 83" M "f248cd 88 80" M, "CLOSE 1005\n", 0, false },
	{ "half a message", "41 83" M "f248cd 80 84" M "c9", "", 0, false },
	{ "bit on a continuation", "41 83" M "f248cd c0", BAD_BIT, 0, false },
	{ "bit on a continuation of a plain one", "01 81" M "61 c0", BAD_BIT, 0, false },
	{ "bit on a ping", "c9", BAD_BIT, 0, false },
	{ "bit on a close", "c8", BAD_BIT, 0, false },
	{ "second reserved bit", "e1", BAD_BIT, 0, false },
	{ "third reserved bit", "91", BAD_BIT, 0, false },
	{ "exactly as large as allowed", "c1 87" M HELLO, "TEXT 1 Hello\n", 5, false },
	{ "too large by one", "c1 87" M HELLO, TOO_BIG, 4, false },
	{ "compressed larger than allowed", "c2 fe 2801", TOO_BIG, 16, false },
	{ "corrupt", "c1 84" M "ffffffff", CORRUPT, 0, false },
	{ "corrupt in the second fragment", "42 83" M "f248cd 80 84" M "ffffffff", CORRUPT, 0, false },
	{ "cut off", "c1 83" M "f248cd", CORRUPT, 0, false },
	/* A stored block of c3 28, and of e2 82 alone. */
	{ "bad byte", "c1 88" M "000200fdffc32800", BAD_TEXT, 0, false },
	{ "bad byte before the end", "c1 90" M "000200fdffc328", BAD_TEXT, 0, false },
	{ "end in a character", "c1 88" M "000200fdffe28200", "BAD 1007 the text ends in the middle of a UTF-8 character\n", 0, false },
	{ "binary may be no UTF-8", "c2 88" M "000200fdffc32800", "BINARY 1 \\xc3(\n", 0, false },
	/* A bad byte, then damage; then more than is allowed: what comes first counts. */
	{ "bad byte, then corrupt", "c1 8a" M "000200fdffc32806ffff", BAD_TEXT, 0, false },
	{ "bad byte, then too large", "c1 88" M "000200fdffc32800", BAD_TEXT, 2, false },
};

START_TEST(vector) {
	uint32_t max = vectors[_i].max_message_bytes;
	struct subject subject = { max > 0 ? max : 1024, vectors[_i].keeps };
	struct feed_parser parser = { start, part, stop, &subject };
	struct buf input;
	char *got;

	buf_init(&input, 4096);
	bytes_of(vectors[_i].input, &input);
	got = feed_all(&parser, vectors[_i].name, buf_slice(&input));
	ck_assert_msg(strcmp(got, vectors[_i].want) == 0, "%s: got %s", vectors[_i].name, got);
	mem_free(got);
	buf_fini(&input);
	ws_deflate_free_shared();
	ck_assert_uint_eq(ws_deflate_counted()->memory_bytes, 0);
}
END_TEST

/* Between messages nothing is kept, unless the client keeps its context. */
START_TEST(memory) {
	for (int keeps = 0; keeps < 2; keeps++) {
		struct subject subject = { 1024, keeps == 1 };
		struct ws_reader *r = start(&subject);
		struct buf input;
		struct slice in;

		buf_init(&input, 100);
		bytes_of("c1 87" M HELLO, &input);
		in = buf_slice(&input);
		ck_assert_ptr_null(r->partial);
		ck_assert_int_eq(ws_reader_next(r, &in).type, WS_ITEM_TEXT);
		ck_assert_int_eq(ws_reader_next(r, &in).type, WS_ITEM_MORE);
		ck_assert((r->partial != NULL) == (keeps == 1));
		stop(r);
		buf_fini(&input);
		ws_deflate_free_shared();
		ck_assert_uint_eq(ws_deflate_counted()->memory_bytes, 0);
	}
}
END_TEST

/* 16 MiB of zeros in 16 KiB: refused as soon as the bound is reached, with no more memory than that. */
START_TEST(bomb) {
	enum { ZEROS = 16 << 20, BOUND = 4 << 20 };
	struct subject subject = { BOUND, false };
	struct ws_reader *r = start(&subject);
	struct buf zeros, deflated, input;
	struct ws_item item;
	struct slice in;
	unsigned turns = 0;

	buf_init(&zeros, ZEROS);
	buf_init(&deflated, ZEROS);
	buf_init(&input, ZEROS);
	ck_assert_ptr_nonnull(buf_reserve(&zeros, ZEROS));
	memset(zeros.data, 0, ZEROS);
	ck_assert(ws_deflate_alone(15, 9, slice_of(zeros.data, ZEROS), &deflated));
	ck_assert_uint_lt(deflated.len, UINT16_MAX);
	buf_add(&input, slice_of("\xc1\xfe", 2));
	buf_add_u8(&input, (uint8_t)(deflated.len >> 8));
	buf_add_u8(&input, (uint8_t)deflated.len);
	buf_add(&input, slice_of("\0\0\0\0", 4));
	buf_add(&input, buf_slice(&deflated));
	in = buf_slice(&input);
	/* In turns, so that others have theirs. */
	do {
		item = ws_reader_next(r, &in);
		turns++;
	} while (item.type == WS_ITEM_MORE && in.len > 0);
	ck_assert_uint_ge(turns, 3);
	ck_assert_int_eq(item.type, WS_ITEM_BAD);
	ck_assert_uint_eq(item.close_code, 1009);
	ck_assert_uint_lt(ws_reader_kept_bytes(r), BOUND + 1024);
	stop(r);
	buf_fini(&zeros);
	buf_fini(&deflated);
	buf_fini(&input);
	ws_deflate_free_shared();
}
END_TEST

/* Damaged frames and payloads: no crash, and the same however they come. */
START_TEST(mutations) {
	static const char good[] = "41 83" M "f248cd 89 81" M "70 80 84" M "c9c90700 c1 85" M "f200110000 81 81" M "61 c1 88" M "f348cdc9c9070000";
	uint64_t seed = 7692;

	for (int round = 0; round < 20000; round++) {
		struct subject subject = { 64, round % 2 == 0 };
		struct feed_parser parser = { start, part, stop, &subject };
		struct buf input, whole, parts;
		size_t cuts[64], cut_count = 0;

		buf_init(&input, 4096);
		buf_init(&whole, 1 << 16);
		buf_init(&parts, 1 << 16);
		bytes_of(good, &input);
		for (uint32_t i = 1 + feed_random(&seed, 4); i > 0; i--)
			input.data[feed_random(&seed, (uint32_t)input.len)] ^= (uint8_t)(1U << feed_random(&seed, 8));
		for (size_t at = feed_random(&seed, 8); at < input.len && cut_count < ARRAY_LEN(cuts); at += 1 + feed_random(&seed, 8))
			cuts[cut_count++] = at;
		feed_cut(&parser, buf_slice(&input), NULL, 0, &whole);
		feed_cut(&parser, buf_slice(&input), cuts, cut_count, &parts);
		ck_assert_msg(slice_eq(buf_slice(&whole), buf_slice(&parts)), "round %d: %.*s\n%.*s", round, SLICE_ARGS(buf_slice(&whole)),
		    SLICE_ARGS(buf_slice(&parts)));
		buf_fini(&input);
		buf_fini(&whole);
		buf_fini(&parts);
	}
	ws_deflate_free_shared();
	ck_assert_uint_eq(ws_deflate_counted()->memory_bytes, 0);
}
END_TEST

Suite *suite_ws_reader_deflate(void);

Suite *suite_ws_reader_deflate(void) {
	Suite *s = suite_create("ws_reader_deflate");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, vector, 0, ARRAY_LEN(vectors));
	tcase_add_test(t, memory);
	tcase_add_test(t, bomb);
	tcase_add_test(t, mutations);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return s;
}
