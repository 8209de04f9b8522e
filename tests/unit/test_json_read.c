/* JSON taken apart: what is JSON and what is not, where values begin and end, what they say; no byte read past the end of a text. */
#include "server/proto/json_read.h"

#include <check.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "server/proto/json_scan.h"
#include "tests/unit/json_compared.h"

#define T(text) { (const uint8_t *)(text), sizeof(text) - 1 }

static const struct slice data_name = T("data");

static const struct {
	struct slice text;
	enum json_kind kind;
} texts[] = {
	{ T("{}"), JSON_KIND_OBJECT },
	{ T(" \t\r\n{ \"a\" : [ ] , \"b\" : { } } \t\r\n"), JSON_KIND_OBJECT },
	{ T("[]"), JSON_KIND_ARRAY },
	{ T("[[],{},[[]],{\"a\":[{}]},1]"), JSON_KIND_ARRAY },
	{ T("[true,false,null,\"\",-0,0.5,1E+3,1e-3,-12.50e0]"), JSON_KIND_ARRAY },
	{ T("true"), JSON_KIND_BOOL },
	{ T("false"), JSON_KIND_BOOL },
	{ T("null "), JSON_KIND_NULL },
	{ T("0"), JSON_KIND_NUMBER },
	{ T("-1.5e3"), JSON_KIND_NUMBER },
	{ T("\"\""), JSON_KIND_TEXT },
	{ T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00E4\\uD834\\udd1e\""), JSON_KIND_TEXT },
	{ T("\"0123456789abcde\\n0123456789abcdef\""), JSON_KIND_TEXT },
	{ T("\"\x7f\xc3\xa4\""), JSON_KIND_TEXT },
	{ T("[1e308,1.7976931348623157e308,0e999,0.0e99999999999999999999,1e-999]"), JSON_KIND_ARRAY },
	{ T("{\"x\":1,\"x\":2,\"y\":{\"data\":1,\"data\":2}}"), JSON_KIND_OBJECT },
	{ T("{\"\":1,\"\":2}"), JSON_KIND_OBJECT },
	{ T(""), JSON_KIND_NONE },
	{ T(" "), JSON_KIND_NONE },
	{ T("{"), JSON_KIND_NONE },
	{ T("["), JSON_KIND_NONE },
	{ T("}"), JSON_KIND_NONE },
	{ T("]"), JSON_KIND_NONE },
	{ T("[}"), JSON_KIND_NONE },
	{ T("{]"), JSON_KIND_NONE },
	{ T("[[}]"), JSON_KIND_NONE },
	{ T("[{]}"), JSON_KIND_NONE },
	{ T("[1"), JSON_KIND_NONE },
	{ T("[1,"), JSON_KIND_NONE },
	{ T("[1,]"), JSON_KIND_NONE },
	{ T("[,1]"), JSON_KIND_NONE },
	{ T("[1 2]"), JSON_KIND_NONE },
	{ T("[]]"), JSON_KIND_NONE },
	{ T("{}}"), JSON_KIND_NONE },
	{ T("{} {}"), JSON_KIND_NONE },
	{ T("{}\0"), JSON_KIND_NONE },
	{ T("{\"a\":1\0}"), JSON_KIND_NONE },
	{ T("[\0]"), JSON_KIND_NONE },
	{ T("{,}"), JSON_KIND_NONE },
	{ T("{\"a\"}"), JSON_KIND_NONE },
	{ T("{\"a\":}"), JSON_KIND_NONE },
	{ T("{\"a\":1,}"), JSON_KIND_NONE },
	{ T("{\"a\":1 \"b\":2}"), JSON_KIND_NONE },
	{ T("{\"a\" 1}"), JSON_KIND_NONE },
	{ T("{a:1}"), JSON_KIND_NONE },
	{ T("{1:1}"), JSON_KIND_NONE },
	{ T("[{\"a\"}]"), JSON_KIND_NONE },
	{ T("[{\"a\":1,}]"), JSON_KIND_NONE },
	{ T("[{a:1}]"), JSON_KIND_NONE },
	{ T("'a'"), JSON_KIND_NONE },
	{ T("hello"), JSON_KIND_NONE },
	{ T("True"), JSON_KIND_NONE },
	{ T("tru"), JSON_KIND_NONE },
	{ T("nullx"), JSON_KIND_NONE },
	{ T("falsy"), JSON_KIND_NONE },
	{ T("01"), JSON_KIND_NONE },
	{ T("-"), JSON_KIND_NONE },
	{ T("-a"), JSON_KIND_NONE },
	{ T("+1"), JSON_KIND_NONE },
	{ T(".5"), JSON_KIND_NONE },
	{ T("1."), JSON_KIND_NONE },
	{ T("1.e5"), JSON_KIND_NONE },
	{ T("1e"), JSON_KIND_NONE },
	{ T("1e+"), JSON_KIND_NONE },
	{ T("0x1"), JSON_KIND_NONE },
	{ T("NaN"), JSON_KIND_NONE },
	{ T("[1e309]"), JSON_KIND_NONE },
	{ T("[-1e999 ]"), JSON_KIND_NONE },
	{ T("[1.7976931348623159e308]"), JSON_KIND_NONE },
	{ T("[1e99999999999999999999999]"), JSON_KIND_NONE },
	{ T("\""), JSON_KIND_NONE },
	{ T("\"a"), JSON_KIND_NONE },
	{ T("\"a\\"), JSON_KIND_NONE },
	{ T("\"a\\\""), JSON_KIND_NONE },
	{ T("\"\\x\""), JSON_KIND_NONE },
	{ T("\"\\\0\""), JSON_KIND_NONE },
	{ T("\"\\u12\""), JSON_KIND_NONE },
	{ T("\"\\u123g\""), JSON_KIND_NONE },
	{ T("\"\\u0000\""), JSON_KIND_NONE },
	{ T("\"\\ud800\""), JSON_KIND_NONE },
	{ T("\"\\ud800x\""), JSON_KIND_NONE },
	{ T("\"\\ud800\\n\""), JSON_KIND_NONE },
	{ T("\"\\ud800\\ud800\""), JSON_KIND_NONE },
	{ T("\"\\ud800\\u0041\""), JSON_KIND_NONE },
	{ T("\"\\udc00\""), JSON_KIND_NONE },
	{ T("\"a\nb\""), JSON_KIND_NONE },
	{ T("\"a\0b\""), JSON_KIND_NONE },
	{ T("\"\x1f\""), JSON_KIND_NONE },
	{ T("{\"a\\u0000\":1}"), JSON_KIND_NONE },
	{ T("[//\n]"), JSON_KIND_NONE },
	{ T("\xef\xbb\xbf{}"), JSON_KIND_NONE },
	{ T("{\"data\":1,\"data\":1}"), JSON_KIND_NONE },
	{ T("{\"data\":null,\"d\\u0061ta\":1}"), JSON_KIND_NONE },
};

