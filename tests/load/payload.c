/* payload - frames, and texts that look like messages */
#include "tests/load/payload.h"

#include <stdio.h>

const uint8_t payload_mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

void payload_add_head(struct buf *b, uint8_t opcode, uint64_t len) {
	int length_bytes = len < 126 ? 0 : len <= UINT16_MAX ? 2 : 8;

	buf_add_u8(b, 0x80 | opcode);
	buf_add_u8(b, (uint8_t)(0x80 | (length_bytes == 0 ? len : length_bytes == 2 ? 126 : 127)));
	while (length_bytes-- > 0)
		buf_add_u8(b, (uint8_t)(len >> (8 * length_bytes)));
	buf_add(b, slice_of(payload_mask, sizeof(payload_mask)));
}

void payload_add_masked(struct buf *b, struct slice s) {
	uint8_t *out = buf_reserve(b, s.len);
	size_t i = 0;
	uint64_t word, mask;

	if (out == NULL)
		return;
	memcpy(&mask, payload_mask, 4);
	memcpy((uint8_t *)&mask + 4, payload_mask, 4);
	for (; i + 8 <= s.len; i += 8) {
		memcpy(&word, s.ptr + i, 8);
		word ^= mask;
		memcpy(out + i, &word, 8);
	}
	for (; i < s.len; i++)
		out[i] = s.ptr[i] ^ payload_mask[i % 4];
	b->len += s.len;
}

void payload_fill(uint8_t *out, size_t bytes) {
	static const char *const words[] = { "alpha", "river", "seven", "message", "yellow", "to", "of", "window", "server", "and", "paper", "a",
		"light", "under", "is", "number" };
	uint32_t dice = 2463534242;
	size_t len = 0;
	char member[256];

	for (unsigned i = 1; len < bytes; i++) {
		const char *word[4];
		size_t take;

		for (size_t k = 0; k < ARRAY_LEN(word); k++) {
			dice = dice * 1664525 + 1013904223;
			word[k] = words[dice >> 28];
		}
		take = (size_t)snprintf(member, sizeof(member), "{\"id\":%u,\"name\":\"%s\",\"text\":\"%s %s %s\",\"time\":%u},", i, word[0],
			word[1], word[2], word[3], dice);
		take = take < bytes - len ? take : bytes - len;
		memcpy(out + len, member, take);
		len += take;
	}
}
