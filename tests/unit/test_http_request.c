/* http_request - vectors of request heads, each cut in every way */
#include <check.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "server/http/http_request.h"
#include "tests/unit/feed.h"

/* As a connection does: everything received so far, parsed again with each part. */
struct accumulator {
	struct buf received;
	struct http_request request;
};

static void *start(const void *arg) {
	struct accumulator *a = mem_zalloc(sizeof(*a));

	(void)arg;
	buf_init(&a->received, 1 << 20);
	return a;
}

static void stop(void *parser) {
	struct accumulator *a = parser;

	buf_fini(&a->received);
	mem_free(a);
}

static void describe(const struct http_request *r, size_t head_len, struct buf *log) {
	static const char *const methods[] = { "GET", "HEAD", "POST", "OTHER" };

	buf_addf(log, "%s %.*s", methods[r->method], SLICE_ARGS(r->path));
	if (r->query.len > 0)
		buf_addf(log, " ?%.*s", SLICE_ARGS(r->query));
	buf_addf(log, " 1.%u %s body=%llu head=%zu", r->minor_version, r->keep_alive ? "keep" : "close",
	    (unsigned long long)r->content_length, head_len);
	for (size_t i = 0; i < r->header_count; i++)
		buf_addf(log, " [%.*s=%.*s]", SLICE_ARGS(r->header[i].name), SLICE_ARGS(r->header[i].value));
}

static bool part(void *parser, struct slice bytes, struct buf *log) {
	struct accumulator *a = parser;
	struct http_parse_error error;
	size_t head_len;

	buf_add(&a->received, bytes);
	switch (http_request_parse(buf_slice(&a->received), &a->request, &head_len, &error)) {
	case HTTP_PARSE_MORE:
		return true;
	case HTTP_PARSE_DONE:
		describe(&a->request, head_len, log);
		return false;
	default:
		buf_addf(log, "%u %s", error.status, error.sentence);
		return false;
	}
}

static const struct feed_parser parser = { start, part, stop, NULL };

#define HEAD "GET / HTTP/1.1\r\nHost: a\r\n"

