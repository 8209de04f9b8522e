/*
 * fuzz_inflate - compressed messages, in parts and whole; what comes out is compressed and inflated again
 *
 * Input: a byte that chooses (bits 0-2: window bits less 8; 3: with the client's context; 4-5: most that may come out; 6:
 * compress with a context, too); then parts: a byte with the length in its lower 7 bits, the highest bit set if the message ends with it.
 */
#include "tests/fuzz/fuzz.h"

#include "common/base/buf.h"
#include "server/ws/ws_deflate.h"

enum { PART_BITS = 0x7f, MESSAGE_ENDS = 0x80, LEVEL = 1, PARTS_MAX = 64 };
/* Two inflaters at work, the spare ones, and the deflaters that all share. */
enum { MEMORY_MAX = 10 * (48 << 10) + 8 * (300 << 10) };

struct choice {
	uint8_t window_bits;
	bool keeps_context, deflates_with_context;
	size_t out_max;
};

/* One side's inflater: kept, or borrowed for each message. */
struct side {
	struct ws_inflater *inflater;
	struct buf out;
	enum ws_inflate_result result;
};

static void side_begin(struct side *s, const struct choice *choice) {
	if (s->inflater == NULL)
		s->inflater = choice->keeps_context ? ws_inflater_new(choice->window_bits) : ws_inflater_borrow();
	BUG_ON(s->inflater == NULL);
	buf_init(&s->out, choice->out_max);
	s->result = WS_INFLATE_OK;
}

static void side_add(struct side *s, struct slice part) {
	uint8_t *copy = mem_dup(part.ptr, part.len);

	if (s->result == WS_INFLATE_OK)
		s->result = ws_inflater_add(s->inflater, slice_of(copy, part.len), &s->out);
	mem_free(copy);
}

static void side_end(struct side *s, const struct choice *choice) {
	if (s->result == WS_INFLATE_OK)
		s->result = ws_inflater_end(s->inflater, &s->out);
	BUG_ON(s->out.len > choice->out_max || s->out.cap > choice->out_max);
	BUG_ON(s->result == WS_INFLATE_TOO_BIG && s->out.len < choice->out_max);
	if (!choice->keeps_context)
		ws_inflater_release(&s->inflater);
}

static void inflate_again(struct slice compressed, struct slice message) {
	struct choice choice = { .window_bits = WS_WINDOW_BITS_MAX, .out_max = message.len };
	struct side s = { .inflater = NULL };

	side_begin(&s, &choice);
	side_add(&s, compressed);
	side_end(&s, &choice);
	BUG_ON(s.result != WS_INFLATE_OK || !slice_eq(buf_slice(&s.out), message));
	buf_fini(&s.out);
}

static void round_trip(struct slice message, uint8_t window_bits, struct ws_deflater *d) {
	struct buf compressed;

	if (window_bits < WS_DEFLATE_BITS_MIN)
		window_bits = WS_DEFLATE_BITS_MIN;
	buf_init(&compressed, SIZE_MAX);
	BUG_ON(!ws_deflate_alone(ws_deflate_bits_for(window_bits, message.len), LEVEL, message, &compressed));
	inflate_again(buf_slice(&compressed), message);
	buf_reset(&compressed);
	if (d != NULL) {
		BUG_ON(!ws_deflater_add(d, message, &compressed));
		BUG_ON(compressed.len == 0);
	}
	buf_fini(&compressed);
}

/* However a message is cut, it gives the same. Not so if it refers to what is beyond its window: zlib notices that only where what
 * it refers to is not at hand, so what came until then is all that is sure. */
static void compare(const struct choice *choice, const struct side *parts, const struct side *whole) {
	struct slice a = buf_slice(&parts->out), b = buf_slice(&whole->out);
	bool is_refused = parts->result == WS_INFLATE_CORRUPT || whole->result == WS_INFLATE_CORRUPT;

	if (choice->keeps_context && choice->window_bits < WS_WINDOW_BITS_MAX && is_refused)
		a.len = b.len = a.len < b.len ? a.len : b.len;
	else
		BUG_ON(parts->result != whole->result);
	BUG_ON(!slice_eq(a, b));
}

/* One message of the input; false: it is refused, or cut off. */
static bool run_message(const struct choice *choice, struct slice *in, struct side *parts, struct side *whole,
    struct ws_deflater *d) {
	struct buf joined;
	uint8_t head = 0;
	bool is_good;

	buf_init(&joined, SIZE_MAX);
	side_begin(parts, choice);
	side_begin(whole, choice);
	for (size_t i = 0; in->len > 0 && i < PARTS_MAX && (head & MESSAGE_ENDS) == 0; i++) {
		struct slice part;

		head = fuzz_u8(in);
		part = fuzz_bytes(in, head & PART_BITS);
		side_add(parts, part);
		buf_add(&joined, part);
	}
	side_end(parts, choice);
	side_add(whole, buf_slice(&joined));
	side_end(whole, choice);
	compare(choice, parts, whole);
	is_good = whole->result == WS_INFLATE_OK && parts->result == WS_INFLATE_OK;
	if (is_good && whole->out.len <= 4096)
		round_trip(buf_slice(&whole->out), choice->window_bits, d);
	buf_fini(&parts->out);
	buf_fini(&whole->out);
	buf_fini(&joined);
	return is_good && in->len > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static const size_t out_max[] = { 64, 1000, 20000, 200000 };
	struct slice input = slice_of(data, size);
	uint8_t first = fuzz_u8(&input);
	struct choice choice = {
		.window_bits = (uint8_t)(WS_WINDOW_BITS_MIN + (first & 7)),
		.keeps_context = (first & 8) != 0,
		.deflates_with_context = (first & 64) != 0,
		.out_max = out_max[first >> 4 & 3],
	};
	struct ws_deflate_terms terms = {
		.server_bits = WS_WINDOW_BITS_MAX,
		.client_bits = choice.window_bits,
		.server_keeps = true,
		.client_keeps = true,
	};
	struct side parts = { .inflater = NULL }, whole = { .inflater = NULL };
	struct ws_deflater *d = NULL;

	ws_deflate_fit(choice.out_max, choice.keeps_context, &terms);
	if (choice.deflates_with_context)
		d = ws_deflater_new(terms.server_keeps ? terms.server_bits : WS_DEFLATE_BITS_MIN, LEVEL);
	while (run_message(&choice, &input, &parts, &whole, d))
		;
	ws_deflater_free(&d);
	ws_inflater_release(&parts.inflater);
	ws_inflater_release(&whole.inflater);
	BUG_ON(ws_deflate_counted()->memory_bytes > MEMORY_MAX);
	if (first == 0xff)
		ws_deflate_free_shared();
	return 0;
}
