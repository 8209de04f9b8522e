/*
 * fuzz_message - whole frames with right headers, so that fragments, UTF-8, closing and sizes are reached at once; read in parts by
 * ws_reader, and whole by the plain reading of the RFC in tests/unit/ws_reference.c
 *
 * Input: a byte that chooses (bits 0-1: the largest message; 4-7: how many parts), the lengths of the parts, less 1; then frames:
 * the first byte of the header, a length, and as many bytes of payload (as they are before masking). A length above 250 takes the
 * next byte as one to be repeated, 64 times for each above.
 */
#include "tests/fuzz/reading.h"

#include "common/base/buf.h"
#include "tests/unit/ws_reference.h"

enum { LENGTH_OF_RUN = 250, RUN_STEP = 64, STREAM_MAX = 1 << 16 };

/* The server's own frames are taken apart as they were put together. */
static void check_split(struct slice header, uint8_t first, struct slice payload) {
	uint8_t frame[WS_SERVER_HEADER_MAX + 6 * RUN_STEP], seen;
	struct slice found;

	memcpy(frame, header.ptr, header.len);
	if (payload.len > 0)
		memcpy(frame + header.len, payload.ptr, payload.len);
	BUG_ON(ws_frame_split(slice_of(frame, header.len + payload.len), &seen, &found) != header.len + payload.len);
	BUG_ON(seen != first || !slice_eq(found, payload));
}

static void add_frame(uint8_t first, struct slice payload, struct buf *out) {
	static const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
	uint8_t header[WS_SERVER_HEADER_MAX];
	size_t len = ws_frame_header(header, first, payload.len);

	check_split(slice_of(header, len), first, payload);
	header[1] |= 0x80;
	buf_add(out, slice_of(header, len));
	buf_add(out, slice_of(mask, sizeof(mask)));
	buf_add(out, payload);
	if (payload.len > 0 && !out->failed)
		ws_unmask(out->data + out->len - payload.len, payload.len, mask, 0);
}

static void build_stream(struct slice in, struct buf *out) {
	uint8_t run[6 * RUN_STEP];

	while (in.len > 0 && !out->failed) {
		uint8_t first = fuzz_u8(&in), len = fuzz_u8(&in);

		if (len > LENGTH_OF_RUN) {
			memset(run, fuzz_u8(&in), sizeof(run));
			add_frame(first, slice_of(run, (size_t)(len - LENGTH_OF_RUN) * RUN_STEP), out);
		} else {
			add_frame(first, fuzz_bytes(&in, len), out);
		}
	}
}

/* The same log as the reference writes. */
static void read_in_parts(struct slice stream, struct slice parts, uint32_t max_message_bytes, struct buf *log) {
	struct ws_item item = { .type = WS_ITEM_MORE };
	struct ws_reader r;

	ws_reader_init(&r, max_message_bytes);
	while (stream.len > 0 && item.type == WS_ITEM_MORE) {
		struct slice part = fuzz_bytes(&stream, parts.len > 0 ? (size_t)fuzz_u8(&parts) + 1 : stream.len);
		uint8_t *copy = mem_dup(part.ptr, part.len);
		struct slice rest = slice_of(copy, part.len);

		do {
			item = ws_reader_next(&r, &rest);
			if (item.type != WS_ITEM_MORE)
				ws_describe(&item, false, log);
		} while (item.type != WS_ITEM_MORE && item.type != WS_ITEM_CLOSE && item.type != WS_ITEM_BAD);
		mem_free(copy);
	}
	ws_reader_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static const uint32_t largest[] = { 64, 300, 1024, 1 << 16 };
	struct slice input = slice_of(data, size), parts;
	uint8_t choice = fuzz_u8(&input);
	struct buf stream, log, reference;

	parts = fuzz_bytes(&input, choice >> 4);
	buf_init(&stream, STREAM_MAX);
	buf_init(&log, SIZE_MAX);
	buf_init(&reference, SIZE_MAX);
	build_stream(input, &stream);
	read_in_parts(buf_slice(&stream), parts, largest[choice & 3], &log);
	ws_reference_run(buf_slice(&stream), largest[choice & 3], &reference);
	BUG_ON(!slice_eq(buf_slice(&log), buf_slice(&reference)));
	buf_fini(&stream);
	buf_fini(&log);
	buf_fini(&reference);
	return 0;
}
