/* test_buf - growing, the cap, failure that sticks */
#include <check.h>
#include <inttypes.h>

#include "common/base/buf.h"

static void assert_text(const struct buf *b, const char *text) {
	ck_assert_msg(slice_eq_text(buf_slice(b), text), "%.*s is not %s", SLICE_ARGS(buf_slice(b)), text);
}

START_TEST(appends) {
	struct buf b;

	buf_init(&b, 1000);
	buf_add_text(&b, "one ");
	buf_add(&b, SLICE_EMPTY);
	buf_add_u8(&b, '2');
	buf_add_u8(&b, ' ');
	buf_add_u64_text(&b, 0);
	buf_add_u8(&b, ' ');
	buf_add_u64_text(&b, UINT64_MAX);
	buf_addf(&b, " %s%d", "x", -5);
	assert_text(&b, "one 2 0 18446744073709551615 x-5");
	ck_assert(!b.failed);
	buf_drop_front(&b, 4);
	assert_text(&b, "2 0 18446744073709551615 x-5");
	buf_drop_front(&b, b.len);
	ck_assert_uint_eq(b.len, 0);
	buf_fini(&b);
}
END_TEST

START_TEST(cap_is_reached_not_passed) {
	struct buf b;

	buf_init(&b, 100);
	for (int i = 0; i < 100; i++)
		buf_add_u8(&b, (uint8_t)i);
	ck_assert(!b.failed);
	ck_assert_uint_eq(b.len, 100);
	ck_assert_uint_le(b.cap, 100);
	buf_add(&b, SLICE_EMPTY);
	ck_assert(!b.failed);
	buf_add_u8(&b, 1);
	ck_assert(b.failed);
	ck_assert_uint_eq(b.len, 100);
	ck_assert_uint_eq(b.data[99], 99);
	buf_drop_front(&b, 50);
	buf_add_text(&b, "fits, but failed stays");
	ck_assert(b.failed);
	ck_assert_uint_eq(b.len, 50);
	buf_reset(&b);
	buf_add_text(&b, "again");
	assert_text(&b, "again");
	buf_fini(&b);
}
END_TEST

START_TEST(formatted_up_to_the_cap) {
	struct buf b;

	for (int len = 250; len <= 260; len++) {
		buf_init(&b, (size_t)len);
		buf_addf(&b, "%0*d", len, 7);
		ck_assert(!b.failed);
		ck_assert_uint_eq(b.len, (size_t)len);
		ck_assert_uint_eq(b.data[len - 1], '7');
		buf_addf(&b, "%s", "");
		ck_assert(!b.failed);
		buf_addf(&b, "%s", "x");
		ck_assert(b.failed);
		buf_fini(&b);
	}
}
END_TEST

START_TEST(reserve) {
	struct buf b;
	uint8_t *at;

	buf_init(&b, 1 << 20);
	ck_assert_ptr_nonnull(buf_reserve(&b, 0));
	for (size_t want = 1; want < 4000; want = want * 3 + 1) {
		at = buf_reserve(&b, want);
		ck_assert_ptr_nonnull(at);
		memset(at, (int)want, want);
		b.len += want;
	}
	ck_assert_ptr_null(buf_reserve(&b, 1 << 20));
	ck_assert(b.failed);
	ck_assert_ptr_null(buf_reserve(&b, 1));
	buf_reset(&b);
	ck_assert_ptr_null(buf_reserve(&b, SIZE_MAX));
	buf_fini(&b);
	ck_assert_ptr_null(b.data);
}
END_TEST

START_TEST(zeroed_one) {
	struct buf b = { 0 };

	buf_add(&b, SLICE_EMPTY);
	ck_assert(!b.failed);
	buf_add_u8(&b, 1);
	ck_assert(b.failed);
	buf_fini(&b);
}
END_TEST

Suite *suite_buf(void);
Suite *suite_buf(void) {
	Suite *s = suite_create("buf");
	TCase *tc = tcase_create("buf");

	tcase_add_test(tc, appends);
	tcase_add_test(tc, cap_is_reached_not_passed);
	tcase_add_test(tc, formatted_up_to_the_cap);
	tcase_add_test(tc, reserve);
	tcase_add_test(tc, zeroed_one);
	suite_add_tcase(s, tc);
	return s;
}
