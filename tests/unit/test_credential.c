/* test_credential - where tokens stand in requests */
#include <check.h>
#include <stdio.h>

#include "server/auth/credential.h"

#define WS "GET /ws HTTP/1.1\r\nHost: a\r\n"

static const struct {
	const char *request;		/* without the empty line at its end */
	enum auth_refusal refusal;
	const char *token;
} cases[] = {
	{ WS, AUTH_no_token, "" },
	{ "GET /ws?token=abc.d-e_f~1 HTTP/1.1\r\nHost: a\r\n", AUTH_OK, "abc.d-e_f~1" },
	{ "GET /ws?x=1&token=abc&y HTTP/1.1\r\nHost: a\r\n", AUTH_OK, "abc" },
	{ "GET /ws?token=%61b%63 HTTP/1.1\r\nHost: a\r\n", AUTH_OK, "abc" },
	{ "GET /ws?token HTTP/1.1\r\nHost: a\r\n", AUTH_bad_characters, "" },
	{ "GET /ws?token= HTTP/1.1\r\nHost: a\r\n", AUTH_bad_characters, "" },
	{ "GET /ws?Token=abc&tokens=abc&xtoken=abc HTTP/1.1\r\nHost: a\r\n", AUTH_no_token, "" },
	{ "GET /ws?token=a%0 HTTP/1.1\r\nHost: a\r\n", AUTH_bad_characters, "" },
	{ "GET /ws?token=a%00b HTTP/1.1\r\nHost: a\r\n", AUTH_bad_characters, "" },
	{ "GET /ws?token=a+b HTTP/1.1\r\nHost: a\r\n", AUTH_bad_characters, "" },
	{ "GET /ws?token=a%20b HTTP/1.1\r\nHost: a\r\n", AUTH_bad_characters, "" },
	{ "GET /ws?token=a=b HTTP/1.1\r\nHost: a\r\n", AUTH_bad_characters, "" },
	{ "GET /ws?token=abc&token=abc HTTP/1.1\r\nHost: a\r\n", AUTH_many_tokens, "" },
	{ "GET /ws?token=&token=abc HTTP/1.1\r\nHost: a\r\n", AUTH_many_tokens, "" },
	{ WS "Authorization: Bearer abc\r\n", AUTH_OK, "abc" },
	{ WS "authorization: bEARER   abc \r\n", AUTH_OK, "abc" },
	{ WS "Authorization: Bearer\r\n", AUTH_bad_characters, "" },
	{ WS "Authorization: Bearer a b\r\n", AUTH_bad_characters, "" },
	{ WS "Authorization: Bearer a,b\r\n", AUTH_bad_characters, "" },
	{ WS "Authorization: Bearer \xc3\xa4\r\n", AUTH_bad_characters, "" },
	{ WS "Authorization: Basic dTE6c2VjcmV0\r\n", AUTH_bad_scheme, "" },
	{ WS "Authorization: abc\r\n", AUTH_bad_scheme, "" },
	{ WS "Authorization:\r\n", AUTH_bad_scheme, "" },
	{ WS "Authorization: Bearer abc\r\nAuthorization: Bearer abc\r\n", AUTH_many_tokens, "" },
	{ WS "Authorization: Bearer abc\r\nAuthorization: Basic abc\r\n", AUTH_bad_scheme, "" },
	{ WS "Sec-WebSocket-Protocol: herold, token.abc\r\n", AUTH_OK, "abc" },
	{ WS "Sec-WebSocket-Protocol: token.a.b.c,herold\r\n", AUTH_OK, "a.b.c" },
	{ WS "Sec-WebSocket-Protocol: token.abc\r\nSec-WebSocket-Protocol: herold\r\n", AUTH_OK, "abc" },
	{ WS "Sec-WebSocket-Protocol: herold\r\n", AUTH_no_token, "" },
	{ WS "Sec-WebSocket-Protocol: herold, token.\r\n", AUTH_bad_characters, "" },
	{ WS "Sec-WebSocket-Protocol: herold, Token.abc\r\n", AUTH_no_token, "" },
	{ WS "Sec-WebSocket-Protocol: herold, token.a, token.b\r\n", AUTH_many_tokens, "" },
	{ WS "Sec-WebSocket-Protocol: token.abc\r\n", AUTH_no_protocol, "" },
	{ WS "Sec-WebSocket-Protocol: chat, token.abc\r\n", AUTH_no_protocol, "" },
	{ WS "Authorization: Bearer abc\r\nSec-WebSocket-Protocol: herold, token.abc\r\n", AUTH_many_tokens, "" },
	{ "GET /ws?token=abc HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer abc\r\n", AUTH_many_tokens, "" },
	{ "GET /ws?token=abc HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Protocol: herold, token.abc\r\n", AUTH_many_tokens, "" },
};

START_TEST(requests) {
	char room[HTTP_HEAD_MAX], text[1024];
	struct http_parse_error error;
	struct http_request r;
	struct slice token;
	size_t head_len;

	snprintf(text, sizeof(text), "%s\r\n", cases[_i].request);
	ck_assert_int_eq(http_request_parse(slice_text(text), &r, &head_len, &error), HTTP_PARSE_DONE);
	ck_assert_msg(credential_find(&r, room, &token) == cases[_i].refusal, "%s", text);
	ck_assert_msg(slice_eq_text(token, cases[_i].token), "%s", text);
}
END_TEST

Suite *suite_credential(void);
Suite *suite_credential(void) {
	Suite *s = suite_create("credential");
	TCase *c = tcase_create("credential");

	tcase_add_loop_test(c, requests, 0, ARRAY_LEN(cases));
	suite_add_tcase(s, c);
	return s;
}
