/* ws_reader - vectors of client frames cut in every way, bounds, and random streams against a plain reading of the RFC */
#include <check.h>

#include "common/base/mem.h"
#include "server/ws/ws_reader.h"
#include "tests/unit/feed.h"
#include "tests/unit/ws_reference.h"

struct subject {
	uint32_t max_message_bytes;
	bool with_sentences;
};

struct run {
	struct ws_reader reader;
	bool with_sentences;
};

static void *start(const void *arg) {
	const struct subject *s = arg;
	struct run *run = mem_zalloc(sizeof(*run));

	ws_reader_init(&run->reader, s->max_message_bytes);
	run->with_sentences = s->with_sentences;
	return run;
}

static bool part(void *parser, struct slice bytes, struct buf *log) {
	struct run *run = parser;

	for (;;) {
		struct ws_item item = ws_reader_next(&run->reader, &bytes);

		if (item.type == WS_ITEM_MORE) {
			ck_assert_uint_eq(bytes.len, 0);
			return true;
		}
		ws_describe(&item, run->with_sentences, log);
		if (item.type == WS_ITEM_BAD || item.type == WS_ITEM_CLOSE)
			return false;
	}
}

static void stop(void *parser) {
	struct run *run = parser;

	ws_reader_fini(&run->reader);
	mem_free(run);
}

/* Hexadecimal digits, blanks, and text in '' as it is. */
static void bytes_of(const char *notation, struct buf *out) {
	static const char digits[] = "0123456789abcdef";

	for (const char *c = notation; *c != '\0'; c++) {
		if (*c == ' ')
			continue;
		if (*c == '\'') {
			while (*++c != '\'')
				buf_add_u8(out, (uint8_t)*c);
			continue;
		}
		buf_add_u8(out, (uint8_t)((strchr(digits, c[0]) - digits) << 4 | (strchr(digits, c[1]) - digits)));
		c++;
	}
}

/* A mask of zeros, to keep the payload readable. */
#define M " 00000000 "

