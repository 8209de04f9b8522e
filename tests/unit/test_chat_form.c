/* The chat's messages to everybody, byte for byte. */
#include <check.h>

#include "server/proto/chat_form.h"
#include "server/proto/chat_texts.h"

#define S(text) { (const uint8_t *)(text), sizeof(text) - 1 }

static struct config config;
static struct hub_form form;
static struct buf out;

static void set_up(void) {
	config = (struct config){ .room_announce_limit = 3, .locale = LOCALE_EN };
	chat_form_init(&form, &config);
	buf_init(&out, 10000);
}

static void tear_down(void) {
	buf_fini(&out);
}

static void expect(const char *text) {
	ck_assert_msg(slice_eq_text(buf_slice(&out), text), "got %.*s", SLICE_ARGS(buf_slice(&out)));
	buf_reset(&out);
}

static const struct {
	struct hub_publication p;
	const char *text;	/* NULL: skipped */
} publications[] = {
	{ { S("room:lobby"), S("e1"), S("\"type\":\"chat\",\"message\":\"hi\""), 7, 1700000000000, PAYLOAD_CHAT },
	  "{\"type\":\"chat\",\"message\":\"hi\",\"epoch\":\"e1\",\"offset\":7,\"time\":1700000000000}" },
	{ { S("$all"), S("e1"), S("\"type\":\"system\",\"message\":\"hi\""), 7, 5, PAYLOAD_CHAT },
	  "{\"type\":\"system\",\"message\":\"hi\",\"time\":5}" },
	{ { S("scores"), S("e\"1"), S("[ 1.0 ]"), 1, 5, PAYLOAD_JSON },
	  "{\"type\":\"publication\",\"channel\":\"scores\",\"data\":[ 1.0 ],\"epoch\":\"e\\\"1\",\"offset\":1,\"time\":5}" },
	{ { S("room:lobby"), S("e1"), S("null"), 1, 5, PAYLOAD_JSON },
	  "{\"type\":\"publication\",\"channel\":\"room:lobby\",\"room\":\"lobby\",\"data\":null,\"epoch\":\"e1\",\"offset\":1,"
	  "\"time\":5}" },
	{ { S("room:lobby"), S("e1"), S("hi"), 1, 5, PAYLOAD_TEXT }, NULL },
	{ { S("room:lobby"), S("e1"), S("hi"), 1, 5, PAYLOAD_BINARY }, NULL },
	{ { S("room:lobby"), S("e1"), S("hi"), 1, 5, 200 }, NULL },
};

START_TEST(writes_publications) {
	uint8_t opcode = form.publication(&publications[_i].p, &out, form.arg);

	ck_assert_int_eq(opcode, publications[_i].text != NULL ? WS_TEXT : HUB_SKIP);
	expect(publications[_i].text != NULL ? publications[_i].text : "");
}
END_TEST

START_TEST(announces_members) {
	struct hub_member_event m = { S("room:lobby"), S("u\"1"), S("{\"name\":\"An\\\"na\"}"), 2, true };
	bool count_later = false;

	ck_assert_int_eq(form.member_event(&m, 0, &count_later, &out, form.arg), WS_TEXT);
	expect("{\"type\":\"user_joined\",\"userId\":\"u\\\"1\",\"name\":\"An\\\"na\",\"room\":\"lobby\",\"count\":2}");
	ck_assert_int_eq(form.member_event(&m, 1, &count_later, &out, form.arg), WS_TEXT);
	expect("{\"type\":\"system\",\"message\":\"An\\\"na joined the chat\",\"room\":\"lobby\"}");
	ck_assert_int_eq(form.member_event(&m, 2, &count_later, &out, form.arg), HUB_SKIP);
	m.is_join = false;
	ck_assert_int_eq(form.member_event(&m, 0, &count_later, &out, form.arg), WS_TEXT);
	expect("{\"type\":\"user_left\",\"userId\":\"u\\\"1\",\"name\":\"An\\\"na\",\"room\":\"lobby\",\"count\":2}");
	ck_assert_int_eq(form.member_event(&m, 1, &count_later, &out, form.arg), WS_TEXT);
	expect("{\"type\":\"system\",\"message\":\"An\\\"na left the chat\",\"room\":\"lobby\"}");
	ck_assert(!count_later);
}
END_TEST

