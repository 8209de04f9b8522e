/* Messages of chat clients: which are refused with which code, and what is read from the others. */
#include "server/proto/chat_request.h"

#include <check.h>

#include "common/base/mem.h"

#define T(text) { (const uint8_t *)(text), sizeof(text) - 1 }

static const struct {
	struct slice text;
	enum chat_error error;
	const char *ref;
} cases[] = {
	{ T("{\"type\":\"chat\"}"), CHAT_OK, "" },
	{ T(" {\"type\" : \"chat\" } \r\n"), CHAT_OK, "" },
	{ T("{\"type\":\"chat\",\"ref\":null}"), CHAT_OK, "" },
	{ T("{\"type\":\"chat\",\"ref\":0}"), CHAT_OK, "0" },
	{ T("{\"type\":\"chat\",\"ref\": [ 1.0 , \"a b\" ] }"), CHAT_OK, "[1.0,\"a b\"]" },
	{ T("{\"ref\":{\"type\":1},\"type\":\"chat\"}"), CHAT_OK, "{\"type\":1}" },
	{ T("{\"type\":\"chat\",\"ref\": \"\\u0041\" }"), CHAT_OK, "\"\\u0041\"" },
	{ T("{\"t\\u0079pe\":\"chat\",\"x\":1,\"x\":{\"a\":1,\"a\":2}}"), CHAT_OK, "" },
	{ T("{\"type\":\"chat\",\"ref\":{\"a\":1,\"a\":2}}"), CHAT_OK, "{\"a\":1,\"a\":2}" },
	{ T("{\"type\":\"chat\",\"ref\":1,\"r\\u0065f\":1}"), CHAT_bad_json, "" },
	{ T("{\"type\":\"chat\",\"reason\":null,\"reason\":null}"), CHAT_bad_json, "" },
	{ T("{\"type\":\"chat\",\"x\":123456789012345678901234567890}"), CHAT_OK, "" },
	{ T(""), CHAT_bad_json, "" },
	{ T(" "), CHAT_bad_json, "" },
	{ T("hello"), CHAT_bad_json, "" },
	{ T("{"), CHAT_bad_json, "" },
	{ T("{\"type\":\"chat\"}}"), CHAT_bad_json, "" },
	{ T("{\"type\":\"chat\"}\0"), CHAT_bad_json, "" },
	{ T("{'type':'chat'}"), CHAT_bad_json, "" },
	{ T("{\"type\":\"chat\",}"), CHAT_bad_json, "" },
	{ T("{\"type\":\"chat\",\"type\":\"chat\"}"), CHAT_bad_json, "" },
	{ T("{\"type\":\"chat\",\"t\\u0079pe\":\"chat\"}"), CHAT_bad_json, "" },
	{ T("{\"type\":\"ch\\u0000at\"}"), CHAT_bad_json, "" },
	{ T("{\"type\":\"ch\\ud800at\"}"), CHAT_bad_json, "" },
	{ T("{\"type\":\"a\nb\"}"), CHAT_bad_json, "" },
	{ T("{\"type\":\"chat\",\"x\":1e999}"), CHAT_bad_json, "" },
	{ T("{\"type\":\"chat\",\"x\":01}"), CHAT_bad_json, "" },
	{ T("[]"), CHAT_not_object, "" },
	{ T("[{\"type\":\"chat\"}]"), CHAT_not_object, "" },
	{ T("\"chat\""), CHAT_not_object, "" },
	{ T("17"), CHAT_not_object, "" },
	{ T("null"), CHAT_not_object, "" },
	{ T("{}"), CHAT_bad_type, "" },
	{ T("{\"type\":null,\"ref\":1}"), CHAT_bad_type, "1" },
	{ T("{\"type\":1,\"ref\":\"a\"}"), CHAT_bad_type, "\"a\"" },
	{ T("{\"type\":{}}"), CHAT_bad_type, "" },
};

START_TEST(takes_messages_apart) {
	uint8_t *exact = mem_dup(cases[_i].text.ptr, cases[_i].text.len);
	struct chat_request r;

	ck_assert_int_eq(chat_request_init(&r, slice_of(exact, cases[_i].text.len)), cases[_i].error);
	ck_assert(slice_eq_text(r.ref, cases[_i].ref));
	chat_request_fini(&r);
	mem_free(exact);
}
END_TEST

static void init(struct chat_request *r, const char *text) {
	ck_assert_int_eq(chat_request_init(r, slice_text(text)), CHAT_OK);
}

