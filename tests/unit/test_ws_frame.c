/* ws_frame - headers against the RFC's examples, masks against the definition */
#include <check.h>

#include "common/base/codec.h"
#include "common/base/mem.h"
#include "server/ws/ws_frame.h"
#include "tests/unit/feed.h"

static const struct {
	const char *name;
	uint8_t first;
	uint64_t payload_bytes;
	const char *want;
} headers[] = {
	{ "RFC 6455, 5.7: a text", WS_FIN | WS_TEXT, 5, "8105" },
	{ "first fragment", WS_TEXT, 3, "0103" },
	{ "last fragment", WS_FIN | WS_CONTINUATION, 2, "8002" },
	{ "ping", WS_FIN | WS_PING, 5, "8905" },
	{ "256 bytes", WS_FIN | WS_BINARY, 256, "827e0100" },
	{ "64 KiB", WS_FIN | WS_BINARY, 65536, "827f0000000000010000" },
	{ "empty", WS_FIN | WS_TEXT, 0, "8100" },
	{ "longest of one byte", WS_FIN | WS_TEXT, 125, "817d" },
	{ "shortest of two bytes", WS_FIN | WS_TEXT, 126, "817e007e" },
	{ "longest of two bytes", WS_FIN | WS_TEXT, 65535, "817effff" },
	{ "all eight bytes", WS_FIN | WS_BINARY, 0x0123456789abcdef, "827f0123456789abcdef" },
};

START_TEST(header) {
	uint8_t out[WS_SERVER_HEADER_MAX];
	char hex[2 * sizeof(out) + 1];
	size_t len = ws_frame_header(out, headers[_i].first, headers[_i].payload_bytes);

	hex_encode(slice_of(out, len), hex);
	ck_assert_msg(strcmp(hex, headers[_i].want) == 0, "%s: %s", headers[_i].name, hex);
}
END_TEST

START_TEST(unmask_example) {
	/* RFC 6455, 5.7 */
	static const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
	uint8_t data[5] = { 0x7f, 0x9f, 0x4d, 0x51, 0x58 };

	ws_unmask(data, sizeof(data), mask, 0);
	ck_assert(slice_eq_text(slice_of(data, sizeof(data)), "Hello"));
}
END_TEST

/* Every length and alignment around the wide steps, at every turn of the mask, in memory of exactly that size. */
START_TEST(unmask_like_the_definition) {
	static const uint8_t mask[4] = { 0x01, 0x80, 0xfe, 0x5a };
	uint64_t seed = 7;

	for (size_t len = 0; len < 3 * 64 + 12; len++) {
		for (size_t offset = 0; offset < 8; offset++) {
			uint8_t *plain = mem_alloc(offset + len), *data, *twin;

			for (size_t i = 0; i < offset + len; i++)
				plain[i] = (uint8_t)feed_random(&seed, 256);
			data = mem_dup(plain, offset + len);
			twin = mem_dup(plain, offset + len);
			ws_unmask(data + offset, len, mask, offset);
			ws_unmask_plain(twin + offset, len, mask, offset);
			ck_assert(memcmp(data, twin, offset + len) == 0);
			for (size_t i = 0; i < offset + len; i++)
				ck_assert_uint_eq(data[i], i < offset ? plain[i] : plain[i] ^ mask[i % 4]);
			mem_free(plain);
			mem_free(data);
			mem_free(twin);
		}
	}
}
END_TEST

/* One byte beyond ASCII, anywhere, is seen; masked bytes, and what lies beside them, do not count. */
START_TEST(unmask_sees_ascii) {
	static const uint8_t mask[4] = { 0x81, 0xff, 0x80, 0xc3 };

	for (size_t len = 1; len < 2 * 64 + 12; len++) {
		for (size_t at = 0; at <= len; at++) {
			uint8_t *data = mem_alloc(len), *twin;

			memset(data, 0x7f, len);
			if (at < len)
				data[at] = 0x80;
			(void)ws_unmask_plain(data, len, mask, 0);
			twin = mem_dup(data, len);
			ck_assert_int_eq(ws_unmask(data, len, mask, 0), at == len);
			ck_assert_int_eq(ws_unmask_plain(twin, len, mask, 0), at == len);
			mem_free(data);
			mem_free(twin);
		}
	}
	ck_assert(ws_unmask(NULL, 0, mask, 0));
}
END_TEST

START_TEST(unmask_far_inside) {
	static const uint8_t mask[4] = { 1, 2, 3, 4 };
	uint8_t data[3] = { 0 };

	ws_unmask(data, sizeof(data), mask, (1ULL << 40) + 3);
	ck_assert_uint_eq(data[0], 4);
	ck_assert_uint_eq(data[1], 1);
	ck_assert_uint_eq(data[2], 2);
}
END_TEST

Suite *suite_ws_frame(void);

Suite *suite_ws_frame(void) {
	Suite *s = suite_create("ws_frame");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, header, 0, ARRAY_LEN(headers));
	tcase_add_test(t, unmask_example);
	tcase_add_test(t, unmask_like_the_definition);
	tcase_add_test(t, unmask_sees_ascii);
	tcase_add_test(t, unmask_far_inside);
	suite_add_tcase(s, t);
	return s;
}