START_TEST(knows_what_is_json) {
	uint8_t *exact = mem_dup(texts[_i].text.ptr, texts[_i].text.len);
	struct slice text = slice_of(exact, texts[_i].text.len);
	struct json_value data;

	ck_assert_int_eq(json_read(text, &data_name, 1, &data), texts[_i].kind);
	json_compare(text);
	mem_free(exact);
}
END_TEST

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
	{ "{\"\\u0064\\u0061\\u0074\\u0061\":5}", "5" },
	{ "{\"dat\\u0161\":1,\"data\":7}", "7" },
	{ "{\"da\\ta\":1,\"data\":8}", "8" },
	{ "{\"datax\":1,\"dat\":2,\"\":3,\"data\":9}", "9" },
	{ "{\"\xc3\xa4\":1,\"data\":10}", "10" },
	{ "{\"data\":123456789012345678901234567890}", "123456789012345678901234567890" },
	{ "{\"\\u0064ata that is longer than any name that somebody asks for, and longer than what there is room for\":1}", NULL },
	{ "{}", NULL },
	{ "{\"x\":1}", NULL },
	{ "[\"data\",1]", NULL },
	{ "\"data\"", NULL },
	{ "{\"a\":{\"data\":1}}", NULL },
	{ "{\"DATA\":1}", NULL },
	{ "{\"type\":\"publish\",\"data\":\"\\ud834\\udd1e\\u00e4\\u20AC\\n \\/\",\"a\":{\"b\":[1,2,{\"c\":null}]}}", "\"\\ud834\\udd1e\\u00e4\\u20AC\\n \\/\"" },
};

START_TEST(reads_nothing) {
	struct json_value data = { SLICE_EMPTY, JSON_KIND_TEXT, true };

	ck_assert_int_eq(json_read(SLICE_EMPTY, &data_name, 1, &data), JSON_KIND_NONE);
	ck_assert_int_eq(data.kind, JSON_KIND_NONE);
}
END_TEST

