/* ws_reference - the plain reading of RFC 6455 that ws_reader is compared with */
#include "tests/unit/ws_reference.h"

struct reference {
	struct slice rest;
	uint32_t max;
	struct buf *log;
	struct buf message;
	uint8_t opcode;	/* of the open message, 0: none */
	uint32_t frames;
};

void ws_describe(const struct ws_item *item, bool with_sentence, struct buf *log) {
	static const char *const names[] = { "MORE", "TEXT", "BINARY", "PING", "PONG", "CLOSE", "BAD" };

	buf_add_text(log, names[item->type]);
	if (item->type == WS_ITEM_CLOSE || item->type == WS_ITEM_BAD)
		buf_addf(log, " %u", item->close_code);
	else
		buf_addf(log, " %u", item->frames);
	if (with_sentence && item->type == WS_ITEM_BAD)
		buf_addf(log, " %s", item->sentence);
	if (item->data.len > 0)
		buf_add_u8(log, ' ');
	for (size_t i = 0; i < item->data.len; i++) {
		if (item->data.ptr[i] >= 0x20 && item->data.ptr[i] < 0x7f)
			buf_add_u8(log, item->data.ptr[i]);
		else
			buf_addf(log, "\\x%02x", item->data.ptr[i]);
	}
	buf_add_u8(log, '\n');
}

static bool say(struct reference *r, enum ws_item_type type, uint16_t code, struct slice data, uint32_t frames) {
	struct ws_item item = { .type = type, .close_code = code, .data = data, .frames = frames };

	ws_describe(&item, false, r->log);
	return type != WS_ITEM_BAD && type != WS_ITEM_CLOSE;
}

static bool bad(struct reference *r, uint16_t code) {
	return say(r, WS_ITEM_BAD, code, SLICE_EMPTY, 0);
}

/* How long the character is that begins at s, by decoding it; 0: invalid; -1: valid as far as it goes. */
static int character(struct slice s) {
	uint32_t c = s.ptr[0], low, high;
	size_t len = c < 0x80 ? 1 : c >> 5 == 0x6 ? 2 : c >> 4 == 0xe ? 3 : c >> 3 == 0x1e ? 4 : 0;
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t i;

	if (len < 2)
		return (int)len;
	c &= 0x7fU >> len;
	for (i = 1; i < len && i < s.len; i++) {
		if (s.ptr[i] >> 6 != 2)
			return 0;
		c = c << 6 | (s.ptr[i] & 0x3fU);
	}
	/* All that the missing bytes could make of it. */
	low = c << 6 * (len - i);
	high = low | ((1U << 6 * (len - i)) - 1);
	if (high < smallest[len] || low > 0x10ffff || (low >= 0xd800 && high <= 0xdfff))
		return 0;
	return i < len ? -1 : (int)len;
}

enum text { TEXT_INVALID, TEXT_CUT, TEXT_VALID };

static enum text check_text(struct slice s) {
	while (s.len > 0) {
		int len = character(s);

		if (len <= 0)
			return len == 0 ? TEXT_INVALID : TEXT_CUT;
		s = slice_skip(s, (size_t)len);
	}
	return TEXT_VALID;
}

static bool control(struct reference *r, uint8_t opcode, struct slice data) {
	uint16_t code;

	if (opcode != 8)
		return say(r, opcode == 9 ? WS_ITEM_PING : WS_ITEM_PONG, 0, data, 1);
	if (data.len == 0)
		return say(r, WS_ITEM_CLOSE, 1005, SLICE_EMPTY, 1);
	if (data.len == 1)
		return bad(r, 1002);
	code = (uint16_t)(data.ptr[0] << 8 | data.ptr[1]);
	if (code < 1000 || code == 1004 || code == 1005 || code == 1006 || (code > 1014 && code < 3000) || code > 4999)
		return bad(r, 1002);
	if (check_text(slice_skip(data, 2)) != TEXT_VALID)
		return bad(r, 1007);
	return say(r, WS_ITEM_CLOSE, code, slice_skip(data, 2), 1);
}

static bool data_frame(struct reference *r, bool is_whole, bool is_last) {
	enum text text = r->opcode == 1 ? check_text(buf_slice(&r->message)) : TEXT_VALID;

	if (text == TEXT_INVALID || (text == TEXT_CUT && is_whole && is_last))
		return bad(r, 1007);
	if (!is_whole || !is_last)
		return is_whole;
	say(r, r->opcode == 1 ? WS_ITEM_TEXT : WS_ITEM_BINARY, 0, buf_slice(&r->message), r->frames);
	buf_reset(&r->message);
	r->opcode = 0;
	r->frames = 0;
	return true;
}

/* From the mask on. False: the stream ends here. */
static bool payload(struct reference *r, uint8_t first, uint64_t len) {
	uint8_t opcode = first & 15, small[125];
	struct slice mask = slice_of(r->rest.ptr, 4);
	uint64_t i;

	r->rest = slice_skip(r->rest, 4);
	for (i = 0; i < len && i < r->rest.len; i++) {
		uint8_t c = r->rest.ptr[i] ^ mask.ptr[i % 4];

		if (opcode >= 8)
			small[i] = c;
		else
			buf_add_u8(&r->message, c);
	}
	r->rest = slice_skip(r->rest, (size_t)i);
	if (opcode >= 8)
		return i == len && control(r, opcode, slice_of(small, (size_t)len));
	r->frames++;
	if (opcode != 0)
		r->opcode = opcode;
	return data_frame(r, i == len, first >= 0x80);
}

static bool frame(struct reference *r) {
	uint8_t first, opcode, second;
	uint64_t len = 0;
	unsigned wide;

	if (r->rest.len == 0)
		return false;
	first = r->rest.ptr[0];
	opcode = first & 15;
	if ((first & 0x70) != 0 || (opcode > 2 && opcode < 8) || opcode > 10 || (opcode >= 8 && first < 0x80))
		return bad(r, 1002);
	if ((opcode == 0 && r->opcode == 0) || (opcode > 0 && opcode < 8 && r->opcode != 0))
		return bad(r, 1002);
	if (r->rest.len == 1)
		return false;
	second = r->rest.ptr[1];
	if (second < 0x80 || (opcode >= 8 && second > 0x80 + 125))
		return bad(r, 1002);
	second &= 0x7f;
	wide = second == 127 ? 8 : second == 126 ? 2 : 0;
	if (r->rest.len < 2 + wide)
		return false;
	for (unsigned i = 0; i < wide; i++)
		len = len << 8 | r->rest.ptr[2 + i];
	if (wide == 0)
		len = second;
	if ((wide == 2 && len < 126) || (wide == 8 && (len < 65536 || len > INT64_MAX)))
		return bad(r, 1002);
	if (opcode < 8 && r->message.len + len > r->max)
		return bad(r, 1009);
	if (r->rest.len < 2 + wide + 4)
		return false;
	r->rest = slice_skip(r->rest, 2 + wide);
	return payload(r, first, len);
}

void ws_reference_run(struct slice stream, uint32_t max_message_bytes, struct buf *log) {
	struct reference r = { .rest = stream, .max = max_message_bytes, .log = log };

	buf_init(&r.message, 64U << 20);
	while (frame(&r))
		;
	buf_fini(&r.message);
}
