/*
 * ws_reader - frames apart, messages together
 *
 * Every check is made as soon as the bytes that it needs are there, in the order of the bytes, so that the result does
 * not depend on how the input is cut.
 */
#include "server/ws/ws_reader.h"

#include "common/base/mem.h"
#include "common/base/utf8.h"

enum { OPCODE_BITS = 0x0f, RSV_BITS = WS_RSV1 | WS_RSV2 | WS_RSV3, MASKED = 0x80, LENGTH_BITS = 0x7f };
enum { CONTROL_BIT = 0x08 };

enum {
	/* So many bytes are inflated at a time: to a thousand times as many at most. */
	INFLATE_STEP_BYTES = 1024,
	/* Enough for one call. */
	INFLATE_TURN_BYTES = 256 << 10,
};

struct frame {
	uint8_t first;
	uint8_t mask[4];
	bool is_ascii;	/* what was taken of its payload last */
	uint64_t bytes;	/* of its payload */
	uint64_t done;	/* done <= bytes: used so far */
};

/* What is half received. Exists from the first byte that must be kept until the call after the last item made of it. */
struct ws_partial {
	uint8_t header[WS_HEADER_MAX];
	uint8_t header_have;		/* < WS_HEADER_MAX; 0 in a frame */
	bool is_in_frame;		/* `frame` is not used up */
	bool is_handed_out;		/* `message` is borrowed until the next call */
	uint8_t opcode;			/* of the open message; WS_CONTINUATION: none is open */
	struct utf8_state utf8;		/* of the open message, if text */
	uint32_t frames;
	bool is_compressed;		/* the open message */
	uint64_t compressed_bytes;	/* of it, so far */
	struct ws_inflater *inflater;	/* owned; while a compressed message is open, or as long as the client keeps its context */
	struct frame frame;
	struct buf message;		/* RCBUF_ROOM, payload of the open message so far; or nothing */
	uint8_t control[WS_CONTROL_MAX];	/* frame.done bytes of a control frame */
};

void ws_reader_init(struct ws_reader *r, uint32_t max_message_bytes) {
	*r = (struct ws_reader){ .max_message_bytes = max_message_bytes };
}

void ws_reader_set_deflate(struct ws_reader *r, const struct ws_deflate_terms *terms) {
	r->may_deflate = true;
	r->client_keeps = terms->client_keeps;
	r->client_bits = terms->client_bits;
}

void ws_reader_fini(struct ws_reader *r) {
	if (r->partial != NULL) {
		buf_fini(&r->partial->message);
		ws_inflater_release(&r->partial->inflater);
	}
	mem_free(r->partial);
	r->partial = NULL;
}

size_t ws_reader_kept_bytes(const struct ws_reader *r) {
	return r->partial == NULL ? 0 : sizeof(*r->partial) + r->partial->message.cap;
}

bool ws_close_code_is_valid(uint16_t code) {
	/* 1004 has no meaning; 1005, 1006 and 1015 are never sent; up to 1014 as registered with IANA. */
	if (code >= 1000 && code <= 1014)
		return code != 1004 && code != 1005 && code != 1006;
	/* Of libraries and of applications. */
	return code >= 3000 && code <= 4999;
}

static struct ws_item item_more(void) {
	return (struct ws_item){ .type = WS_ITEM_MORE };
}

static struct ws_item item_bad(uint16_t close_code, const char *sentence) {
	return (struct ws_item){ .type = WS_ITEM_BAD, .close_code = close_code, .sentence = sentence };
}

static const char too_big[] = "the message is larger than this server accepts";
static const char bad_text[] = "the text is not valid UTF-8";

static struct ws_partial *keep(struct ws_reader *r) {
	if (r->partial == NULL) {
		r->partial = mem_zalloc(sizeof(*r->partial));
		buf_init(&r->partial->message, RCBUF_ROOM + (size_t)r->max_message_bytes);
	}
	return r->partial;
}

static struct buf *message_begun(struct ws_partial *p) {
	if (p->message.len == 0)
		rcbuf_make_room(&p->message);
	return &p->message;
}

static struct slice message_so_far(const struct ws_partial *p) {
	return p->message.len == 0 ? SLICE_EMPTY : slice_skip(buf_slice(&p->message), RCBUF_ROOM);
}

struct rcbuf *ws_reader_take(struct ws_reader *r) {
	struct ws_partial *p = r->partial;

	return p != NULL && p->is_handed_out && message_so_far(p).len >= WS_TAKE_BYTES ? rcbuf_of(&p->message) : NULL;
}

