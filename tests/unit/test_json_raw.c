/* Values as they came: where they begin and end, whatever surrounds them; and no byte read past a broken text's end. */
#include <check.h>
#include <jansson.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "server/proto/json_raw.h"

static const struct {
	const char *text, *value;	/* NULL: there is none */
} members[] = {
	{ "{\"data\":1}", "1" },
	{ " \t\r\n{ \"data\" : 1 } ", "1" },
	{ "{\"data\":null}", "null" },
	{ "{\"data\":true,\"x\":false}", "true" },
	{ "{\"x\":false,\"data\":-1.50e+3}", "-1.50e+3" },
	{ "{\"data\":\"a\\\"}b\",\"x\":1}", "\"a\\\"}b\"" },
	{ "{\"data\":\"\\\\\",\"x\":1}", "\"\\\\\"" },
	{ "{\"x\":\"\\\\\\\"\",\"data\":\"\"}", "\"\"" },
	{ "{\"data\":{}}", "{}" },
	{ "{\"data\": { \"a\" : [ 1, \"]}\" ] } ,\"b\":2}", "{ \"a\" : [ 1, \"]}\" ] }" },
	{ "{\"a\":{\"data\":1},\"b\":[{\"data\":2}],\"c\":\"data\",\"data\":3}", "3" },
	{ "{\"a\":[[],{},\"\\\"\"],\"data\":[[]]}", "[[]]" },
	{ "{\"\\u0064at\\u0061\":5}", "5" },
	{ "{\"d\\u0061ta\":5}", "5" },
	{ "{\"data\\u0000\":1,\"data\":6}", "6" },
	{ "{\"dat\\u0161\":1,\"data\":7}", "7" },
	{ "{\"da\\ta\":1,\"data\":8}", "8" },
	{ "{\"datax\":1,\"dat\":2,\"\":3,\"data\":9}", "9" },
	{ "{\"\xc3\xa4\":1,\"data\":10}", "10" },
	{ "{\"data\":123456789012345678901234567890}", "123456789012345678901234567890" },
	{ "{}", NULL },
	{ "{\"x\":1}", NULL },
	{ "[\"data\",1]", NULL },
	{ "\"data\"", NULL },
	{ "", NULL },
	{ "{\"a\":{\"data\":1}}", NULL },
	{ "{\"DATA\":1}", NULL },
};

START_TEST(finds_the_member) {
	struct slice text = slice_text(members[_i].text), value;
	bool found = json_raw_member(text, "data", &value);

	ck_assert_int_eq(found, members[_i].value != NULL);
	if (found)
		ck_assert(slice_eq_text(value, members[_i].value));
}
END_TEST

/* Every prefix, in memory of exactly its length, so that a read past the end is seen by the sanitizer. */
START_TEST(stops_at_the_end) {
	struct slice whole = slice_text(members[_i].text);

	for (size_t len = 0; len < whole.len; len++) {
		uint8_t *part = mem_dup(whole.ptr, len);
		struct slice s = slice_of(part, len), value;
		struct buf out;

		if (json_raw_member(s, "data", &value))
			ck_assert(value.ptr >= part && value.ptr + value.len <= part + len);
		json_raw_depth_within(s, 3);
		buf_init(&out, 1000);
		json_raw_compact(s, &out);
		buf_fini(&out);
		mem_free(part);
	}
}
END_TEST

/* Random changes of valid texts: when the parser takes one, both agree on the member. */
START_TEST(agrees_with_the_parser) {
	struct slice seed = slice_text(members[_i].text);

	srand(1);
	for (int round = 0; round < 2000 && seed.len > 0; round++) {
		static const char alphabet[] = "{}[]\",:\\u0064 dat1";
		uint8_t *text = mem_dup(seed.ptr, seed.len);
		struct slice s = slice_of(text, seed.len), value;
		json_t *root;

		for (int i = rand() % 3; i >= 0; i--)
			text[(size_t)rand() % s.len] = (uint8_t)alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
		root = json_loadb((const char *)text, s.len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
		if (root != NULL && json_is_object(root)) {
			json_t *expected = json_object_get(root, "data");

			ck_assert_int_eq(json_raw_member(s, "data", &value), expected != NULL);
			if (expected != NULL) {
				json_t *got = json_loadb((const char *)value.ptr, value.len,
				    JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);

				ck_assert(json_equal(got, expected));
				json_decref(got);
			}
		}
		json_decref(root);
		mem_free(text);
	}
}
END_TEST

START_TEST(measures_depth) {
	ck_assert(json_raw_depth_within(slice_text("1"), 0));
	ck_assert(json_raw_depth_within(slice_text("[[]]"), 2));
	ck_assert(!json_raw_depth_within(slice_text("[[]]"), 1));
	ck_assert(json_raw_depth_within(slice_text("[[],[],{\"a\":\"[[[[\"}]"), 2));
	ck_assert(!json_raw_depth_within(slice_text("{\"a\":{\"b\":{}}}"), 2));
	ck_assert(json_raw_depth_within(slice_text("]]]][[]]"), 2));
}
END_TEST

static const struct {
	const char *text, *compact;
} compacts[] = {
	{ "1", "1" },
	{ " { \"a b\" : [ 1 ,\t2 ] }\r\n", "{\"a b\":[1,2]}" },
	{ "\"a \\\" b\" ", "\"a \\\" b\"" },
	{ "\" no end", "\" no end" },
};

START_TEST(compacts_values) {
	struct buf out;

	buf_init(&out, 100);
	json_raw_compact(slice_text(compacts[_i].text), &out);
	ck_assert(slice_eq_text(buf_slice(&out), compacts[_i].compact));
	buf_fini(&out);
}
END_TEST

Suite *suite_json_raw(void);

Suite *suite_json_raw(void) {
	Suite *s = suite_create("json_raw");
	TCase *t = tcase_create("json_raw");

	tcase_add_loop_test(t, finds_the_member, 0, (int)ARRAY_LEN(members));
	tcase_add_loop_test(t, stops_at_the_end, 0, (int)ARRAY_LEN(members));
	tcase_add_loop_test(t, agrees_with_the_parser, 0, (int)ARRAY_LEN(members));
	tcase_add_test(t, measures_depth);
	tcase_add_loop_test(t, compacts_values, 0, (int)ARRAY_LEN(compacts));
	suite_add_tcase(s, t);
	return s;
}
