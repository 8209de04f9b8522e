/*
 * fuzz_frame - the bytes of a client behind its handshake, read in parts and whole
 *
 * Input: a byte that chooses (bits 0-1: the largest message; 2: compression; 3: with the client's context; 4-7: how many parts),
 * then the lengths of the parts, less 1, then the stream.
 */
#include "tests/fuzz/reading.h"

#include "common/base/buf.h"

static const struct ws_deflate_terms compressed[] = {
	{ .server_bits = 15, .client_bits = 15 },
	/* A smaller window would be no more than a hint to zlib (see fuzz_inflate.c), and the parts could make a difference. */
	{ .server_bits = 15, .client_bits = 15, .client_keeps = true },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static const uint32_t largest[] = { 100, 1000, 1 << 16, 1 << 20 };
	struct slice input = slice_of(data, size);
	uint8_t choice = fuzz_u8(&input);
	struct reading in_parts = { .max_message_bytes = largest[choice & 3] }, whole;
	struct buf log, log_of_whole;

	if (choice & 4)
		in_parts.deflate = &compressed[choice >> 3 & 1];
	whole = in_parts;
	in_parts.parts = fuzz_bytes(&input, choice >> 4);
	buf_init(&log, SIZE_MAX);
	buf_init(&log_of_whole, SIZE_MAX);
	reading_run(&whole, input, &log_of_whole);
	if (in_parts.parts.len > 0) {
		reading_run(&in_parts, input, &log);
		BUG_ON(!slice_eq(buf_slice(&log), buf_slice(&log_of_whole)));
	}
	buf_fini(&log);
	buf_fini(&log_of_whole);
	return 0;
}