/* What the last item borrowed is not needed any more. */
static void release(struct ws_reader *r) {
	struct ws_partial *p = r->partial;

	if (p == NULL)
		return;
	if (p->is_handed_out) {
		buf_fini(&p->message);
		p->opcode = WS_CONTINUATION;
		p->is_handed_out = false;
		p->frames = 0;
		p->is_compressed = false;
		if (!r->client_keeps)
			ws_inflater_release(&p->inflater);
	}
	if (!p->is_in_frame && p->header_have == 0 && p->opcode == WS_CONTINUATION && p->inflater == NULL)
		ws_reader_fini(r);
}

static bool is_message_open(const struct ws_reader *r) {
	return r->partial != NULL && r->partial->opcode != WS_CONTINUATION;
}

/* The message that a data frame with this first byte belongs to. */
static bool is_compressed(const struct ws_reader *r, uint8_t first) {
	return is_message_open(r) ? r->partial->is_compressed : (first & WS_RSV1) != 0;
}

/* The first two bytes: NULL, or why the frame is refused. */
static const char *check_first(const struct ws_reader *r, uint8_t first) {
	uint8_t opcode = first & OPCODE_BITS;
	bool is_control = (opcode & CONTROL_BIT) != 0;

	if ((first & RSV_BITS) != 0 && !r->may_deflate)
		return "a reserved bit is set, but no extension was agreed on";
	/* RFC 7692, 6: the first frame of a message says whether it is compressed. */
	if ((first & (WS_RSV2 | WS_RSV3)) != 0 || ((first & WS_RSV1) != 0 && (is_control || opcode == WS_CONTINUATION)))
		return "a reserved bit is set where no extension agreed on has a use for it";
	if (is_control ? opcode > WS_PONG : opcode > WS_BINARY)
		return "the opcode is reserved";
	if (is_control && (first & WS_FIN) == 0)
		return "a control frame must not be fragmented";
	if (opcode == WS_CONTINUATION && !is_message_open(r))
		return "a continuation frame without a message to continue";
	if (!is_control && opcode != WS_CONTINUATION && is_message_open(r))
		return "a new message begins before the last fragment of the previous one";
	return NULL;
}

static const char *check_second(uint8_t first, uint8_t second) {
	if ((second & MASKED) == 0)
		return "a client must mask its frames";
	if ((first & CONTROL_BIT) != 0 && (second & LENGTH_BITS) > WS_CONTROL_MAX)
		return "a control frame must not be longer than 125 bytes";
	return NULL;
}

static uint64_t read_big_endian(const uint8_t *at, size_t bytes) {
	uint64_t value = 0;

	for (size_t i = 0; i < bytes; i++)
		value = value << 8 | at[i];
	return value;
}

/* How much payload the message may still have. What compressing makes larger has its place, but is bounded, too. */
static uint64_t payload_left(const struct ws_reader *r, uint8_t first) {
	bool is_open = is_message_open(r);

	if (is_compressed(r, first))
		return 2 * (uint64_t)r->max_message_bytes + 1024 - (is_open ? r->partial->compressed_bytes : 0);
	return r->max_message_bytes - (is_open ? message_so_far(r->partial).len : 0);
}

/* False: *bad says why. */
static bool check_length(const struct ws_reader *r, const struct frame *f, size_t length_bytes, struct ws_item *bad) {
	if (length_bytes == 8 && f->bytes >> 63 != 0)
		*bad = item_bad(1002, "the highest bit of the length must be 0");
	else if ((length_bytes == 2 && f->bytes < 126) || (length_bytes == 8 && f->bytes <= UINT16_MAX))
		*bad = item_bad(1002, "the length must be encoded in as few bytes as possible");
	else if ((f->first & CONTROL_BIT) == 0 && f->bytes > payload_left(r, f->first))
		*bad = item_bad(1009, too_big);
	else
		return true;
	return false;
}

/* Takes a header apart, of which h has the first n bytes. Its length; 0: *item says why there is none (yet). */
static size_t decode_header(const struct ws_reader *r, const uint8_t *h, size_t n, struct frame *f,
    struct ws_item *item) {
	const char *sentence = NULL;
	size_t length_bytes;

	*item = item_more();
	if (n >= 1)
		sentence = check_first(r, h[0]);
	if (n >= 2 && sentence == NULL)
		sentence = check_second(h[0], h[1]);
	if (sentence != NULL)
		*item = item_bad(1002, sentence);
	if (n < 2 || sentence != NULL)
		return 0;
	length_bytes = (h[1] & LENGTH_BITS) == 126 ? 2 : (h[1] & LENGTH_BITS) == 127 ? 8 : 0;
	if (n < 2 + length_bytes)
		return 0;
	f->first = h[0];
	f->done = 0;
	f->bytes = length_bytes == 0 ? h[1] & LENGTH_BITS : read_big_endian(h + 2, length_bytes);
	if (!check_length(r, f, length_bytes, item) || n < 2 + length_bytes + sizeof(f->mask))
		return 0;
	memcpy(f->mask, h + 2 + length_bytes, sizeof(f->mask));
	return 2 + length_bytes + sizeof(f->mask);
}