START_TEST(counts_in_large_rooms) {
	struct hub_member_event m = { S("room:lobby"), S("u1"), S("{\"name\":\"Anna\"}"), 3, true };
	bool count_later = false;

	ck_assert_int_eq(form.member_event(&m, 0, &count_later, &out, form.arg), WS_TEXT);
	ck_assert(!count_later);
	buf_reset(&out);
	m.member_count = 4;
	ck_assert_int_eq(form.member_event(&m, 0, &count_later, &out, form.arg), HUB_SKIP);
	ck_assert(count_later);
	expect("");
	ck_assert_int_eq(form.member_count(m.channel, 4, &out, form.arg), WS_TEXT);
	expect("{\"type\":\"count\",\"room\":\"lobby\",\"count\":4}");
	ck_assert_int_eq(form.member_count(slice_text("scores"), 4, &out, form.arg), HUB_SKIP);
}
END_TEST

START_TEST(names_members_without_names) {
	chat_form_member(slice_text("u1"), slice_text("{}"), &out);
	expect("{\"userId\":\"u1\",\"name\":\"u1\"}");
	chat_form_member(slice_text("u1"), slice_text("{\"name\":5}"), &out);
	expect("{\"userId\":\"u1\",\"name\":\"u1\"}");
	chat_form_member(slice_text("u1"), SLICE_EMPTY, &out);
	expect("{\"userId\":\"u1\",\"name\":\"u1\"}");
	chat_form_member(slice_text("u1"), slice_text("{\"name\":\"\"}"), &out);
	expect("{\"userId\":\"u1\",\"name\":\"\"}");
}
END_TEST

START_TEST(says_what_was_lost) {
	struct hub_position p = { "e2", 3 };

	ck_assert_int_eq(form.reset(slice_text("room:lobby"), &p, &out, form.arg), WS_TEXT);
	expect("{\"type\":\"reset\",\"room\":\"lobby\",\"epoch\":\"e2\",\"offset\":3,\"recovered\":false}");
	ck_assert_int_eq(form.reset(slice_text("scores"), &p, &out, form.arg), WS_TEXT);
	expect("{\"type\":\"reset\",\"channel\":\"scores\",\"epoch\":\"e2\",\"offset\":3,\"recovered\":false}");
	ck_assert_int_eq(form.reset(slice_text("$all"), &p, &out, form.arg), HUB_SKIP);
}
END_TEST

START_TEST(speaks_german) {
	struct hub_member_event m = { S("room:lobby"), S("u1"), S("{\"name\":\"Anna\"}"), 1, true };
	bool count_later;

	config.locale = LOCALE_DE;
	form.member_event(&m, 1, &count_later, &out, form.arg);
	expect("{\"type\":\"system\",\"message\":\"Anna ist dem Chat beigetreten\",\"room\":\"lobby\"}");
	m.is_join = false;
	form.member_event(&m, 1, &count_later, &out, form.arg);
	expect("{\"type\":\"system\",\"message\":\"Anna hat den Chat verlassen\",\"room\":\"lobby\"}");
	ck_assert_str_eq(chat_text_joined(LOCALE_EN), " joined the chat");
	ck_assert_str_eq(chat_text_left(LOCALE_EN), " left the chat");
}
END_TEST

Suite *suite_chat_form(void);

Suite *suite_chat_form(void) {
	Suite *s = suite_create("chat_form");
	TCase *t = tcase_create("chat_form");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t, writes_publications, 0, (int)ARRAY_LEN(publications));
	tcase_add_test(t, announces_members);
	tcase_add_test(t, counts_in_large_rooms);
	tcase_add_test(t, names_members_without_names);
	tcase_add_test(t, says_what_was_lost);
	tcase_add_test(t, speaks_german);
	suite_add_tcase(s, t);
	return s;
}