static const struct {
	const char *name, *input, *want;
	uint32_t max_message_bytes;	/* 0: 1024 */
} vectors[] = {
	{ "RFC 6455, 5.7: masked text", "81 85 37fa213d 7f9f4d5158", "TEXT 1 Hello\n", 0 },
	{ "RFC 6455, 5.7: fragmented text", "01 83" M "'Hel' 80 82" M "'lo'", "TEXT 2 Hello\n", 0 },
	{ "RFC 6455, 5.7: masked pong", "8a 85 37fa213d 7f9f4d5158", "PONG 1 Hello\n", 0 },
	{ "two messages", "81 81" M "'a' 82 82" M "00ff", "TEXT 1 a\nBINARY 1 \\x00\\xff\n", 0 },
	{ "empty messages", "81 80" M "82 80" M, "TEXT 1\nBINARY 1\n", 0 },
	{ "empty fragments", "01 80" M "00 80" M "80 80" M, "TEXT 3\n", 0 },
	{ "empty fragments around", "02 80" M "00 81" M "'a' 80 80" M, "BINARY 3 a\n", 0 },
	{ "control frames between fragments", "01 81" M "'a' 89 81" M "'p' 00 81" M "'b' 8a 80" M "80 81" M "'c'",
	    "PING 1 p\nPONG 1\nTEXT 3 abc\n", 0 },
	{ "close between fragments", "01 81" M "'a' 88 82" M "03e8", "CLOSE 1000\n", 0 },
	{ "126 bytes", "82 fe 007e" M
	    "'0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789'"
	    "'01234567890123456789012345'",
	    "BINARY 1 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
	    "01234567890123456789012345\n", 0 },
	{ "ping of 125 bytes", "89 fd" M
	    "'0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789'"
	    "'0123456789012345678901234'",
	    "PING 1 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
	    "0123456789012345678901234\n", 0 },
	{ "as large as allowed", "82 83" M "'abc' 02 81" M "'a' 80 82" M "'bc'", "BINARY 1 abc\nBINARY 2 abc\n", 3 },
	{ "control frames are not counted", "02 83" M "'abc' 89 82" M "'pp' 80 80" M, "PING 1 pp\nBINARY 2 abc\n", 3 },
	{ "close without a code", "88 80" M, "CLOSE 1005\n", 0 },
	{ "close with a reason", "88 85" M "03e9 'bye'", "CLOSE 1001 bye\n", 0 },
	{ "close of an application", "88 82" M "0bb8", "CLOSE 3000\n", 0 },
	{ "close of a user", "88 82" M "1387", "CLOSE 4999\n", 0 },
	{ "nothing after a close", "88 80" M "81 81" M "'a'", "CLOSE 1005\n", 0 },
	{ "UTF-8 of every length", "81 8a" M "'a' c3a4 e282ac f09f9880", "TEXT 1 a\\xc3\\xa4\\xe2\\x82\\xac\\xf0\\x9f\\x98\\x80\n", 0 },
	{ "UTF-8 cut by fragments", "01 81" M "e2 00 81" M "82 89 81" M "'p' 80 81" M "ac", "PING 1 p\nTEXT 3 \\xe2\\x82\\xac\n", 0 },
	{ "UTF-8 begins anew in each message", "01 81" M "c3 80 81" M "a4 81 81" M "'a'", "TEXT 2 \\xc3\\xa4\nTEXT 1 a\n", 0 },
	{ "binary may be no UTF-8", "02 81" M "ff 80 81" M "c3", "BINARY 2 \\xff\\xc3\n", 0 },

	{ "nothing", "", "", 0 },
	{ "half a header", "81 fe 00", "", 0 },
	{ "half a mask", "81 85 0000", "", 0 },
	{ "half a frame", "81 85" M "'Hel'", "", 0 },
	{ "half a message", "01 85" M "'Hello'", "", 0 },
	{ "unmasked text", "81 05 'Hello'", "BAD 1002 a client must mask its frames\n", 0 },
	{ "unmasked and empty", "81 00", "BAD 1002 a client must mask its frames\n", 0 },
	{ "unmasked ping", "89 00", "BAD 1002 a client must mask its frames\n", 0 },
	{ "unmasked close", "88 02 03e8", "BAD 1002 a client must mask its frames\n", 0 },
	{ "first reserved bit", "c1", "BAD 1002 a reserved bit is set, but no extension was agreed on\n", 0 },
	{ "second reserved bit", "a1", "BAD 1002 a reserved bit is set, but no extension was agreed on\n", 0 },
	{ "third reserved bit", "91", "BAD 1002 a reserved bit is set, but no extension was agreed on\n", 0 },
	{ "reserved bit of a ping", "c9", "BAD 1002 a reserved bit is set, but no extension was agreed on\n", 0 },
	{ "reserved bit of a continuation", "01 80" M "c0", "BAD 1002 a reserved bit is set, but no extension was agreed on\n", 0 },
	{ "opcode 3", "83", "BAD 1002 the opcode is reserved\n", 0 },
	{ "opcode 7", "87", "BAD 1002 the opcode is reserved\n", 0 },
	{ "opcode 11", "8b", "BAD 1002 the opcode is reserved\n", 0 },
	{ "opcode 15", "8f", "BAD 1002 the opcode is reserved\n", 0 },
	{ "fragmented ping", "09", "BAD 1002 a control frame must not be fragmented\n", 0 },
	{ "fragmented close", "08", "BAD 1002 a control frame must not be fragmented\n", 0 },
	{ "ping of 126 bytes", "89 fe", "BAD 1002 a control frame must not be longer than 125 bytes\n", 0 },
	{ "close of 64 bits", "88 ff", "BAD 1002 a control frame must not be longer than 125 bytes\n", 0 },
	{ "continuation of nothing", "80", "BAD 1002 a continuation frame without a message to continue\n", 0 },
	{ "unfinished continuation of nothing", "00", "BAD 1002 a continuation frame without a message to continue\n", 0 },
	{ "continuation of a whole message", "81 81" M "'a' 80 81" M "'b'",
	    "TEXT 1 a\nBAD 1002 a continuation frame without a message to continue\n", 0 },
	{ "continuation of a joined message", "01 81" M "'a' 80 81" M "'b' 80 80" M,
	    "TEXT 2 ab\nBAD 1002 a continuation frame without a message to continue\n", 0 },
	{ "continuation of a ping", "89 80" M "80 80" M, "PING 1\nBAD 1002 a continuation frame without a message to continue\n", 0 },
	{ "text in a message", "01 81" M "'a' 81 81" M "'b'",
	    "BAD 1002 a new message begins before the last fragment of the previous one\n", 0 },
	{ "binary in an empty message", "01 80" M "02", "BAD 1002 a new message begins before the last fragment of the previous one\n", 0 },
	{ "highest bit of the length", "82 ff 8000000000000000" M, "BAD 1002 the highest bit of the length must be 0\n", 0 },
	{ "all bits of the length", "82 ff ffffffffffffffff" M, "BAD 1002 the highest bit of the length must be 0\n", 0 },
	{ "two bytes for 125", "82 fe 007d", "BAD 1002 the length must be encoded in as few bytes as possible\n", 0 },
	{ "two bytes for nothing", "81 fe 0000", "BAD 1002 the length must be encoded in as few bytes as possible\n", 0 },
	{ "eight bytes for 65535", "82 ff 000000000000ffff", "BAD 1002 the length must be encoded in as few bytes as possible\n", 0 },
	{ "eight bytes for one", "82 ff 0000000000000001", "BAD 1002 the length must be encoded in as few bytes as possible\n", 0 },
	{ "too large by one", "82 84", "BAD 1009 the message is larger than this server accepts\n", 3 },
	{ "too large by one, refused without its mask", "82 fe 0081", "BAD 1009 the message is larger than this server accepts\n", 128 },
	{ "too large for 32 bits", "82 ff 0000000100000000", "BAD 1009 the message is larger than this server accepts\n", 0 },
	{ "largest length there is", "82 ff 7fffffffffffffff", "BAD 1009 the message is larger than this server accepts\n", 0 },
	{ "fragments too large together", "02 82" M "'ab' 00 81" M "'c' 80 81", "BAD 1009 the message is larger than this server accepts\n", 3 },
	{ "too large text with a bad byte", "01 82" M "'ab' 80 82" M "ffff", "BAD 1009 the message is larger than this server accepts\n", 3 },
	{ "close of one byte", "88 81" M "03", "BAD 1002 a close frame has a code of two bytes or nothing at all\n", 0 },
	{ "close 0", "88 82" M "0000", "BAD 1002 the code of a close frame is not valid\n", 0 },
	{ "close 999", "88 82" M "03e7", "BAD 1002 the code of a close frame is not valid\n", 0 },
	{ "close 1004", "88 82" M "03ec", "BAD 1002 the code of a close frame is not valid\n", 0 },
	{ "close 1005", "88 82" M "03ed", "BAD 1002 the code of a close frame is not valid\n", 0 },
	{ "close 1006", "88 82" M "03ee", "BAD 1002 the code of a close frame is not valid\n", 0 },
	{ "close 1015", "88 82" M "03f7", "BAD 1002 the code of a close frame is not valid\n", 0 },
	{ "close 2999", "88 82" M "0bb7", "BAD 1002 the code of a close frame is not valid\n", 0 },
	{ "close 5000", "88 82" M "1388", "BAD 1002 the code of a close frame is not valid\n", 0 },
	{ "close with a bad reason", "88 84" M "03e8 'a' ff", "BAD 1007 the reason of a close frame is not valid UTF-8\n", 0 },
	{ "close with half a character", "88 84" M "03e8 'a' c3", "BAD 1007 the reason of a close frame is not valid UTF-8\n", 0 },
	{ "bad byte", "81 81" M "ff", "BAD 1007 the text is not valid UTF-8\n", 0 },
	{ "bad byte in half a frame", "81 85" M "'a' ff", "BAD 1007 the text is not valid UTF-8\n", 0 },
	{ "bad byte in half a message", "01 82" M "'a' ff", "BAD 1007 the text is not valid UTF-8\n", 0 },
	{ "bad byte under its mask", "81 85 01020304 fd", "BAD 1007 the text is not valid UTF-8\n", 0 },
	{ "overlong slash", "81 85" M "c0", "BAD 1007 the text is not valid UTF-8\n", 0 },
	{ "overlong of three bytes", "81 85" M "e080", "BAD 1007 the text is not valid UTF-8\n", 0 },
	{ "surrogate", "81 85" M "eda0", "BAD 1007 the text is not valid UTF-8\n", 0 },
	{ "past the last character", "81 85" M "f490", "BAD 1007 the text is not valid UTF-8\n", 0 },
	{ "character broken by a fragment", "01 81" M "e2 00 81" M "'a'", "BAD 1007 the text is not valid UTF-8\n", 0 },
	{ "surrogate over two fragments", "01 81" M "ed 00 81" M "a0", "BAD 1007 the text is not valid UTF-8\n", 0 },
	{ "end in a character", "81 82" M "e282", "BAD 1007 the text ends in the middle of a UTF-8 character\n", 0 },
	{ "end in a character, fragmented", "01 82" M "e282 80 80" M, "BAD 1007 the text ends in the middle of a UTF-8 character\n", 0 },
};

