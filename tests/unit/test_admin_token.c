/* admin_token - what is one, and who has it */
#include <check.h>
#include <stdio.h>

#include "common/base/codec.h"
#include "server/auth/admin_token.h"

#define TOKEN "correct-horse-battery"

static const struct {
	const char *text, *why;		/* why NULL: it is good */
} forms[] = {
	{ TOKEN, NULL },
	{ TOKEN "\n", NULL },
	{ TOKEN "\r\n", NULL },
	{ "0123456789abcdef", NULL },
	{ "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~", NULL },
	{ "", "a token of 0 characters is not allowed, but 16 to 512" },
	{ "\n", "a token of 0 characters is not allowed, but 16 to 512" },
	{ "0123456789abcde", "a token of 15 characters is not allowed, but 16 to 512" },
	{ "0123456789 abcdef", "a token has visible characters of ASCII only, and no blanks" },
	{ "0123456789abcdef\nx", "a token has visible characters of ASCII only, and no blanks" },
	{ "0123456789abcdef\xc3\xa4", "a token has visible characters of ASCII only, and no blanks" },
};

START_TEST(form) {
	struct admin_token t = { .is_set = false };
	struct errbuf e = { "" };

	ck_assert_int_eq(admin_token_set(&t, slice_text(forms[_i].text), &e), forms[_i].why == NULL);
	ck_assert_int_eq(t.is_set, forms[_i].why == NULL);
	if (forms[_i].why != NULL)
		ck_assert_str_eq(e.text, forms[_i].why);
}
END_TEST

static const struct {
	const char *header;
	enum admin_token_verdict verdict;
} headers[] = {
	{ "Bearer " TOKEN, ADMIN_TOKEN_GOOD },
	{ "bearer   " TOKEN, ADMIN_TOKEN_GOOD },
	{ "", ADMIN_TOKEN_MISSING },
	{ TOKEN, ADMIN_TOKEN_MISSING },
	{ "Basic " TOKEN, ADMIN_TOKEN_MISSING },
	{ "Bearer", ADMIN_TOKEN_WRONG },
	{ "Bearer ", ADMIN_TOKEN_WRONG },
	{ "Bearer correct-horse-batter", ADMIN_TOKEN_WRONG },
	{ "Bearer " TOKEN "x", ADMIN_TOKEN_WRONG },
	{ "Bearer " TOKEN " x", ADMIN_TOKEN_WRONG },
	{ "Bearer Correct-horse-battery", ADMIN_TOKEN_WRONG },
};

START_TEST(header) {
	struct admin_token t = { .is_set = false };
	struct errbuf e;

	ck_assert(admin_token_set(&t, slice_text(TOKEN), &e));
	ck_assert_msg(admin_token_check(&t, slice_text(headers[_i].header)) == headers[_i].verdict, "%s", headers[_i].header);
}
END_TEST

START_TEST(without_one_nobody_is_asked) {
	struct admin_token t = { .is_set = false };

	ck_assert_int_eq(admin_token_check(&t, SLICE_EMPTY), ADMIN_TOKEN_GOOD);
}
END_TEST

/* correct-horse-battery */
#define ENCODED "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5"

static const struct {
	const char *lines;
	enum admin_token_verdict verdict;
} requests[] = {
	{ "", ADMIN_TOKEN_MISSING },
	{ "Sec-WebSocket-Protocol: herold\r\n", ADMIN_TOKEN_MISSING },
	{ "Sec-WebSocket-Protocol: herold, herold.token." ENCODED "\r\n", ADMIN_TOKEN_GOOD },
	{ "Sec-WebSocket-Protocol: herold\r\nsec-websocket-protocol:herold.token." ENCODED "\r\n", ADMIN_TOKEN_GOOD },
	{ "Sec-WebSocket-Protocol: herold, herold.token.\r\n", ADMIN_TOKEN_WRONG },
	{ "Sec-WebSocket-Protocol: herold, herold.token." ENCODED "x\r\n", ADMIN_TOKEN_WRONG },
	{ "Sec-WebSocket-Protocol: herold, herold.token.Y29ycmVjdA\r\n", ADMIN_TOKEN_WRONG },
	{ "Sec-WebSocket-Protocol: herold, herold.token." TOKEN "\r\n", ADMIN_TOKEN_WRONG },
	{ "Sec-WebSocket-Protocol: herold, token." ENCODED "\r\n", ADMIN_TOKEN_MISSING },
	/* One guess a request. */
	{ "Sec-WebSocket-Protocol: herold.token.Y29ycmVjdA, herold.token." ENCODED "\r\n", ADMIN_TOKEN_WRONG },
	{ "Authorization: Bearer " TOKEN "\r\n", ADMIN_TOKEN_GOOD },
	{ "Authorization: Bearer wrong\r\nSec-WebSocket-Protocol: herold, herold.token." ENCODED "\r\n", ADMIN_TOKEN_WRONG },
	{ "Authorization:\r\nSec-WebSocket-Protocol: herold, herold.token." ENCODED "\r\n", ADMIN_TOKEN_MISSING },
};

static enum admin_token_verdict ask(const struct admin_token *t, const char *lines) {
	char text[2048];
	struct http_request r;
	struct http_parse_error why;
	size_t len;

	snprintf(text, sizeof(text), "GET /live HTTP/1.1\r\nHost: localhost\r\n%s\r\n", lines);
	ck_assert_int_eq(http_request_parse(slice_text(text), &r, &len, &why), HTTP_PARSE_DONE);
	return admin_token_check_websocket(t, &r);
}

START_TEST(websocket) {
	struct admin_token t = { .is_set = false };
	struct errbuf e;

	ck_assert_int_eq(ask(&t, requests[_i].lines), ADMIN_TOKEN_GOOD);
	ck_assert(admin_token_set(&t, slice_text(TOKEN), &e));
	ck_assert_msg(ask(&t, requests[_i].lines) == requests[_i].verdict, "%s", requests[_i].lines);
}
END_TEST

START_TEST(websocket_longest) {
	char token[ADMIN_TOKEN_MAX + 2], lines[1024], encoded[BASE64URL_LEN(sizeof(token)) + 1];
	struct admin_token t = { .is_set = false };
	struct errbuf e;

	memset(token, '~', sizeof(token));
	ck_assert(admin_token_set(&t, slice_of(token, ADMIN_TOKEN_MAX), &e));
	base64url_encode(slice_of(token, ADMIN_TOKEN_MAX), encoded);
	snprintf(lines, sizeof(lines), "Sec-WebSocket-Protocol: herold, herold.token.%s\r\n", encoded);
	ck_assert_int_eq(ask(&t, lines), ADMIN_TOKEN_GOOD);
	base64url_encode(slice_of(token, ADMIN_TOKEN_MAX + 2), encoded);
	snprintf(lines, sizeof(lines), "Sec-WebSocket-Protocol: herold, herold.token.%s\r\n", encoded);
	ck_assert_int_eq(ask(&t, lines), ADMIN_TOKEN_WRONG);
}
END_TEST

Suite *suite_admin_token(void);

Suite *suite_admin_token(void) {
	Suite *s = suite_create("admin_token");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, form, 0, ARRAY_LEN(forms));
	tcase_add_loop_test(t, header, 0, ARRAY_LEN(headers));
	tcase_add_loop_test(t, websocket, 0, ARRAY_LEN(requests));
	tcase_add_test(t, websocket_longest);
	tcase_add_test(t, without_one_nobody_is_asked);
	suite_add_tcase(s, t);
	return s;
}
