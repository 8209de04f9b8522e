/* test_slice - comparing, trimming, splitting, numbers */
#include <check.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "common/base/slice.h"

START_TEST(comparisons) {
	ck_assert(slice_eq(SLICE_EMPTY, slice_text("")));
	ck_assert(slice_eq_text(slice_text("abc"), "abc"));
	ck_assert(!slice_eq_text(slice_text("abc"), "abcd"));
	ck_assert(!slice_eq_text(slice_text("abc"), "abC"));
	ck_assert(slice_eq_nocase(slice_text("ConTent-LENGTH"), "content-Length"));
	ck_assert(!slice_eq_nocase(slice_text("content"), "content-length"));
	ck_assert(!slice_eq_nocase(slice_text("content-length"), "content"));
	/* Only letters fold: '@' and '`' differ in the same bit. */
	ck_assert(!slice_eq_nocase(slice_text("@"), "`"));
	ck_assert(!slice_eq_nocase(slice_of("a\0", 2), "a"));
	ck_assert(slice_eq_nocase(SLICE_EMPTY, ""));
	ck_assert(slice_starts_with(slice_text("abc"), "ab"));
	ck_assert(slice_starts_with(slice_text("abc"), ""));
	ck_assert(!slice_starts_with(slice_text("ab"), "abc"));
	ck_assert(slice_eq_text(slice_skip(slice_text("abc"), 2), "c"));
}
END_TEST

START_TEST(trims) {
	ck_assert(slice_eq_text(slice_trim(slice_text(" \t a b\t ")), "a b"));
	ck_assert(slice_eq_text(slice_trim(slice_text("a")), "a"));
	ck_assert_uint_eq(slice_trim(slice_text(" \t ")).len, 0);
	ck_assert_uint_eq(slice_trim(SLICE_EMPTY).len, 0);
	/* Neither line ends nor other blanks are OWS. */
	ck_assert_uint_eq(slice_trim(slice_text("\r\n")).len, 2);
}
END_TEST

static const struct {
	const char *text, *joined;
} splits[] = {
	{ "a,b,c", "[a][b][c]" },
	{ "a", "[a]" },
	{ "", "[]" },
	{ ",", "[][]" },
	{ "a,,b,", "[a][][b][]" },
};

START_TEST(parts) {
	struct slice rest = slice_text(splits[_i].text), part;
	char joined[64] = "";

	while (slice_next_part(&rest, ',', &part))
		snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "[%.*s]", SLICE_ARGS(part));
	ck_assert_str_eq(joined, splits[_i].joined);
}
END_TEST

START_TEST(numbers) {
	static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "1a", "0x1", "18446744073709551616",
		"99999999999999999999", "1.0" };
	uint64_t v;

	ck_assert(slice_to_u64(slice_text("0"), &v) && v == 0);
	ck_assert(slice_to_u64(slice_text("007"), &v) && v == 7);
	ck_assert(slice_to_u64(slice_text("18446744073709551615"), &v) && v == UINT64_MAX);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!slice_to_u64(slice_text(bad[i]), &v), "%s", bad[i]);
}
END_TEST

START_TEST(copies) {
	char *text = slice_dup_text(slice_of("abcdef", 3));

	ck_assert_str_eq(text, "abc");
	mem_free(text);
	text = slice_dup_text(SLICE_EMPTY);
	ck_assert_str_eq(text, "");
	mem_free(text);
}
END_TEST

Suite *suite_slice(void);
Suite *suite_slice(void) {
	Suite *s = suite_create("slice");
	TCase *tc = tcase_create("slice");

	tcase_add_test(tc, comparisons);
	tcase_add_test(tc, trims);
	tcase_add_loop_test(tc, parts, 0, ARRAY_LEN(splits));
	tcase_add_test(tc, numbers);
	tcase_add_test(tc, copies);
	suite_add_tcase(s, tc);
	return s;
}