START_TEST(vector) {
	uint32_t max = vectors[_i].max_message_bytes;
	struct subject subject = { max > 0 ? max : 1024, true };
	struct feed_parser parser = { start, part, stop, &subject };
	struct buf input;
	char *got;

	buf_init(&input, 4096);
	bytes_of(vectors[_i].input, &input);
	got = feed_all(&parser, vectors[_i].name, buf_slice(&input));
	ck_assert_msg(strcmp(got, vectors[_i].want) == 0, "%s: got %s", vectors[_i].name, got);
	mem_free(got);
	buf_fini(&input);
}
END_TEST

START_TEST(close_codes) {
	for (uint32_t code = 0; code <= UINT16_MAX; code++) {
		bool valid = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);

		ck_assert_msg(ws_close_code_is_valid((uint16_t)code) == valid, "%u", code);
	}
}
END_TEST

/* A masked frame; the mask changes from frame to frame. */
static void add_frame(struct buf *out, uint8_t first, struct slice payload) {
	uint8_t header[WS_SERVER_HEADER_MAX];
	uint8_t mask[4] = { (uint8_t)out->len, 0xa5, (uint8_t)(payload.len * 7), 0x11 };
	size_t len = ws_frame_header(header, first, payload.len), at;

	header[1] |= 0x80;
	buf_add(out, slice_of(header, len));
	buf_add(out, slice_of(mask, sizeof(mask)));
	at = out->len;
	buf_add(out, payload);
	ck_assert(!out->failed);
	if (payload.len > 0)
		ws_unmask(out->data + at, payload.len, mask, 0);
}

