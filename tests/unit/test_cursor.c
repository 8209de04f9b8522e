/* test_cursor - where a page of members ended, as text */
#include "server/proto/cursor.h"

#include <check.h>

START_TEST(there_and_back) {
	static const struct hub_cursor cursors[] = {
		{ 1, { (const uint8_t *)"u", 1 } },
		{ UINT64_MAX, { (const uint8_t *)".a.b ", 5 } },
	};
	struct hub_cursor got;
	struct buf text;

	buf_init(&text, 1000);
	for (size_t i = 0; i < ARRAY_LEN(cursors); i++) {
		buf_reset(&text);
		cursor_write(&cursors[i], &text);
		ck_assert(cursor_parse(buf_slice(&text), &got));
		ck_assert_uint_eq(got.number, cursors[i].number);
		ck_assert(slice_eq(got.member, cursors[i].member));
	}
	buf_fini(&text);
}
END_TEST

START_TEST(others_are_refused) {
	static const char *const texts[] = { "", ".", "u1", "7", "7.", ".u1", "0.u1", "-1.u1", "+7.u1", " 7.u1", "7x.u1", "18446744073709551616.u1" };
	struct hub_cursor got;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		ck_assert_msg(!cursor_parse(slice_text(texts[i]), &got), "%s", texts[i]);
}
END_TEST

Suite *suite_cursor(void);

Suite *suite_cursor(void) {
	Suite *s = suite_create("cursor");
	TCase *t = tcase_create("cursor");

	tcase_add_test(t, there_and_back);
	tcase_add_test(t, others_are_refused);
	suite_add_tcase(s, t);
	return s;
}