START_TEST(bounds_depth_and_ref) {
	struct chat_request r;
	struct buf b;

	for (size_t depth = 62; depth <= 20000; depth += depth < 66 ? 1 : 9967) {
		buf_init(&b, 100000);
		buf_add_text(&b, "{\"type\":\"chat\",\"x\":");
		for (size_t i = 0; i < depth; i++)
			buf_add_u8(&b, '[');
		for (size_t i = 0; i < depth; i++)
			buf_add_u8(&b, ']');
		buf_add_u8(&b, '}');
		ck_assert_int_eq(chat_request_init(&r, buf_slice(&b)), depth <= 63 ? CHAT_OK : CHAT_bad_json);
		chat_request_fini(&r);
		buf_fini(&b);
	}
	for (size_t len = 253; len <= 256; len++) {
		buf_init(&b, 1000);
		buf_add_text(&b, "{\"type\":\"chat\",\"ref\":  \"");
		for (size_t i = 0; i < len; i++)
			buf_add_u8(&b, 'x');
		buf_add_text(&b, "\"  }");
		ck_assert_int_eq(chat_request_init(&r, buf_slice(&b)), len <= 254 ? CHAT_OK : CHAT_bad_ref);
		ck_assert_uint_eq(r.ref.len, len <= 254 ? len + 2 : 0);
		chat_request_fini(&r);
		buf_fini(&b);
	}
}
END_TEST

START_TEST(reads_text) {
	struct chat_request r;
	struct slice text, again, raw;

	init(&r, "{\"type\":\"a\",\"message\":\"\\u00e4\\n\",\"room\":\"\",\"name\":null,\"userId\":1,\"reason\":\"b\",\"data\":null,"
	    "\"token\":\"\\ud834\\udd1e\"}");
	ck_assert(chat_request_text(&r, CHAT_MEMBER_message, &text) && slice_eq_text(text, "\xc3\xa4\n"));
	ck_assert(chat_request_text(&r, CHAT_MEMBER_token, &again) && slice_eq_text(again, "\xf0\x9d\x84\x9e"));
	ck_assert(chat_request_text(&r, CHAT_MEMBER_message, &again) && again.ptr == text.ptr && slice_eq_text(text, "\xc3\xa4\n"));
	ck_assert(chat_request_text(&r, CHAT_MEMBER_room, &text) && text.len == 0);
	ck_assert(chat_request_text(&r, CHAT_MEMBER_reason, &text) && slice_eq_text(text, "b"));
	ck_assert(!chat_request_text(&r, CHAT_MEMBER_name, &text) && !chat_request_has(&r, CHAT_MEMBER_name));
	ck_assert(!chat_request_text(&r, CHAT_MEMBER_userId, &text) && chat_request_has(&r, CHAT_MEMBER_userId));
	ck_assert(!chat_request_text(&r, CHAT_MEMBER_resume, &text) && !chat_request_has(&r, CHAT_MEMBER_resume));
	ck_assert(chat_request_raw(&r, CHAT_MEMBER_message, &raw) && slice_eq_text(raw, "\"\\u00e4\\n\""));
	ck_assert(chat_request_raw(&r, CHAT_MEMBER_data, &raw) && slice_eq_text(raw, "null"));
	ck_assert(!chat_request_raw(&r, CHAT_MEMBER_after, &raw));
	chat_request_fini(&r);
}
END_TEST