START_TEST(whole_messages_stay_in_place) {
	struct ws_reader r;
	struct ws_item item;
	struct buf input;
	struct slice in;

	ws_reader_init(&r, 1024);
	buf_init(&input, 4096);
	add_frame(&input, WS_FIN | WS_TEXT, slice_text("Hello"));
	add_frame(&input, WS_FIN | WS_PING, slice_text("ping"));
	in = buf_slice(&input);
	item = ws_reader_next(&r, &in);
	ck_assert_int_eq(item.type, WS_ITEM_TEXT);
	ck_assert_ptr_eq(item.data.ptr, input.data + 6);
	item = ws_reader_next(&r, &in);
	ck_assert_int_eq(item.type, WS_ITEM_PING);
	ck_assert_ptr_eq(item.data.ptr, input.data + 6 + 5 + 6);
	ck_assert_uint_eq(ws_reader_kept_bytes(&r), 0);
	ck_assert_int_eq(ws_reader_next(&r, &in).type, WS_ITEM_MORE);
	ck_assert_ptr_null(r.partial);
	buf_fini(&input);
}
END_TEST

/* Whatever was half received is given back with the call after its item. */
START_TEST(nothing_stays_behind) {
	static const uint8_t firsts[] = { WS_FIN | WS_TEXT, WS_FIN | WS_BINARY, WS_FIN | WS_PING, WS_FIN | WS_PONG };

	for (size_t i = 0; i < ARRAY_LEN(firsts); i++) {
		struct ws_reader r;
		struct buf input;
		struct slice in;

		ws_reader_init(&r, 1024);
		buf_init(&input, 4096);
		add_frame(&input, firsts[i], slice_text("Hello"));
		for (size_t at = 0; at < input.len; at++) {
			in = slice_of(input.data + at, 1);
			ck_assert_int_eq(ws_reader_next(&r, &in).type == WS_ITEM_MORE, at < input.len - 1);
			ck_assert_uint_gt(ws_reader_kept_bytes(&r), 0);
		}
		ck_assert_int_eq(ws_reader_next(&r, &in).type, WS_ITEM_MORE);
		ck_assert_ptr_null(r.partial);
		ck_assert_uint_eq(ws_reader_kept_bytes(&r), 0);
		buf_fini(&input);
	}
}
END_TEST

