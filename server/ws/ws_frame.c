/* ws_frame - headers of frames that go out, masks of frames that come in */
#include "server/ws/ws_frame.h"

size_t ws_frame_header(uint8_t out[WS_SERVER_HEADER_MAX], uint8_t first, uint64_t payload_bytes) {
	size_t length_bytes = payload_bytes < 126 ? 0 : payload_bytes <= UINT16_MAX ? 2 : 8;

	out[0] = first;
	out[1] = (uint8_t)(length_bytes == 0 ? payload_bytes : length_bytes == 2 ? 126 : 127);
	for (size_t i = 0; i < length_bytes; i++)
		out[2 + i] = (uint8_t)(payload_bytes >> 8 * (length_bytes - 1 - i));
	return 2 + length_bytes;
}

size_t ws_frame_split(struct slice frames, uint8_t *first, struct slice *payload) {
	size_t length_bytes = frames.ptr[1] < 126 ? 0 : frames.ptr[1] == 126 ? 2 : 8, bytes = 0;

	*first = frames.ptr[0];
	if (length_bytes == 0)
		bytes = frames.ptr[1];
	for (size_t i = 0; i < length_bytes; i++)
		bytes = bytes << 8 | frames.ptr[2 + i];
	BUG_ON(2 + length_bytes > frames.len || bytes > frames.len - 2 - length_bytes);
	*payload = slice_of(frames.ptr + 2 + length_bytes, bytes);
	return 2 + length_bytes + bytes;
}

void ws_unmask(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset) {
	uint8_t turned[8];
	uint64_t wide, block[4];
	size_t i = 0;

	for (size_t k = 0; k < sizeof(turned); k++)
		turned[k] = mask[(offset + k) & 3];
	memcpy(&wide, turned, sizeof(wide));
	/* Copies of a fixed size, so that the compiler turns them into vector registers whatever the alignment. */
	for (; len - i >= sizeof(block); i += sizeof(block)) {
		memcpy(block, data + i, sizeof(block));
		for (size_t k = 0; k < ARRAY_LEN(block); k++)
			block[k] ^= wide;
		memcpy(data + i, block, sizeof(block));
	}
	for (; i < len; i++)
		data[i] ^= turned[i & 7];
}
