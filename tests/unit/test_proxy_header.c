/* test_proxy_header - both versions of the PROXY protocol: good, cut at each byte, malformed; and taken off a socket exactly */
#include <check.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "server/net/proxy_reader.h"

#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define ADDRESSES_IPV4 "\xc0\x00\x02\x01\xc0\x00\x02\x09\x80\x00\x01\xbb"
#define ADDRESSES_IPV6 \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x00\x07\x01\xbb"
#define BYTES(text) { text, sizeof(text) - 1 }

static const struct {
	struct {
		const char *ptr;
		size_t len;
	} header;
	const char *client;	/* NULL: nobody is named */
} good[] = {
	{ BYTES("PROXY TCP4 192.0.2.1 192.0.2.9 51234 443\r\n"), "192.0.2.1:51234" },
	{ BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255:65535" },
	{ BYTES("PROXY TCP4 192.0.2.1 192.0.2.9 0 0\r\n"), "192.0.2.1" },
	{ BYTES("PROXY TCP6 2001:db8::1 ::1 7 443\r\n"), "[2001:db8::1]:7" },
	{ BYTES("PROXY TCP6 ::ffff:192.0.2.1 ::1 7 443\r\n"), "192.0.2.1:7" },
	{ BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
	{ BYTES("PROXY UNKNOWN\r\n"), NULL },
	{ BYTES("PROXY UNKNOWN ffff:: 1.2 whatever  \r\n"), NULL },
	{ BYTES(V2 "\x21\x11\x00\x0c" ADDRESSES_IPV4), "192.0.2.1:32768" },
	{ BYTES(V2 "\x21\x11\x00\x10" ADDRESSES_IPV4 "\x04\x00\x01\x00"), "192.0.2.1:32768" },
	{ BYTES(V2 "\x21\x21\x00\x24" ADDRESSES_IPV6), "[2001:db8::1]:7" },
	/* The proxy itself; what else there is does not count. */
	{ BYTES(V2 "\x20\x00\x00\x00"), NULL },
	{ BYTES(V2 "\x20\x11\x00\x0c" ADDRESSES_IPV4), NULL },
	{ BYTES(V2 "\x20\x11\x00\x01x"), NULL },
	/* Unspecified; datagrams. */
	{ BYTES(V2 "\x21\x00\x00\x03xyz"), NULL },
	{ BYTES(V2 "\x21\x12\x00\x0c" ADDRESSES_IPV4), NULL },
	{ BYTES(V2 "\x21\x01\x00\x00"), NULL },
};

static struct sock_peer peer_of(const char *text) {
	struct sock_peer p;

	ck_assert(sock_peer_parse(slice_text(text), &p));
	return p;
}

static void check_client(const struct sock_peer *client, const char *want) {
	char text[SOCK_TEXT_MAX];

	sock_peer_text(client, text);
	ck_assert_str_eq(text, want != NULL ? want : "10.0.0.1:1");
}

START_TEST(good_headers_and_their_parts) {
	struct slice header = slice_of(good[_i].header.ptr, good[_i].header.len), longer;
	uint8_t *with_more = mem_alloc(header.len + 5);
	struct sock_peer client = peer_of("10.0.0.1:1");
	const char *sentence = NULL;
	size_t len = 0;

	memcpy(with_more, header.ptr, header.len);
	memcpy(with_more + header.len, "GET /", 5);
	longer = slice_of(with_more, header.len + 5);
	for (size_t cut = 0; cut < header.len; cut++) {
		uint8_t *part = mem_dup(header.ptr, cut);

		ck_assert_int_eq(proxy_header_parse(slice_of(part, cut), &client, &len, &sentence), PROXY_HEADER_MORE);
		check_client(&client, NULL);
		mem_free(part);
	}
	ck_assert_int_eq(proxy_header_parse(longer, &client, &len, &sentence), PROXY_HEADER_DONE);
	ck_assert_uint_eq(len, header.len);
	check_client(&client, good[_i].client);
	mem_free(with_more);
}
END_TEST

START_TEST(unix_clients) {
	uint8_t header[16 + 216] = V2 "\x21\x31\x00\xd8/run/x";
	struct sock_peer client = peer_of("10.0.0.1:1");
	const char *sentence;
	size_t len;

	ck_assert_int_eq(proxy_header_parse(slice_of(header, sizeof(header)), &client, &len, &sentence), PROXY_HEADER_DONE);
	check_client(&client, "unix:");
}
END_TEST

#define LONG_LINE "PROXY UNKNOWN 34567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"

static const struct {
	struct {
		const char *ptr;
		size_t len;
	} header;
	const char *sentence;
} bad[] = {
	{ BYTES("G"), "the connection does not begin with it" },
	{ BYTES("GET / HTTP/1.1\r\n"), "the connection does not begin with it" },
	{ BYTES("\x16\x03\x01"), "the connection does not begin with it" },
	{ BYTES("PROXX"), "the connection does not begin with it" },
	{ BYTES("proxy TCP4"), "the connection does not begin with it" },
	{ BYTES("\r\n\r\n\0\r\nQUIX"), "the connection does not begin with it" },
	{ BYTES("PROXY \n"), "the line does not end with CRLF" },
	{ BYTES("PROXY TCP4 192.0.2.1 192.0.2.9 51234 443\n"), "the line does not end with CRLF" },
	{ BYTES("PROXY \r\n"), "the line is malformed" },
	{ BYTES("PROXY TCP4\r\n"), "the line is malformed" },
	{ BYTES("PROXY TCP5 192.0.2.1 192.0.2.9 51234 443\r\n"), "the line is malformed" },
	{ BYTES("PROXY UDP4 192.0.2.1 192.0.2.9 51234 443\r\n"), "the line is malformed" },
	{ BYTES("PROXY TCP4 192.0.2.1 192.0.2.9 51234\r\n"), "the line is malformed" },
	{ BYTES("PROXY TCP4 192.0.2.1 192.0.2.9 51234 443 \r\n"), "the line is malformed" },
	{ BYTES("PROXY TCP4 192.0.2.1 192.0.2.9 51234 443 1\r\n"), "the line is malformed" },
	{ BYTES("PROXY TCP4  192.0.2.1 192.0.2.9 51234 443\r\n"), "the line is malformed" },
	{ BYTES("PROXY TCP4 192.0.2.256 192.0.2.9 51234 443\r\n"), "the line is malformed" },
	{ BYTES("PROXY TCP4 192.0.2.1 192.0.2 51234 443\r\n"), "the line is malformed" },
	{ BYTES("PROXY TCP4 2001:db8::1 ::1 51234 443\r\n"), "the line is malformed" },
	{ BYTES("PROXY TCP6 192.0.2.1 192.0.2.9 51234 443\r\n"), "the line is malformed" },
	{ BYTES("PROXY TCP4 192.0.2.1\0 192.0.2.9 51234 443\r\n"), "the line is malformed" },
	{ BYTES("PROXY TCP4 192.0.2.1 192.0.2.9 65536 443\r\n"), "the line is malformed" },
	{ BYTES("PROXY TCP4 192.0.2.1 192.0.2.9 051 443\r\n"), "the line is malformed" },
	{ BYTES("PROXY TCP4 192.0.2.1 192.0.2.9 51234 -1\r\n"), "the line is malformed" },
	{ BYTES(LONG_LINE), "the line is too long" },
	{ BYTES(V2 "\x11"), "the version or the command is unknown" },
	{ BYTES(V2 "\x22"), "the version or the command is unknown" },
	{ BYTES(V2 "\x21\x41"), "the address family or the transport is unknown" },
	{ BYTES(V2 "\x21\x13"), "the address family or the transport is unknown" },
	{ BYTES(V2 "\x21\x11\x0f\xf1"), "it is too long" },
	{ BYTES(V2 "\x21\x11\x00\x0b" ADDRESSES_IPV4), "the addresses are cut short" },
	{ BYTES(V2 "\x21\x21\x00\x0c" ADDRESSES_IPV4), "the addresses are cut short" },
	{ BYTES(V2 "\x21\x31\x00\x0c" ADDRESSES_IPV4), "the addresses are cut short" },
};

START_TEST(bad_headers) {
	uint8_t *copy = mem_dup(bad[_i].header.ptr, bad[_i].header.len);
	struct sock_peer client = peer_of("10.0.0.1:1");
	const char *sentence = "none";
	size_t len;

	ck_assert_int_eq(proxy_header_parse(slice_of(copy, bad[_i].header.len), &client, &len, &sentence), PROXY_HEADER_BAD);
	ck_assert_str_eq(sentence, bad[_i].sentence);
	check_client(&client, NULL);
	mem_free(copy);
}
END_TEST

/* --- off a socket --- */

static int pair[2];
static struct buf kept;

static void setup(void) {
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	buf_init(&kept, 2 * PROXY_HEADER_MAX);
}

static void teardown(void) {
	buf_fini(&kept);
	close(pair[0]);
	if (pair[1] >= 0)
		close(pair[1]);
}

static enum stream_result take(struct sock_peer *client, const char **sentence) {
	return proxy_reader_take(pair[0], &kept, client, sentence);
}

START_TEST(nothing_behind_the_header_is_taken) {
	struct slice header = slice_of(good[_i].header.ptr, good[_i].header.len);
	struct sock_peer client = peer_of("10.0.0.1:1");
	const char *sentence;
	char rest[16];

	ck_assert_int_eq(take(&client, &sentence), STREAM_AGAIN);
	for (size_t i = 0; i + 1 < header.len; i++) {
		ck_assert_int_eq(send(pair[1], header.ptr + i, 1, 0), 1);
		ck_assert_int_eq(take(&client, &sentence), STREAM_AGAIN);
		/* It is off the socket, which would else be readable on and on. */
		ck_assert_int_eq(recv(pair[0], rest, 1, MSG_PEEK), -1);
		ck_assert_int_eq(errno, EAGAIN);
	}
	ck_assert_int_eq(send(pair[1], header.ptr + header.len - 1, 1, 0), 1);
	ck_assert_int_eq(send(pair[1], "\x16\x03\x01", 3, 0), 3);
	ck_assert_int_eq(take(&client, &sentence), STREAM_OK);
	check_client(&client, good[_i].client);
	ck_assert_int_eq(recv(pair[0], rest, sizeof(rest), 0), 3);
	ck_assert_int_eq(rest[0], 0x16);
}
END_TEST

START_TEST(trouble_while_taking) {
	struct sock_peer client = peer_of("10.0.0.1:1");
	const char *sentence = NULL;

	ck_assert_int_eq(send(pair[1], "PROXY T\n", 8, 0), 8);
	ck_assert_int_eq(take(&client, &sentence), STREAM_ERROR);
	ck_assert_int_eq(errno, EPROTO);
	ck_assert_str_eq(sentence, "the line does not end with CRLF");
	teardown();
	setup();
	ck_assert_int_eq(send(pair[1], "PROXY", 5, 0), 5);
	ck_assert_int_eq(take(&client, &sentence), STREAM_AGAIN);
	close(pair[1]);
	pair[1] = -1;
	ck_assert_int_eq(take(&client, &sentence), STREAM_EOF);
	check_client(&client, NULL);
}
END_TEST

/* The longest that there may be, in pieces: memory stays bounded. */
START_TEST(the_longest_header) {
	static uint8_t header[PROXY_HEADER_MAX] = V2 "\x21\x11\x0f\xf0" ADDRESSES_IPV4;
	struct sock_peer client = peer_of("10.0.0.1:1");
	const char *sentence;

	ck_assert_int_eq(send(pair[1], header, 4000, 0), 4000);
	ck_assert_int_eq(take(&client, &sentence), STREAM_AGAIN);
	ck_assert_int_eq(send(pair[1], header + 4000, sizeof(header) - 4000, 0), (ssize_t)sizeof(header) - 4000);
	ck_assert_int_eq(take(&client, &sentence), STREAM_OK);
	check_client(&client, "192.0.2.1:32768");
	ck_assert_uint_le(kept.cap, PROXY_HEADER_MAX);
}
END_TEST

Suite *suite_proxy_header(void);
Suite *suite_proxy_header(void) {
	Suite *s = suite_create("proxy_header");
	TCase *t = tcase_create("bytes"), *socket = tcase_create("socket");

	tcase_add_loop_test(t, good_headers_and_their_parts, 0, (int)ARRAY_LEN(good));
	tcase_add_test(t, unix_clients);
	tcase_add_loop_test(t, bad_headers, 0, (int)ARRAY_LEN(bad));
	tcase_add_checked_fixture(socket, setup, teardown);
	tcase_add_loop_test(socket, nothing_behind_the_header_is_taken, 0, (int)ARRAY_LEN(good));
	tcase_add_test(socket, trouble_while_taking);
	tcase_add_test(socket, the_longest_header);
	suite_add_tcase(s, t);
	suite_add_tcase(s, socket);
	return s;
}