START_TEST(memory_follows_what_came) {
	/* 64 MiB are announced. */
	uint8_t input[14 + 4096] = { 0x82, 0xff, 0, 0, 0, 0, 0x04 };
	struct slice in = slice_of(input, 14 + 10);
	struct ws_reader r;

	ws_reader_init(&r, 64U << 20);
	ck_assert_int_eq(ws_reader_next(&r, &in).type, WS_ITEM_MORE);
	ck_assert_uint_lt(ws_reader_kept_bytes(&r), 512);
	for (size_t came = 10; came < 1U << 20; came += 4096) {
		in = slice_of(input + 14, 4096);
		ck_assert_int_eq(ws_reader_next(&r, &in).type, WS_ITEM_MORE);
		ck_assert_uint_lt(ws_reader_kept_bytes(&r), 2 * (came + 4096) + 512);
	}
	ws_reader_fini(&r);
	ck_assert_uint_eq(ws_reader_kept_bytes(&r), 0);
	ws_reader_fini(&r);
}
END_TEST

/* A large message in tiny fragments, in receive buffers that begin anywhere in a frame. */
START_TEST(many_fragments) {
	enum { TOTAL = 4 << 20, FRAGMENT = 64, RECEIVED = 65536 - 7 };
	struct ws_reader r;
	struct buf input;
	struct slice stream;
	char text[FRAGMENT + 1];
	struct ws_item item = { WS_ITEM_MORE };

	memset(text, 'x', FRAGMENT);
	text[FRAGMENT] = '\0';
	buf_init(&input, 2 * TOTAL);
	for (size_t i = 0; i < TOTAL / FRAGMENT; i++)
		add_frame(&input, i == 0 ? WS_TEXT : i == TOTAL / FRAGMENT - 1 ? WS_FIN : WS_CONTINUATION, slice_text(text));
	ws_reader_init(&r, TOTAL);
	stream = buf_slice(&input);
	while (stream.len > 0) {
		struct slice in = slice_of(stream.ptr, stream.len < RECEIVED ? stream.len : RECEIVED);

		ck_assert_int_eq(item.type, WS_ITEM_MORE);
		stream = slice_skip(stream, in.len);
		item = ws_reader_next(&r, &in);
	}
	ck_assert_int_eq(item.type, WS_ITEM_TEXT);
	ck_assert_uint_eq(item.frames, TOTAL / FRAGMENT);
	ck_assert_uint_eq(item.data.len, TOTAL);
	/* All bytes are equal to their neighbours. */
	ck_assert(item.data.ptr[0] == 'x' && memcmp(item.data.ptr, item.data.ptr + 1, TOTAL - 1) == 0);
	ws_reader_fini(&r);
	buf_fini(&input);
}
END_TEST

/* The frame in two pieces. Returns the item made of it; input is to be freed. */
static struct ws_item in_two_pieces(struct ws_reader *r, struct buf *input, size_t bytes) {
	char *text = mem_alloc(bytes + 1);
	struct slice in;

	memset(text, 'x', bytes);
	text[bytes] = '\0';
	buf_init(input, 2 * bytes + 100);
	add_frame(input, WS_FIN | WS_TEXT, slice_text(text));
	mem_free(text);
	in = slice_of(input->data, input->len - 1);
	ck_assert_int_eq(ws_reader_next(r, &in).type, WS_ITEM_MORE);
	in = slice_of(input->data + input->len - 1, 1);
	return ws_reader_next(r, &in);
}

