/* ws_handshake - vectors of handshakes, the RFC's own first */
#include <check.h>
#include <stdio.h>

#include "server/ws/ws_handshake.h"

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define GET "GET /chat HTTP/1.1\r\nHost: a\r\n"

static const struct {
	const char *name;
	unsigned status;	/* 101: accepted */
	const char *head;
} vectors[] = {
	{ "RFC 6455, 1.2", 101,
	    "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" KEY
	    "Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n" },
	{ "names and tokens in any case", 101, GET "UPGRADE: WebSocket\r\ncOnnection: uPGRADE\r\nsec-websocket-version: 13\r\n" KEY },
	{ "lists", 101, GET "Upgrade: h2c, websocket\r\nConnection: keep-alive, Upgrade\r\n" VERSION KEY },
	{ "lists over several lines", 101, GET "Upgrade: x\r\n" UPGRADE "Connection: keep-alive\r\n" CONNECTION VERSION KEY },
	{ "a body of no bytes", 101, GET UPGRADE CONNECTION VERSION KEY "Content-Length: 0\r\n" },
	{ "key of other digits", 101, GET UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: +/+/+/+/+/+/+/+/+/+/+w==\r\n" },

	{ "plain request", 426, GET },
	{ "no Upgrade", 426, GET CONNECTION VERSION KEY },
	{ "another protocol", 426, GET "Upgrade: h2c\r\n" CONNECTION VERSION KEY },
	{ "protocol with a version", 426, GET "Upgrade: websocket/13\r\n" CONNECTION VERSION KEY },
	{ "protocols without a comma", 426, GET "Upgrade: websocket h2c\r\n" CONNECTION VERSION KEY },
	{ "no version", 426, GET UPGRADE CONNECTION KEY },
	{ "old version", 426, GET UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 8\r\n" },
	{ "future version", 426, GET UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 14\r\n" },
	{ "list of versions", 426, GET UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 13, 8\r\n" },
	{ "version with a zero", 426, GET UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 013\r\n" },
	{ "empty version", 426, GET UPGRADE CONNECTION KEY "Sec-WebSocket-Version:\r\n" },
	{ "two versions", 400, GET UPGRADE CONNECTION KEY VERSION VERSION },
	{ "POST", 405, "POST /chat HTTP/1.1\r\nHost: a\r\n" UPGRADE CONNECTION VERSION KEY },
	{ "HEAD", 405, "HEAD /chat HTTP/1.1\r\nHost: a\r\n" UPGRADE CONNECTION VERSION KEY },
	{ "unknown method", 405, "BREW /chat HTTP/1.1\r\nHost: a\r\n" UPGRADE CONNECTION VERSION KEY },
	{ "HTTP/1.0", 400, "GET /chat HTTP/1.0\r\nHost: a\r\n" UPGRADE CONNECTION VERSION KEY },
	{ "no Connection", 400, GET UPGRADE VERSION KEY },
	{ "Connection without upgrade", 400, GET UPGRADE "Connection: keep-alive\r\n" VERSION KEY },
	{ "Connection with another word", 400, GET UPGRADE "Connection: upgrades\r\n" VERSION KEY },
	{ "a body", 400, GET UPGRADE CONNECTION VERSION KEY "Content-Length: 1\r\n" },
	{ "no key", 400, GET UPGRADE CONNECTION VERSION },
	{ "empty key", 400, GET UPGRADE CONNECTION VERSION "Sec-WebSocket-Key:\r\n" },
	{ "two keys", 400, GET UPGRADE CONNECTION VERSION KEY KEY },
	{ "key of 15 bytes", 400, GET UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n" },
	{ "key of 15 bytes, padded too far", 400, GET UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j====\r\n" },
	{ "key of 17 bytes", 400, GET UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZXM=\r\n" },
	{ "key of 18 bytes", 400, GET UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZXNz\r\n" },
	{ "key without padding", 400, GET UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n" },
	{ "key with stray bits", 400, GET UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n" },
	{ "key with a blank", 400, GET UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBs ZSBub25jZQ==\r\n" },
	{ "key of base64url", 400, GET UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: -_-_-_-_-_-_-_-_-_-_-w==\r\n" },
	{ "very long key", 400,
	    GET UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25j\r\n" },
};

static struct http_request request;

/* The request borrows from `input`, until the next call. */
static void parse(const char *head) {
	static struct buf input = { .max = HTTP_HEAD_MAX };
	struct http_parse_error error;
	size_t head_len;

	buf_reset(&input);
	buf_add_text(&input, head);
	buf_add_text(&input, "\r\n");
	ck_assert_int_eq(http_request_parse(buf_slice(&input), &request, &head_len, &error), HTTP_PARSE_DONE);
}

START_TEST(vector) {
	struct ws_refusal why = { 101, NULL, NULL };
	bool accepted;

	parse(vectors[_i].head);
	accepted = ws_handshake_check(&request, &why);
	ck_assert_msg(accepted == (vectors[_i].status == 101) && why.status == vectors[_i].status, "%s: %u %s", vectors[_i].name,
	    why.status, why.sentence);
	if (why.status == 426) {
		ck_assert_ptr_nonnull(strstr(why.extra_headers, "Sec-WebSocket-Version: 13\r\n"));
		ck_assert_ptr_nonnull(strstr(why.extra_headers, "Upgrade: websocket\r\n"));
	}
	if (why.status == 405)
		ck_assert_str_eq(why.extra_headers, "Allow: GET\r\n");
	if (!accepted)
		ck_assert_uint_gt(strlen(why.sentence), 10);
}
END_TEST

START_TEST(answer) {
	struct buf out;

	buf_init(&out, 4096);
	parse(vectors[0].head);
	ck_assert(ws_handshake_is_wanted(&request));
	ws_handshake_accept(&request, SLICE_EMPTY, NULL, &out);
	ck_assert(slice_eq_text(buf_slice(&out), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
	buf_reset(&out);
	ws_handshake_accept(&request, slice_text("chat"), NULL, &out);
	ck_assert(slice_eq_text(buf_slice(&out), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n"));
	buf_fini(&out);
	parse(GET);
	ck_assert(!ws_handshake_is_wanted(&request));
}
END_TEST

static const struct {
	const char *headers, *protocol;
} protocols[] = {
	{ "", "" },
	{ "Sec-WebSocket-Protocol: herold\r\n", "herold" },
	{ "Sec-WebSocket-Protocol: chat, herold, token.abc\r\n", "herold" },
	{ "Sec-WebSocket-Protocol: token.herold\r\nSec-WebSocket-Protocol: herold\r\n", "herold" },
	{ "Sec-WebSocket-Protocol: token.herold, herold2\r\n", "" },
};

START_TEST(protocol) {
	char head[512];

	snprintf(head, sizeof(head), GET "%s", protocols[_i].headers);
	parse(head);
	ck_assert(slice_eq_text(ws_handshake_protocol(&request), protocols[_i].protocol));
}
END_TEST

Suite *suite_ws_handshake(void);

Suite *suite_ws_handshake(void) {
	Suite *s = suite_create("ws_handshake");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, vector, 0, ARRAY_LEN(vectors));
	tcase_add_test(t, answer);
	tcase_add_loop_test(t, protocol, 0, ARRAY_LEN(protocols));
	suite_add_tcase(s, t);
	return s;
}