/* False: *item says why there is no whole header. */
static bool take_header(struct ws_reader *r, struct slice *in, struct frame *f, struct ws_item *item) {
	size_t kept = r->partial != NULL ? r->partial->header_have : 0, fresh, used;
	uint8_t h[WS_HEADER_MAX];

	fresh = in->len < sizeof(h) - kept ? in->len : sizeof(h) - kept;
	if (kept > 0)
		memcpy(h, r->partial->header, kept);
	if (fresh > 0)
		memcpy(h + kept, in->ptr, fresh);
	used = decode_header(r, h, kept + fresh, f, item);
	if (used > 0) {
		*in = slice_skip(*in, used - kept);
		if (kept > 0)
			r->partial->header_have = 0;
		return true;
	}
	if (item->type == WS_ITEM_MORE && fresh > 0) {
		*in = slice_skip(*in, fresh);
		memcpy(keep(r)->header, h, kept + fresh);
		r->partial->header_have = (uint8_t)(kept + fresh);
	}
	return false;
}

/* Unmasks and cuts off what the input has of the frame's payload, but no more than `most`. */
static struct slice take_payload(struct slice *in, struct frame *f, size_t most) {
	uint64_t left = f->bytes - f->done;
	struct slice part = slice_of(in->ptr, in->len < most ? in->len : most);

	if (part.len > left)
		part.len = (size_t)left;

	/* The caller's promise in the header: its bytes may be changed. */
	f->is_ascii = ws_unmask((uint8_t *)(uintptr_t)part.ptr, part.len, f->mask, f->done);
	f->done += part.len;
	*in = slice_skip(*in, part.len);
	return part;
}

/* The payload of a close frame (RFC 6455, 5.5.1). */
static struct ws_item item_close(struct slice payload) {
	uint16_t code;

	if (payload.len == 0)
		return (struct ws_item){ .type = WS_ITEM_CLOSE, .close_code = 1005, .frames = 1 };
	if (payload.len == 1)
		return item_bad(1002, "a close frame has a code of two bytes or nothing at all");
	code = (uint16_t)read_big_endian(payload.ptr, 2);
	if (!ws_close_code_is_valid(code))
		return item_bad(1002, "the code of a close frame is not valid");
	payload = slice_skip(payload, 2);
	if (!utf8_is_valid(payload))
		return item_bad(1007, "the reason of a close frame is not valid UTF-8");
	return (struct ws_item){ .type = WS_ITEM_CLOSE, .close_code = code, .data = payload, .frames = 1 };
}

static struct ws_item item_control(uint8_t first, struct slice payload) {
	if ((first & OPCODE_BITS) == WS_CLOSE)
		return item_close(payload);
	return (struct ws_item){
		.type = (first & OPCODE_BITS) == WS_PING ? WS_ITEM_PING : WS_ITEM_PONG, .data = payload, .frames = 1
	};
}

static struct ws_item take_control(struct ws_reader *r, struct slice *in, struct frame *f) {
	uint64_t before = f->done;
	struct slice part = take_payload(in, f, in->len);
	struct ws_partial *p;

	if (before == 0 && f->done == f->bytes) {
		if (r->partial != NULL)
			r->partial->is_in_frame = false;
		return item_control(f->first, part);
	}
	p = keep(r);
	if (part.len > 0)
		memcpy(p->control + before, part.ptr, part.len);
	p->frame = *f;
	p->is_in_frame = f->done < f->bytes;
	return p->is_in_frame ? item_more() : item_control(f->first, slice_of(p->control, (size_t)f->done));
}

static struct ws_item item_message(uint8_t opcode, const struct utf8_state *utf8, struct slice data, uint32_t frames) {
	if (opcode == WS_TEXT && !utf8_is_complete(utf8))
		return item_bad(1007, "the text ends in the middle of a UTF-8 character");
	return (struct ws_item){
		.type = opcode == WS_TEXT ? WS_ITEM_TEXT : WS_ITEM_BINARY, .data = data, .frames = frames
	};
}

/* A part of a message that is not whole in the input. MORE also when the message goes on in another frame. */
static struct ws_item keep_data(struct ws_reader *r, const struct frame *f, struct slice part) {
	struct ws_partial *p = keep(r);