START_TEST(large_ones_can_be_taken) {
	static const size_t sizes[] = { WS_TAKE_BYTES, WS_TAKE_BYTES + 12345, 200000 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct slice none = SLICE_EMPTY;
		struct rcbuf *whole;
		struct ws_reader r;
		struct ws_item item;
		struct buf input;

		ws_reader_init(&r, 200000);
		ck_assert_ptr_null(ws_reader_take(&r));
		item = in_two_pieces(&r, &input, sizes[i]);
		ck_assert_int_eq(item.type, WS_ITEM_TEXT);
		whole = ws_reader_take(&r);
		ck_assert_ptr_nonnull(whole);
		ck_assert_ptr_eq(whole->data, item.data.ptr);
		ck_assert_uint_eq(whole->len, sizes[i]);
		ck_assert_ptr_null(ws_reader_take(&r));
		buf_fini(&input);
		/* It is nobody's but the taker's, and the next one is made as ever. */
		ck_assert_int_eq(ws_reader_next(&r, &none).type, WS_ITEM_MORE);
		ck_assert_ptr_null(r.partial);
		ck_assert_int_eq(in_two_pieces(&r, &input, 1000).type, WS_ITEM_TEXT);
		ck_assert(whole->data[0] == 'x' && memcmp(whole->data, whole->data + 1, sizes[i] - 1) == 0);
		rcbuf_unref(&whole);
		ws_reader_fini(&r);
		buf_fini(&input);
	}
}
END_TEST

START_TEST(small_ones_and_those_in_the_input_cannot) {
	char text[WS_TAKE_BYTES + 1];
	struct ws_reader r;
	struct buf input;
	struct slice in;

	ws_reader_init(&r, 1 << 20);
	ck_assert_int_eq(in_two_pieces(&r, &input, WS_TAKE_BYTES - 1).type, WS_ITEM_TEXT);
	ck_assert_ptr_null(ws_reader_take(&r));
	buf_fini(&input);
	buf_init(&input, 1 << 20);
	memset(text, 'x', WS_TAKE_BYTES);
	text[WS_TAKE_BYTES] = '\0';
	add_frame(&input, WS_FIN | WS_TEXT, slice_text(text));
	in = buf_slice(&input);
	ck_assert_int_eq(ws_reader_next(&r, &in).type, WS_ITEM_TEXT);
	ck_assert_ptr_null(ws_reader_take(&r));
	buf_fini(&input);
	ws_reader_fini(&r);
}
END_TEST

/* --- random streams --- */

static const char *const characters[] = { "a", "Z", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xef\xbf\xbf",
	"\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf" };

static size_t random_size(uint64_t *seed) {
	switch (feed_random(seed, 20)) {
	case 0:
		return 120 + feed_random(seed, 12);
	case 1:
		return feed_random(seed, 400);
	default:
		return feed_random(seed, 12);
	}
}

static void random_payload(uint64_t *seed, bool is_text, struct buf *out) {
	size_t len = random_size(seed);

	while (out->len < len) {
		if (is_text)
			buf_add_text(out, characters[feed_random(seed, ARRAY_LEN(characters))]);
		else
			buf_add_u8(out, (uint8_t)feed_random(seed, 256));
	}
}

static void random_control(uint64_t *seed, struct buf *out) {
	struct buf payload;
	bool is_close = feed_random(seed, 40) == 0;

	buf_init(&payload, 1024);
	if (is_close && feed_random(seed, 4) != 0) {
		buf_add_u8(&payload, 3);
		buf_add_u8(&payload, (uint8_t)(0xe6 + feed_random(seed, 20)));
	}
	random_payload(seed, true, &payload);
	if (payload.len > WS_CONTROL_MAX)
		payload.len = 5;
	add_frame(out, is_close ? WS_FIN | WS_CLOSE : (uint8_t)(WS_FIN | (WS_PING + feed_random(seed, 2))), buf_slice(&payload));
	buf_fini(&payload);
}