static const struct {
	const char *text;
	bool is_good, has;
	const char *epoch;
	uint64_t offset;
} sinces[] = {
	{ "{\"type\":\"a\"}", true, false, "", 0 },
	{ "{\"type\":\"a\",\"since\":null}", true, false, "", 0 },
	{ "{\"type\":\"a\",\"since\":{\"epoch\":\"e\",\"offset\":0}}", true, true, "e", 0 },
	{ "{\"type\":\"a\",\"since\":{\"epoch\":\"e\",\"offset\":9007199254740991}}", true, true, "e", 9007199254740991 },
	{ "{\"type\":\"a\",\"since\":{\"epoch\":\"e\",\"offset\":7.0,\"x\":1}}", true, true, "e", 7 },
	{ "{\"type\":\"a\",\"since\":{\"epoch\":\"e\",\"offset\":9007199254740992}}", false, true, "", 0 },
	{ "{\"type\":\"a\",\"since\":{\"epoch\":\"e\",\"offset\":-1}}", false, true, "", 0 },
	{ "{\"type\":\"a\",\"since\":{\"epoch\":\"e\",\"offset\":1.5}}", false, true, "", 0 },
	{ "{\"type\":\"a\",\"since\":{\"epoch\":\"e\",\"offset\":\"1\"}}", false, true, "", 0 },
	{ "{\"type\":\"a\",\"since\":{\"epoch\":\"e\"}}", false, true, "", 0 },
	{ "{\"type\":\"a\",\"since\":{\"offset\":1}}", false, true, "", 0 },
	{ "{\"type\":\"a\",\"since\":{\"epoch\":\"\",\"offset\":1}}", false, true, "", 0 },
	{ "{\"type\":\"a\",\"since\":{\"epoch\":\"12345678901234567890123456789012\",\"offset\":1}}", false, true, "", 0 },
	{ "{\"type\":\"a\",\"since\":{\"epoch\":1,\"offset\":1}}", false, true, "", 0 },
	{ "{\"type\":\"a\",\"since\":{\"ep\\u006fch\":\"\\u0065\",\"offset\":1e3}}", true, true, "e", 1000 },
	{ "{\"type\":\"a\",\"since\":{\"epoch\":\"e\",\"epoch\":\"e\",\"offset\":1}}", false, true, "", 0 },
	{ "{\"type\":\"a\",\"since\":[]}", false, true, "", 0 },
	{ "{\"type\":\"a\",\"since\":5}", false, true, "", 0 },
	{ "{\"type\":\"a\",\"since\":\"e:1\"}", false, true, "", 0 },
};

START_TEST(reads_since) {
	struct chat_request r;
	struct hub_position p;
	bool has;

	init(&r, sinces[_i].text);
	ck_assert_int_eq(chat_request_since(&r, &has, &p), sinces[_i].is_good ? CHAT_OK : CHAT_bad_since);
	ck_assert_int_eq(has, sinces[_i].has);
	if (sinces[_i].is_good) {
		ck_assert_str_eq(p.epoch, sinces[_i].epoch);
		ck_assert_uint_eq(p.offset, sinces[_i].offset);
	}
	chat_request_fini(&r);
}
END_TEST

START_TEST(reads_limit_and_before) {
	static const struct {
		const char *text;
		enum chat_error limit_error, before_error;
		uint32_t limit;
		uint64_t before;
	} rows[] = {
		{ "{\"type\":\"a\"}", CHAT_OK, CHAT_OK, 50, 0 },
		{ "{\"type\":\"a\",\"limit\":1,\"before\":1}", CHAT_OK, CHAT_OK, 1, 1 },
		{ "{\"type\":\"a\",\"limit\":1000,\"before\":8}", CHAT_OK, CHAT_OK, 1000, 8 },
		{ "{\"type\":\"a\",\"limit\":0,\"before\":0}", CHAT_bad_limit, CHAT_bad_since, 0, 0 },
		{ "{\"type\":\"a\",\"limit\":1001,\"before\":-1}", CHAT_bad_limit, CHAT_bad_since, 0, 0 },
		{ "{\"type\":\"a\",\"limit\":1.5,\"before\":\"1\"}", CHAT_bad_limit, CHAT_bad_since, 0, 0 },
		{ "{\"type\":\"a\",\"limit\":\"1\",\"before\":{}}", CHAT_bad_limit, CHAT_bad_since, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct chat_request r;
		uint32_t limit = 50;
		uint64_t before;
		bool has;

		init(&r, rows[i].text);
		ck_assert_int_eq(chat_request_limit(&r, &limit), rows[i].limit_error);
		ck_assert_int_eq(chat_request_before(&r, &has, &before), rows[i].before_error);
		if (rows[i].limit_error == CHAT_OK)
			ck_assert_uint_eq(limit, rows[i].limit);
		if (rows[i].before_error == CHAT_OK)
			ck_assert_uint_eq(before, rows[i].before);
		chat_request_fini(&r);
	}
}
END_TEST

Suite *suite_chat_request(void);

Suite *suite_chat_request(void) {
	Suite *s = suite_create("chat_request");
	TCase *t = tcase_create("chat_request");

	tcase_add_loop_test(t, takes_messages_apart, 0, (int)ARRAY_LEN(cases));
	tcase_add_test(t, bounds_depth_and_ref);
	tcase_add_test(t, reads_text);
	tcase_add_loop_test(t, reads_since, 0, (int)ARRAY_LEN(sinces));
	tcase_add_test(t, reads_limit_and_before);
	suite_add_tcase(s, t);
	return s;
}