	if (part.len > 0)
		buf_add(message_begun(p), part);
	if (p->message.failed)
		return item_bad(1011, "out of memory");
	p->frame = *f;
	p->is_in_frame = f->done < f->bytes;
	if (p->is_in_frame || (f->first & WS_FIN) == 0)
		return item_more();
	p->is_handed_out = true;
	return item_message(p->opcode, &p->utf8, message_so_far(p), p->frames);
}

/* False: no memory. */
static bool open_compressed(struct ws_reader *r, uint8_t opcode) {
	struct ws_partial *p = keep(r);

	p->opcode = opcode;
	p->utf8 = (struct utf8_state){ 0 };
	p->is_compressed = true;
	p->compressed_bytes = 0;
	if (p->inflater == NULL)
		p->inflater = r->client_keeps ? ws_inflater_new(r->client_bits) : ws_inflater_borrow();
	return p->inflater != NULL;
}

static struct ws_item item_of_inflating(enum ws_inflate_result result) {
	struct ws_item item;

	switch (result) {
	case WS_INFLATE_TOO_BIG:
		return item_bad(1009, too_big);
	case WS_INFLATE_CORRUPT:
		item = item_bad(1007, "the compressed data is corrupt");
		item.is_corrupt = true;
		return item;
	case WS_INFLATE_OK:
	case WS_INFLATE_NO_MEMORY:
		break;
	}
	return item_bad(1011, "out of memory");
}

/* Inflates what is there. */
static struct ws_item inflate_part(struct ws_partial *p, struct slice part, bool is_last) {
	size_t before = message_so_far(p).len;
	enum ws_inflate_result result = ws_inflater_add(p->inflater, part, message_begun(p));

	if (result == WS_INFLATE_OK && is_last)
		result = ws_inflater_end(p->inflater, &p->message);
	/* What came out before an error came first. */
	if (p->opcode == WS_TEXT && message_so_far(p).len > before && !utf8_feed(&p->utf8, slice_skip(message_so_far(p), before)))
		return item_bad(1007, bad_text);
	if (result != WS_INFLATE_OK)
		return item_of_inflating(result);
	if (!is_last)
		return item_more();
	p->is_handed_out = true;
	return item_message(p->opcode, &p->utf8, message_so_far(p), p->frames);
}

static struct ws_item take_compressed(struct ws_reader *r, struct slice *in, struct frame *f) {
	bool is_begun = r->partial != NULL && r->partial->is_in_frame;
	struct slice part = take_payload(in, f, INFLATE_STEP_BYTES);
	struct ws_partial *p;

	if (!is_message_open(r) && !open_compressed(r, f->first & OPCODE_BITS))
		return item_bad(1011, "out of memory");
	p = r->partial;
	if (!is_begun)
		p->frames++;
	p->compressed_bytes += part.len;
	p->frame = *f;
	p->is_in_frame = f->done < f->bytes;
	return inflate_part(p, part, !p->is_in_frame && (f->first & WS_FIN) != 0);
}

static struct ws_item take_data(struct ws_reader *r, struct slice *in, struct frame *f) {
	bool is_begun = r->partial != NULL && r->partial->is_in_frame;
	uint8_t opcode = is_message_open(r) ? r->partial->opcode : f->first & OPCODE_BITS;
	struct utf8_state utf8 = { 0 };
	struct slice part = take_payload(in, f, in->len);

	if (is_message_open(r))
		utf8 = r->partial->utf8;
	/* ASCII is valid wherever a character may begin. */
	if (opcode == WS_TEXT && !(f->is_ascii && utf8_is_complete(&utf8)) && !utf8_feed(&utf8, part))
		return item_bad(1007, bad_text);
	if (!is_message_open(r) && f->done == f->bytes && (f->first & WS_FIN) != 0)
		return item_message(opcode, &utf8, part, 1);
	keep(r)->opcode = opcode;
	r->partial->utf8 = utf8;
	if (!is_begun)
		r->partial->frames++;
	return keep_data(r, f, part);
}

static size_t inflated_bytes(const struct ws_reader *r) {
	return is_message_open(r) && r->partial->is_compressed ? message_so_far(r->partial).len : 0;
}

struct ws_item ws_reader_next(struct ws_reader *r, struct slice *in) {
	struct ws_item item;
	struct frame f;
	size_t enough;

	release(r);
	enough = inflated_bytes(r) + INFLATE_TURN_BYTES;
	do {
		if (r->partial != NULL && r->partial->is_in_frame)
			f = r->partial->frame;
		else if (!take_header(r, in, &f, &item))
			return item;
		if ((f.first & CONTROL_BIT) != 0)
			item = take_control(r, in, &f);
		else
			item = is_compressed(r, f.first) ? take_compressed(r, in, &f) : take_data(r, in, &f);
	} while (item.type == WS_ITEM_MORE && in->len > 0 && inflated_bytes(r) < enough);
	return item;
}
