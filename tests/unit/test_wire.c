/* test_wire - fields there and back, and every way of being cut short */
#include <check.h>

#include "common/base/mem.h"
#include "common/base/wire.h"

static void put_message(struct buf *b) {
	wire_put_u8(b, 0xfe);
	wire_put_u16(b, 0x1234);
	wire_put_u32(b, 0x89abcdef);
	wire_put_u64(b, 0x0123456789abcdef);
	wire_put_str8(b, slice_text("eight"));
	wire_put_str16(b, slice_text("sixteen"));
	wire_put_bytes(b, SLICE_EMPTY);
	wire_put_bytes(b, slice_text("bytes"));
}

static void get_message(struct wire_reader *r) {
	(void)wire_get_u8(r);
	(void)wire_get_u16(r);
	(void)wire_get_u32(r);
	(void)wire_get_u64(r);
	(void)wire_get_str8(r);
	(void)wire_get_str16(r);
	(void)wire_get_bytes(r);
	(void)wire_get_bytes(r);
}

START_TEST(there_and_back) {
	struct wire_reader r;
	struct buf b;

	buf_init(&b, 1000);
	put_message(&b);
	ck_assert(!b.failed);
	ck_assert_mem_eq(b.data, "\xfe\x12\x34\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef\x05" "eight\0\x07sixteen", 30);
	r = wire_reader_of(buf_slice(&b));
	ck_assert_uint_eq(wire_get_u8(&r), 0xfe);
	ck_assert_uint_eq(wire_get_u16(&r), 0x1234);
	ck_assert_uint_eq(wire_get_u32(&r), 0x89abcdef);
	ck_assert_uint_eq(wire_get_u64(&r), 0x0123456789abcdef);
	ck_assert(slice_eq_text(wire_get_str8(&r), "eight"));
	ck_assert(slice_eq_text(wire_get_str16(&r), "sixteen"));
	ck_assert_uint_eq(wire_get_bytes(&r).len, 0);
	ck_assert(!wire_reader_done(&r));
	ck_assert(slice_eq_text(wire_get_bytes(&r), "bytes"));
	ck_assert(wire_reader_done(&r));
	ck_assert_uint_eq(wire_get_u8(&r), 0);
	ck_assert(!wire_reader_done(&r));
	buf_fini(&b);
}
END_TEST

START_TEST(cut_short_anywhere) {
	struct buf b;

	buf_init(&b, 1000);
	put_message(&b);
	for (size_t len = 0; len < b.len; len++) {
		uint8_t *exact = mem_dup(b.data, len);
		struct wire_reader r = wire_reader_of(slice_of(exact, len));

		get_message(&r);
		ck_assert(r.failed);
		ck_assert(!wire_reader_done(&r));
		mem_free(exact);
	}
	buf_fini(&b);
}
END_TEST

START_TEST(failure_sticks) {
	struct wire_reader r = wire_reader_of(slice_of("\x05" "abc", 4));

	ck_assert_uint_eq(wire_get_str8(&r).len, 0);
	ck_assert(r.failed);
	ck_assert_uint_eq(wire_get_u8(&r), 0);
	ck_assert_uint_eq(wire_get_fixed(&r, 0).len, 0);
	ck_assert(!wire_reader_done(&r));
	r = wire_reader_of(slice_of("\xff\xff\xff\xff" "abc", 7));
	ck_assert_uint_eq(wire_get_bytes(&r).len, 0);
	ck_assert(r.failed);
	r = wire_reader_of(slice_of("abc", 3));
	(void)wire_get_fixed(&r, SIZE_MAX);
	ck_assert(r.failed);
}
END_TEST

START_TEST(too_long_for_the_field) {
	static uint8_t big[70000];
	struct buf b;

	buf_init(&b, 1 << 20);
	wire_put_str8(&b, slice_of(big, 255));
	wire_put_str16(&b, slice_of(big, 65535));
	ck_assert(!b.failed);
	ck_assert_uint_eq(b.len, 1 + 255 + 2 + 65535);
	wire_put_str8(&b, slice_of(big, 256));
	ck_assert(b.failed);
	buf_reset(&b);
	wire_put_str16(&b, slice_of(big, 65536));
	ck_assert(b.failed);
	ck_assert_uint_eq(b.len, 0);
	buf_fini(&b);
}
END_TEST

Suite *suite_wire(void);
Suite *suite_wire(void) {
	Suite *s = suite_create("wire");
	TCase *tc = tcase_create("wire");

	tcase_add_test(tc, there_and_back);
	tcase_add_test(tc, cut_short_anywhere);
	tcase_add_test(tc, failure_sticks);
	tcase_add_test(tc, too_long_for_the_field);
	suite_add_tcase(s, tc);
	return s;
}