START_TEST(finds_the_member) {
	struct slice text = slice_text(members[_i].text);
	struct json_value value;

	ck_assert_int_ge(json_read(text, &data_name, 1, &value), JSON_KIND_NULL);
	ck_assert_int_eq(value.kind != JSON_KIND_NONE, members[_i].value != NULL);
	if (members[_i].value != NULL)
		ck_assert(slice_eq_text(value.raw, members[_i].value));
	json_compare(text);
}
END_TEST

/* In memory of exactly its length, so that a read past the end is seen by the sanitizer. */
static void compare_exactly(struct slice text) {
	uint8_t *exact = mem_dup(text.ptr, text.len);

	json_compare(slice_of(exact, text.len));
	mem_free(exact);
}

START_TEST(stops_at_the_end) {
	struct slice whole = slice_text(members[_i].text);

	for (size_t len = 0; len <= whole.len; len++)
		compare_exactly(slice_of(whole.ptr, len));
}
END_TEST

START_TEST(agrees_with_jansson) {
	static const char alphabet[] = "{}[]\",:\\u0064 dat1e+-.n\n\xc3\xa4";
	struct slice seed = slice_text(members[_i].text);

	srand((unsigned)_i);
	for (int round = 0; round < 3000; round++) {
		uint8_t *text = mem_dup(seed.ptr, seed.len);

		for (int i = rand() % 3; i >= 0; i--)
			text[(size_t)rand() % seed.len] = (uint8_t)alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
		json_compare(slice_of(text, seed.len));
		mem_free(text);
	}
}
END_TEST

static void add_many(struct buf *b, const char *text, size_t times) {
	for (size_t i = 0; i < times; i++)
		buf_add_text(b, text);
}

START_TEST(bounds_depth) {
	static const struct {
		const char *begin, *opens, *closes, *end;
		size_t before;
	} rows[] = {
		{ "", "[", "]", "", 0 },
		{ "", "{\"a\":", "}", "", 0 },
		{ "{\"data\":", "[", "]", "}", 1 },
		{ "{\"x\":[", "[ ", " ]", "],\"y\":[]}", 2 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t depth = 60; depth <= 100000; depth += depth < 70 ? 1 : 49965) {
			struct json_value value;
			struct buf b;

			buf_init(&b, SIZE_MAX);
			buf_add_text(&b, rows[i].begin);
			add_many(&b, rows[i].opens, depth);
			buf_add_text(&b, rows[i].opens[0] == '{' ? "0" : "");
			add_many(&b, rows[i].closes, depth);
			buf_add_text(&b, rows[i].end);
			ck_assert_int_eq(json_read(buf_slice(&b), &data_name, 1, &value) > JSON_KIND_TOO_DEEP,
			    depth + rows[i].before <= JSON_DEPTH_MAX);
			if (depth + rows[i].before > JSON_DEPTH_MAX)
				ck_assert_int_eq(json_read(buf_slice(&b), NULL, 0, NULL), JSON_KIND_TOO_DEEP);
			if (depth < 1000)
				json_compare(buf_slice(&b));
			buf_fini(&b);
		}
	}
}
END_TEST

/* Digits and zeros without end, which make a number small again or do not. */
START_TEST(reads_long_numbers) {
	static const struct {
		const char *before, *digit, *after;
		enum json_kind kind;
	} rows[] = {
		{ "[", "1", "]", JSON_KIND_NONE },
		{ "[0.", "0", "1]", JSON_KIND_ARRAY },
		{ "[1", "0", "e-5000]", JSON_KIND_ARRAY },
		{ "[0.", "0", "1e+5000]", JSON_KIND_ARRAY },
		{ "[1", "0", "e-4000]", JSON_KIND_NONE },
		{ "[1e", "0", "5]", JSON_KIND_ARRAY },
		{ "[1e", "9", "]", JSON_KIND_NONE },
		{ "[1e-", "9", "]", JSON_KIND_ARRAY },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b;

		buf_init(&b, SIZE_MAX);
		buf_add_text(&b, rows[i].before);
		add_many(&b, rows[i].digit, 5000);
		buf_add_text(&b, rows[i].after);
		ck_assert_int_eq(json_read(buf_slice(&b), NULL, 0, NULL), rows[i].kind);
		compare_exactly(buf_slice(&b));
		buf_fini(&b);
	}
}
END_TEST

static const struct {
	const char *number;
	bool is_whole;
	uint64_t value;
} numbers[] = {
	{ "0", true, 0 },
	{ "-0", true, 0 },
	{ "7", true, 7 },
	{ "5.0", true, 5 },
	{ "1e3", true, 1000 },
	{ "150E-1", true, 15 },
	{ "9007199254740991", true, 9007199254740991 },
	{ "9007199254740992", false, 0 },
	{ "1e300", false, 0 },
	{ "-1", false, 0 },
	{ "1.5", false, 0 },
	{ "\"1\"", false, 0 },
	{ "null", false, 0 },
	{ "[1]", false, 0 },
};

