/* Escaping: exactly what RFC 8259 demands, everything else byte for byte. */
#include <check.h>

#include "server/proto/json_write.h"

#define T(text) { (const uint8_t *)(text), sizeof(text) - 1 }

static const struct {
	struct slice text, json;
} cases[] = {
	{ T(""), T("\"\"") },
	{ T("plain"), T("\"plain\"") },
	{ T("a\"b\\c/d"), T("\"a\\\"b\\\\c/d\"") },
	{ T("\"\""), T("\"\\\"\\\"\"") },
	{ T("\b\f\n\r\t"), T("\"\\b\\f\\n\\r\\t\"") },
	{ T("\x01\x1f\x00"), T("\"\\u0001\\u001f\\u0000\"") },
	{ T("\x7f\xc3\xa4\xf0\x9f\x98\x80\xe2\x80\xa8"), T("\"\x7f\xc3\xa4\xf0\x9f\x98\x80\xe2\x80\xa8\"") },
};

START_TEST(escapes) {
	struct buf b;

	buf_init(&b, 1000);
	json_write_text(&b, cases[_i].text);
	ck_assert(!b.failed);
	ck_assert(slice_eq(buf_slice(&b), cases[_i].json));
	buf_fini(&b);
}
END_TEST

START_TEST(members) {
	struct buf b;

	buf_init(&b, 1000);
	buf_add_text(&b, "{\"type\":\"x\"");
	json_write_member_text(&b, "a", slice_text("1\"2"));
	json_write_member_u64(&b, "b", 18446744073709551615u);
	json_write_member_bool(&b, "c", true);
	json_write_member_bool(&b, "d", false);
	json_write_member_raw(&b, "e", slice_text("[ 1.0 ]"));
	json_write_member_seconds(&b, "f", 12000);
	json_write_member_seconds(&b, "g", 1);
	json_write_member_seconds(&b, "h", 7050);
	buf_add_u8(&b, '}');
	ck_assert(slice_eq_text(buf_slice(&b),
	    "{\"type\":\"x\",\"a\":\"1\\\"2\",\"b\":18446744073709551615,\"c\":true,\"d\":false,\"e\":[ 1.0 ],\"f\":12,\"g\":0.001,\"h\":7.05}"));
	buf_fini(&b);
}
END_TEST

START_TEST(stays_within_its_cap) {
	struct buf b;

	buf_init(&b, 4);
	json_write_text(&b, slice_text("\n\n\n\n"));
	ck_assert(b.failed);
	buf_fini(&b);
}
END_TEST

Suite *suite_json_write(void);

Suite *suite_json_write(void) {
	Suite *s = suite_create("json_write");
	TCase *t = tcase_create("json_write");

	tcase_add_loop_test(t, escapes, 0, (int)ARRAY_LEN(cases));
	tcase_add_test(t, members);
	tcase_add_test(t, stays_within_its_cap);
	suite_add_tcase(s, t);
	return s;
}
