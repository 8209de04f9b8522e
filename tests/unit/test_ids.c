/* test_ids - unlike each other, of one length, from the alphabet */
#include <check.h>

#include "common/base/ids.h"

START_TEST(texts) {
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	static char text[700][ID_TEXT_LEN + 1];
	struct id_source s;

	id_source_init(&s);
	for (size_t i = 0; i < ARRAY_LEN(text); i++) {
		id_text(&s, id_next(&s), text[i]);
		ck_assert_uint_eq(strspn(text[i], alphabet), ID_TEXT_LEN);
		ck_assert_uint_eq(strlen(text[i]), ID_TEXT_LEN);
	}
	for (size_t i = 0; i < ARRAY_LEN(text); i += 7) {
		for (size_t j = i + 1; j < ARRAY_LEN(text); j++)
			ck_assert_str_ne(text[i], text[j]);
	}
}
END_TEST

START_TEST(same_number_same_text) {
	struct id_source a, b;
	char first[ID_TEXT_LEN + 1], second[ID_TEXT_LEN + 1];
	uint64_t id;

	id_source_init(&a);
	id_source_init(&b);
	id = id_next(&a);
	ck_assert_uint_ne(id, 0);
	ck_assert_uint_ne(id, id_next(&a));
	id_text(&a, id, first);
	id_text(&a, id, second);
	ck_assert_str_eq(first, second);
	id_text(&b, id, second);
	ck_assert_str_ne(first, second);
	id_text(&a, ((uint64_t)1 << 48) - 1, second);
	ck_assert_str_ne(first, second);
}
END_TEST

START_TEST(parsed) {
	static const uint64_t ids[] = { 0, 1, 255, 256, 0x123456789abc, ((uint64_t)1 << 48) - 1 };
	char text[ID_TEXT_LEN + 1];
	struct id_source a, b;
	uint64_t id;

	id_source_init(&a);
	id_source_init(&b);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		id_text(&a, ids[i], text);
		ck_assert(id_parse(&a, slice_text(text), &id) && id == ids[i]);
		ck_assert(!id_parse(&b, slice_text(text), &id));
	}
	for (size_t len = 0; len < ID_TEXT_LEN; len++)
		ck_assert(!id_parse(&a, slice_of(text, len), &id));
	text[5] = '=';
	ck_assert(!id_parse(&a, slice_text(text), &id));
}
END_TEST

Suite *suite_ids(void);
Suite *suite_ids(void) {
	Suite *s = suite_create("ids");
	TCase *tc = tcase_create("ids");

	tcase_add_test(tc, texts);
	tcase_add_test(tc, same_number_same_text);
	tcase_add_test(tc, parsed);
	suite_add_tcase(s, tc);
	return s;
}