static void random_message(uint64_t *seed, struct buf *out) {
	bool is_text = feed_random(seed, 3) != 0;
	uint8_t opcode = is_text ? WS_TEXT : WS_BINARY;
	struct buf payload;
	struct slice rest;

	buf_init(&payload, 1024);
	random_payload(seed, is_text, &payload);
	rest = buf_slice(&payload);
	while (feed_random(seed, 3) == 0) {
		size_t cut = feed_random(seed, (uint32_t)rest.len + 1);

		add_frame(out, opcode, slice_of(rest.ptr, cut));
		rest = slice_skip(rest, cut);
		opcode = WS_CONTINUATION;
		if (feed_random(seed, 4) == 0)
			random_control(seed, out);
	}
	add_frame(out, WS_FIN | opcode, rest);
	buf_fini(&payload);
}

/* Rises; byte by byte, in crumbs or in large parts. */
static size_t random_cuts(uint64_t *seed, size_t len, size_t *cuts, size_t max) {
	uint32_t step = 1 + feed_random(seed, feed_random(seed, 2) == 0 ? 8 : 300);
	size_t count = 0;

	for (size_t at = feed_random(seed, step); at < len && count < max; at += feed_random(seed, step + 1))
		cuts[count++] = at;
	return count;
}

static void compare(uint64_t *seed, int round, struct slice stream) {
	static size_t cuts[4096];
	struct subject subject = { 40 + feed_random(seed, 600), false };
	struct feed_parser parser = { start, part, stop, &subject };
	struct buf want, got;

	buf_init(&want, 1 << 20);
	buf_init(&got, 1 << 20);
	ws_reference_run(stream, subject.max_message_bytes, &want);
	feed_cut(&parser, stream, cuts, random_cuts(seed, stream.len, cuts, ARRAY_LEN(cuts)), &got);
	ck_assert_msg(slice_eq(buf_slice(&want), buf_slice(&got)), "round %d: wanted\n%.*s\ngot\n%.*s", round,
	    SLICE_ARGS(buf_slice(&want)), SLICE_ARGS(buf_slice(&got)));
	buf_fini(&want);
	buf_fini(&got);
}

START_TEST(random_streams) {
	uint64_t seed = 6455;

	for (int round = 0; round < 2000; round++) {
		struct buf stream;

		buf_init(&stream, 1 << 20);
		for (uint32_t i = 1 + feed_random(&seed, 20); i > 0; i--) {
			if (feed_random(&seed, 5) == 0)
				random_control(&seed, &stream);
			else
				random_message(&seed, &stream);
		}
		compare(&seed, round, buf_slice(&stream));
		buf_fini(&stream);
	}
}
END_TEST

/* Damaged: bits flipped, bytes lost, the end cut off. */
START_TEST(mutations) {
	uint64_t seed = 20240611;

	for (int round = 0; round < 20000; round++) {
		struct buf stream;

		buf_init(&stream, 1 << 20);
		for (uint32_t i = 1 + feed_random(&seed, 3); i > 0; i--)
			random_message(&seed, &stream);
		for (uint32_t i = 1 + feed_random(&seed, 3); i > 0; i--) {
			uint32_t near = feed_random(&seed, 2) == 0 && stream.len > 16 ? 16 : (uint32_t)stream.len;

			stream.data[feed_random(&seed, near)] ^= (uint8_t)(1U << feed_random(&seed, 8));
		}
		if (feed_random(&seed, 4) == 0)
			buf_drop_front(&stream, feed_random(&seed, (uint32_t)stream.len));
		if (feed_random(&seed, 4) == 0)
			stream.len = feed_random(&seed, (uint32_t)stream.len);
		compare(&seed, round, buf_slice(&stream));
		buf_fini(&stream);
	}
}
END_TEST

Suite *suite_ws_reader(void);

Suite *suite_ws_reader(void) {
	Suite *s = suite_create("ws_reader");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, vector, 0, ARRAY_LEN(vectors));
	tcase_add_test(t, close_codes);
	tcase_add_test(t, whole_messages_stay_in_place);
	tcase_add_test(t, nothing_stays_behind);
	tcase_add_test(t, memory_follows_what_came);
	tcase_add_test(t, many_fragments);
	tcase_add_test(t, large_ones_can_be_taken);
	tcase_add_test(t, small_ones_and_those_in_the_input_cannot);
	tcase_add_test(t, random_streams);
	tcase_add_test(t, mutations);
	tcase_set_timeout(t, 30);
	suite_add_tcase(s, t);
	return s;
}