START_TEST(reads_whole_numbers) {
	struct json_value value;
	uint64_t number;
	struct buf b;

	buf_init(&b, 100);
	buf_addf(&b, "{\"data\":%s}", numbers[_i].number);
	ck_assert_int_eq(json_read(buf_slice(&b), &data_name, 1, &value), JSON_KIND_OBJECT);
	ck_assert_int_eq(json_whole_number(&value, &number), numbers[_i].is_whole);
	if (numbers[_i].is_whole)
		ck_assert_uint_eq(number, numbers[_i].value);
	buf_fini(&b);
}
END_TEST

static const struct {
	const char *text, *compact;
} compacts[] = {
	{ "1", "1" },
	{ "{ \"a b\" : [ 1 ,\t2 ] \r\n}", "{\"a b\":[1,2]}" },
	{ "\"a \\\" b\"", "\"a \\\" b\"" },
	{ "[ \" [ \" , null ]", "[\" [ \",null]" },
};

START_TEST(compacts_values) {
	struct json_value value;
	uint8_t out[100];
	struct buf b;
	size_t len;

	buf_init(&b, 100);
	buf_addf(&b, "{\"data\": %s }", compacts[_i].text);
	ck_assert_int_eq(json_read(buf_slice(&b), &data_name, 1, &value), JSON_KIND_OBJECT);
	ck_assert(json_compact(&value, out, sizeof(out), &len));
	ck_assert(slice_eq_text(slice_of(out, len), compacts[_i].compact));
	ck_assert(json_compact(&value, out, len, &len));
	ck_assert(!json_compact(&value, out, strlen(compacts[_i].compact) - 1, &len));
	buf_fini(&b);
}
END_TEST

/* An assertion of Check takes longer than what is asked for here. */
static bool both_scan(struct slice s, size_t expected) {
	return json_plain_len(s) == expected && json_plain_len_portable(s) == expected;
}

/* Every byte at every place of runs that both ways of looking cut differently. */
START_TEST(scans_as_far_as_text_is_plain) {
	for (size_t len = 0; len <= 50; len++) {
		uint8_t *text = mem_alloc(len + 1);
		bool is_right = true;

		memset(text, 0xa4, len);
		for (size_t at = 0; at < len; at++) {
			for (unsigned c = 0; c < 256; c++) {
				text[at] = (uint8_t)c;
				is_right = is_right && both_scan(slice_of(text, len), c < 0x20 || c == '"' || c == '\\' ? at : len);
			}
			text[at] = at % 2 == 0 ? 'x' : 0xff;
		}
		ck_assert(is_right && both_scan(slice_of(text, len), len));
		mem_free(text);
	}
}
END_TEST

START_TEST(scans_random_bytes_alike) {
	uint8_t text[64];
	bool is_same = true;

	srand(1);
	for (int round = 0; round < 100000; round++) {
		struct slice s = slice_of(text, (size_t)rand() % sizeof(text));

		for (size_t i = 0; i < s.len; i++)
			text[i] = rand() % 16 == 0 ? (uint8_t)rand() : (uint8_t)(' ' + rand() % 2 * 0x5e);
		is_same = is_same && json_plain_len(s) == json_plain_len_portable(s);
	}
	ck_assert(is_same);
}
END_TEST

Suite *suite_json_read(void);

Suite *suite_json_read(void) {
	Suite *s = suite_create("json_read");
	TCase *t = tcase_create("json_read");

	tcase_add_loop_test(t, knows_what_is_json, 0, (int)ARRAY_LEN(texts));
	tcase_add_test(t, reads_nothing);
	tcase_add_loop_test(t, finds_the_member, 0, (int)ARRAY_LEN(members));
	tcase_add_loop_test(t, stops_at_the_end, 0, (int)ARRAY_LEN(members));
	tcase_add_loop_test(t, agrees_with_jansson, 0, (int)ARRAY_LEN(members));
	tcase_add_test(t, bounds_depth);
	tcase_add_test(t, reads_long_numbers);
	tcase_add_loop_test(t, reads_whole_numbers, 0, (int)ARRAY_LEN(numbers));
	tcase_add_loop_test(t, compacts_values, 0, (int)ARRAY_LEN(compacts));
	tcase_add_test(t, scans_as_far_as_text_is_plain);
	tcase_add_test(t, scans_random_bytes_alike);
	suite_add_tcase(s, t);
	return s;
}