static const struct {
	const char *name, *input, *want;
} vectors[] = {
	{ "RFC 9112, 2.1", "GET /hello.txt HTTP/1.1\r\nUser-Agent: curl/7.64.1\r\nHost: www.example.com\r\nAccept-Language: en, mi\r\n\r\n",
	    "GET /hello.txt 1.1 keep body=0 head=100 [User-Agent=curl/7.64.1] [Host=www.example.com] [Accept-Language=en, mi]" },
	{ "RFC 6455, 1.2",
	    "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
	    "GET /chat 1.1 keep body=0 head=89 [Host=server.example.com] [Upgrade=websocket] [Connection=Upgrade]" },
	{ "query", "GET /ws?a=1&b=?/%20 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /ws ?a=1&b=?/%20 1.1 keep body=0 head=41 [Host=a]" },
	{ "empty query", "GET /? HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 1.1 keep body=0 head=28 [Host=a]" },
	{ "what browsers leave raw", "GET /a|b?x={1}[2]^`'\\ HTTP/1.1\r\nHost: a\r\n\r\n",
	    "GET /a|b ?x={1}[2]^`'\\ 1.1 keep body=0 head=43 [Host=a]" },
	{ "HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD / 1.1 keep body=0 head=28 [Host=a]" },
	{ "POST with a length", "POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n{\"a\":\"rest\"}",
	    "POST /api 1.1 keep body=12 head=51 [Host=a] [Content-Length=12]" },
	{ "another method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "OTHER / 1.1 keep body=0 head=28 [Host=a]" },
	{ "methods have a case", "get / HTTP/1.1\r\nHost: a\r\n\r\n", "OTHER / 1.1 keep body=0 head=27 [Host=a]" },
	{ "one empty line before", "\r\n" HEAD "\r\n", "GET / 1.1 keep body=0 head=29 [Host=a]" },
	{ "no blank after the colon", "GET / HTTP/1.1\r\nHost:a\r\n\r\n", "GET / 1.1 keep body=0 head=26 [Host=a]" },
	{ "blanks around a value", HEAD "X: \t b c\t \r\n\r\n", "GET / 1.1 keep body=0 head=39 [Host=a] [X=b c]" },
	{ "empty value", HEAD "X:\r\n\r\n", "GET / 1.1 keep body=0 head=31 [Host=a] [X=]" },
	{ "bytes above ASCII in a value", HEAD "X: \xc3\xa4\xff\r\n\r\n", "GET / 1.1 keep body=0 head=35 [Host=a] [X=\xc3\xa4\xff]" },
	{ "all token characters", HEAD "!#$%&'*+-.^_`|~09azAZ: 1\r\n\r\n",
	    "GET / 1.1 keep body=0 head=53 [Host=a] [!#$%&'*+-.^_`|~09azAZ=1]" },
	{ "close", HEAD "Connection: Close\r\n\r\n", "GET / 1.1 close body=0 head=46 [Host=a] [Connection=Close]" },
	{ "close in a list", HEAD "Connection: foo , close\r\n\r\n", "GET / 1.1 close body=0 head=52 [Host=a] [Connection=foo , close]" },
	{ "HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "GET / 1.0 close body=0 head=18" },
	{ "HTTP/1.0 that stays", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / 1.0 keep body=0 head=42 [Connection=keep-alive]" },
	{ "IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "GET / 1.1 keep body=0 head=36 [Host=[::1]:8080]" },
	{ "empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / 1.1 keep body=0 head=25 [Host=]" },

	{ "nothing", "", "" },
	{ "half a line", "GET / HT", "" },
	{ "half a head", HEAD "X: 1\r\n", "" },
	{ "TLS", "\x16\x03\x01\x02", "400 this looks like TLS, but this port speaks plain HTTP" },
	{ "garbage", "\x01\xff\xfe", "400 the request does not begin with a method and a space" },
	{ "blank first", " GET / HTTP/1.1\r\n", "400 the request does not begin with a method and a space" },
	{ "two empty lines before", "\r\n\r\n" HEAD "\r\n", "400 the request does not begin with a method and a space" },
	{ "LF as an empty line before", "\n" HEAD "\r\n", "400 the request does not begin with a method and a space" },
	{ "CR and no LF before", "\rGET / HTTP/1.1\r\n", "400 a CR stands without its LF" },
	{ "method with a tab behind", "GET\t/ HTTP/1.1\r\n", "400 the request does not begin with a method and a space" },
	{ "method with a colon", "GE:T / HTTP/1.1\r\n", "400 the request does not begin with a method and a space" },
	{ "endless method", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "501 the method is unknown" },
	{ "frames without a handshake", "\x81\x85\x01\x02\x03\x04", "400 the request does not begin with a method and a space" },
	{ "two blanks before the target", "GET  / HTTP/1.1\r\n", "400 the request target does not begin with a slash" },
	{ "absolute form", "GET http://a/ HTTP/1.1\r\n", "400 the request target does not begin with a slash" },
	{ "authority form", "CONNECT a:80 HTTP/1.1\r\n", "400 the request target does not begin with a slash" },
	{ "asterisk form", "OPTIONS * HTTP/1.1\r\n", "400 the request target does not begin with a slash" },
	{ "HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400 the request target does not begin with a slash" },
	{ "fragment", "GET /#a HTTP/1.1\r\n", "400 the request target has a character that must be escaped" },
	{ "control character in the target", "GET /\x01 HTTP/1.1\r\n", "400 the request target has a character that must be escaped" },
	{ "byte above ASCII in the target", "GET /\xc3\xa4 HTTP/1.1\r\n", "400 the request target has a character that must be escaped" },
	{ "DEL in the target", "GET /\x7f HTTP/1.1\r\n", "400 the request target has a character that must be escaped" },
	{ "HTTP/0.9", "GET /\r\n", "400 the HTTP version is missing" },
	{ "blank in the target", "GET /a b HTTP/1.1\r\n", "400 the request target is not followed by the HTTP version" },
	{ "small version", "GET / http/1.1\r\n", "400 the request target is not followed by the HTTP version" },
	{ "version without a minor", "GET / HTTP/1\r\n", "400 the HTTP version is malformed" },
	{ "version of letters", "GET / HTTP/x.y\r\n", "400 the HTTP version is malformed" },
	{ "version too long", "GET / HTTP/1.10\r\n", "400 the request line does not end with CRLF after the HTTP version" },
	{ "blank after the version", "GET / HTTP/1.1 \r\n", "400 the request line does not end with CRLF after the HTTP version" },
	{ "request line ends with LF", "GET / HTTP/1.1\nHost: a\n\n", "400 the request line does not end with CRLF after the HTTP version" },
	{ "HTTP/2.0", "GET / HTTP/2.0\r\n", "505 only HTTP/1.1 and HTTP/1.0 are spoken here" },
	{ "HTTP/1.2", "GET / HTTP/1.2\r\n", "505 only HTTP/1.1 and HTTP/1.0 are spoken here" },
	{ "blank before the colon", HEAD "X : 1\r\n", "400 a header name is followed by a blank" },
	{ "no colon", HEAD "X\r\n", "400 a header line has no name before a colon" },
	{ "no name", HEAD ": 1\r\n", "400 a header line has no name before a colon" },
	{ "control character in a name", HEAD "X\x01: 1\r\n", "400 a header line has no name before a colon" },
	{ "bracket in a name", HEAD "X(y): 1\r\n", "400 a header line has no name before a colon" },
	{ "folded line", HEAD "X: 1\r\n 2\r\n", "400 a header line begins with a blank, folded lines are not accepted" },
	{ "folded first line", "GET / HTTP/1.1\r\n\tHost: a\r\n", "400 a header line begins with a blank, folded lines are not accepted" },
	{ "LF in a value", HEAD "X: 1\nY: 2\r\n", "400 a line ends with LF instead of CRLF" },
	{ "CR in a value", HEAD "X: 1\r2\r\n", "400 a CR stands without its LF" },
	{ "CR at the end", HEAD "\rX", "400 a CR stands without its LF" },
	{ "LF at the end", HEAD "\n", "400 a header line has no name before a colon" },
	{ "control character in a value", HEAD "X: \x08\r\n", "400 a header value has a control character" },
	{ "DEL in a value", HEAD "X: \x7f\r\n", "400 a header value has a control character" },
	{ "Transfer-Encoding", HEAD "Transfer-Encoding: chunked\r\n", "501 Transfer-Encoding is not supported, send a Content-Length" },
	{ "smuggling", HEAD "Content-Length: 3\r\ntransfer-encoding: identity\r\n",
	    "501 Transfer-Encoding is not supported, send a Content-Length" },
	{ "two lengths", HEAD "Content-Length: 3\r\nContent-Length: 4\r\n", "400 there is more than one Content-Length header" },
	{ "a length and zero", HEAD "Content-Length: 0\r\nContent-Length: 4\r\n", "400 there is more than one Content-Length header" },
	{ "the same length twice", HEAD "Content-Length: 3\r\ncontent-length: 3\r\n", "400 there is more than one Content-Length header" },
	{ "list of lengths", HEAD "Content-Length: 3, 3\r\n", "400 Content-Length is not a number" },
	{ "negative length", HEAD "Content-Length: -1\r\n", "400 Content-Length is not a number" },
	{ "length with a sign", HEAD "Content-Length: +1\r\n", "400 Content-Length is not a number" },
	{ "hexadecimal length", HEAD "Content-Length: 0x10\r\n", "400 Content-Length is not a number" },
	{ "empty length", HEAD "Content-Length:\r\n", "400 Content-Length is not a number" },
	{ "length past 64 bits", HEAD "Content-Length: 18446744073709551616\r\n", "400 Content-Length is not a number" },
	{ "no host", "GET / HTTP/1.1\r\n\r\n", "400 the Host header is missing" },
	{ "two hosts", HEAD "host: a\r\n\r\n", "400 there is more than one Host header" },
	{ "two hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "400 there is more than one Host header" },
	{ "host with a blank", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 the Host header is malformed" },
	{ "host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400 the Host header is malformed" },
	{ "host with two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", "400 the Host header is malformed" },
	{ "host with a named port", "GET / HTTP/1.1\r\nHost: a:http\r\n\r\n", "400 the Host header is malformed" },
	{ "host with an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "400 the Host header is malformed" },
	{ "host with something behind the bracket", "GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n", "400 the Host header is malformed" },
	{ "hosts in a list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400 the Host header is malformed" },
	{ "IPv6 host without brackets", "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", "400 the Host header is malformed" },
	{ "host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400 the Host header is malformed" },
};

START_TEST(vector) {
	char *got = feed_all(&parser, vectors[_i].name, slice_text(vectors[_i].input));

	ck_assert_msg(strcmp(got, vectors[_i].want) == 0, "%s: got \"%s\"", vectors[_i].name, got);
	mem_free(got);
}
END_TEST

START_TEST(nul_bytes) {
	static const char in_target[] = "GET /\0 HTTP/1.1\r\n", in_name[] = HEAD "X\0: 1\r\n", in_value[] = HEAD "X: \0\r\n";
	char *got;

	got = feed_all(&parser, "NUL in the target", slice_of(in_target, sizeof(in_target) - 1));
	ck_assert_str_eq(got, "400 the request target has a character that must be escaped");
	mem_free(got);
	got = feed_all(&parser, "NUL in a name", slice_of(in_name, sizeof(in_name) - 1));
	ck_assert_str_eq(got, "400 a header line has no name before a colon");
	mem_free(got);
	got = feed_all(&parser, "NUL in a value", slice_of(in_value, sizeof(in_value) - 1));
	ck_assert_str_eq(got, "400 a header value has a control character");
	mem_free(got);
}
END_TEST

/* The answer to `before`, `count` times `unit`, `after`: whole, and just the beginning if it is refused. */
static char *answer(const char *before, size_t count, const char *unit, const char *after) {
	static const size_t cuts[] = { 1, 100, 4096, HTTP_HEAD_MAX - 1, HTTP_HEAD_MAX };
	struct buf input, whole, cut;
	char *text;

	buf_init(&input, 1 << 20);
	buf_init(&whole, 1 << 20);
	buf_init(&cut, 1 << 20);
	buf_add_text(&input, before);
	for (size_t i = 0; i < count; i++)
		buf_add_text(&input, unit);
	buf_add_text(&input, after);
	feed_cut(&parser, buf_slice(&input), NULL, 0, &whole);
	feed_cut(&parser, buf_slice(&input), cuts, input.len >= HTTP_HEAD_MAX ? ARRAY_LEN(cuts) : 2, &cut);
	ck_assert(slice_eq(buf_slice(&whole), buf_slice(&cut)));
	text = slice_dup_text(slice_of(whole.data, whole.len < 40 ? whole.len : 40));
	buf_fini(&input);
	buf_fini(&whole);
	buf_fini(&cut);
	return text;
}

static void is_answer(const char *want, const char *before, size_t count, const char *unit, const char *after) {
	char *got = answer(before, count, unit, after);

	ck_assert_msg(strncmp(got, want, strlen(want)) == 0, "wanted %s, got %s", want, got);
	mem_free(got);
}

START_TEST(limits) {
	size_t target = HTTP_HEAD_MAX - strlen("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	size_t value = HTTP_HEAD_MAX - strlen(HEAD "X: \r\n\r\n");

	is_answer("GET", "GET /", target, "a", " HTTP/1.1\r\nHost: a\r\n\r\n");
	is_answer("431", "GET /", target + 1, "a", " HTTP/1.1\r\nHost: a\r\n\r\n");
	is_answer("414", "GET /", HTTP_HEAD_MAX, "a", "");
	is_answer("GET", HEAD "X: ", value, "v", "\r\n\r\n");
	is_answer("431", HEAD "X: ", value + 1, "v", "\r\n\r\n");
	is_answer("", HEAD "X: ", value, "v", "");
	is_answer("431", HEAD "X: ", value + 4, "v", "");
	is_answer("GET", HEAD, HTTP_HEADERS_MAX - 1, "a: b\r\n", "\r\n");
	is_answer("431 there are more", HEAD, HTTP_HEADERS_MAX, "a: b\r\n", "\r\n");
}
END_TEST

START_TEST(headers_are_found) {
	static struct http_request r;
	struct http_parse_error error;
	size_t head_len, count;

	ck_assert_int_eq(http_request_parse(slice_text(HEAD "X-One: 1\r\nTwo: a, b\r\nTwo:\r\nTWO: ,Dee ;x\r\nEmpty: \r\n\r\n"), &r,
				 &head_len, &error), HTTP_PARSE_DONE);
	ck_assert(slice_eq_text(http_header_find(&r, "x-one", NULL), "1"));
	ck_assert_uint_eq(http_header_find(&r, "two", &count).len, 0);
	ck_assert_uint_eq(count, 3);
	ck_assert_uint_eq(http_header_find(&r, "none", &count).len, 0);
	ck_assert_uint_eq(count, 0);
	ck_assert_uint_eq(http_header_find(&r, "empty", &count).len, 0);
	ck_assert_uint_eq(count, 1);
	ck_assert(http_header_has_token(&r, "two", "A"));
	ck_assert(http_header_has_token(&r, "two", "b"));
	ck_assert(http_header_has_token(&r, "two", "dee ;x"));
	ck_assert(!http_header_has_token(&r, "two", "dee"));
	ck_assert(!http_header_has_token(&r, "x-one", "a"));
	ck_assert(!http_header_has_token(&r, "none", "a"));
}
END_TEST

static const struct {
	const char *name, *query, *key;
	size_t room;
	const char *want;	/* NULL: false */
} queries[] = {
	{ "the only one", "a=1", "a", 16, "1" },
	{ "in the middle", "x=0&a=1&y=2", "a", 16, "1" },
	{ "the first of two", "a=1&a=2", "a", 16, "1" },
	{ "escapes", "a=%41%2b+%c3%A4", "a", 16, "A+ \xc3\xa4" },
	{ "equals sign in the value", "a=b=c", "a", 16, "b=c" },
	{ "empty value", "a=&b=1", "a", 16, "" },
	{ "no equals sign", "b=1&a", "a", 16, "" },
	{ "just fits", "a=%31234", "a", 5, "1234" },
	{ "one too long", "a=12345", "a", 5, NULL },
	{ "no room at all", "a=1", "a", 1, NULL },
	{ "missing", "ab=1&b=a=2", "a", 16, NULL },
	{ "empty parameters", "&&", "a", 16, NULL },
	{ "empty query", "", "a", 16, NULL },
	{ "broken escape", "a=1%2", "a", 16, NULL },
	{ "escape of no digits", "a=%xy", "a", 16, NULL },
	{ "escaped NUL", "a=1%002", "a", 16, NULL },
};

START_TEST(query) {
	char out[16];
	bool found = http_query_find(slice_text(queries[_i].query), queries[_i].key, out, queries[_i].room);

	ck_assert_msg(found == (queries[_i].want != NULL), "%s", queries[_i].name);
	if (found)
		ck_assert_msg(strcmp(out, queries[_i].want) == 0, "%s: %s", queries[_i].name, out);
	else
		ck_assert_str_eq(out, "");
	if (found)
		ck_assert(http_query_has(slice_text(queries[_i].query), queries[_i].key));
}
END_TEST

START_TEST(query_parameters_that_are_there) {
	ck_assert(http_query_has(slice_text("b=1&a=%00"), "a"));
	ck_assert(http_query_has(slice_text("a"), "a"));
	ck_assert(!http_query_has(slice_text("ab=1&b=a=2"), "a"));
	ck_assert(!http_query_has(slice_text(""), "a"));
}
END_TEST

START_TEST(mutations) {
	static const char seed_text[] = "POST /chat?token=a%20b HTTP/1.1\r\nHost: h:1\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";
	static const char spice[] = "\r\n\t :/\0\x7f\xff,=%AZ09";
	uint64_t seed = 20240611;

	for (int round = 0; round < 20000; round++) {
		struct buf input, whole, cut;
		size_t at;

		buf_init(&input, 4096);
		buf_init(&whole, 1 << 16);
		buf_init(&cut, 1 << 16);
		buf_add(&input, slice_of(seed_text, sizeof(seed_text) - 1));
		for (uint32_t i = feed_random(&seed, 4); i > 0; i--)
			input.data[feed_random(&seed, (uint32_t)input.len)] = (uint8_t)spice[feed_random(&seed, sizeof(spice) - 1)];
		if (feed_random(&seed, 4) == 0)
			buf_drop_front(&input, feed_random(&seed, (uint32_t)input.len));
		if (feed_random(&seed, 4) == 0)
			buf_add(&input, slice_of(seed_text, feed_random(&seed, sizeof(seed_text))));
		feed_cut(&parser, buf_slice(&input), NULL, 0, &whole);
		at = feed_random(&seed, (uint32_t)input.len);
		feed_cut(&parser, buf_slice(&input), &at, 1, &cut);
		ck_assert_msg(slice_eq(buf_slice(&whole), buf_slice(&cut)), "round %d, cut at %zu", round, at);
		buf_fini(&input);
		buf_fini(&whole);
		buf_fini(&cut);
	}
}
END_TEST

Suite *suite_http_request(void);

Suite *suite_http_request(void) {
	Suite *s = suite_create("http_request");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, vector, 0, ARRAY_LEN(vectors));
	tcase_add_test(t, nul_bytes);
	tcase_add_test(t, limits);
	tcase_add_test(t, headers_are_found);
	tcase_add_loop_test(t, query, 0, ARRAY_LEN(queries));
	tcase_add_test(t, query_parameters_that_are_there);
	tcase_add_test(t, mutations);
	tcase_set_timeout(t, 30);
	suite_add_tcase(s, t);
	return s;
}
