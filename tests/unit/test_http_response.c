/* http_response - answers as bytes */
#include <check.h>

#include "server/http/http_response.h"

static const struct {
	const char *name;
	unsigned status;
	const char *content_type, *extra_headers, *body;
	bool is_head, close;
	const char *want;
} vectors[] = {
	{ "body", 200, "text/plain", NULL, "hello", false, false,
	    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nX-Content-Type-Options: nosniff\r\nConnection: keep-alive\r\n\r\nhello" },
	{ "the answer to HEAD", 200, "text/plain", NULL, "hello", true, false,
	    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nX-Content-Type-Options: nosniff\r\nConnection: keep-alive\r\n\r\n" },
	{ "empty body", 404, "text/plain", NULL, "", false, false,
	    "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 0\r\nX-Content-Type-Options: nosniff\r\nConnection: keep-alive\r\n\r\n" },
	{ "no body", 503, NULL, "Retry-After: 1\r\n", "", false, true,
	    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nX-Content-Type-Options: nosniff\r\nRetry-After: 1\r\nConnection: close\r\n\r\n" },
	{ "never a body", 304, "text/plain", "ETag: \"1\"\r\n", "hello", false, false,
	    "HTTP/1.1 304 Not Modified\r\nX-Content-Type-Options: nosniff\r\nETag: \"1\"\r\nConnection: keep-alive\r\n\r\n" },
	{ "no content", 204, NULL, NULL, "", false, false, "HTTP/1.1 204 No Content\r\nX-Content-Type-Options: nosniff\r\nConnection: keep-alive\r\n\r\n" },
	{ "unlisted status", 299, NULL, NULL, "", false, true,
	    "HTTP/1.1 299 Unknown\r\nContent-Length: 0\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n" },
};

START_TEST(vector) {
	struct http_response r = {
		.status = vectors[_i].status,
		.content_type = vectors[_i].content_type,
		.extra_headers = vectors[_i].extra_headers,
		.body = slice_text(vectors[_i].body),
		.is_head = vectors[_i].is_head,
		.close = vectors[_i].close,
	};
	struct buf out;

	buf_init(&out, 4096);
	http_response_write(&r, &out);
	ck_assert_msg(slice_eq_text(buf_slice(&out), vectors[_i].want), "%s: %.*s", vectors[_i].name, SLICE_ARGS(buf_slice(&out)));
	buf_fini(&out);
}
END_TEST

START_TEST(too_small_buffer) {
	struct http_response r = { .status = 200, .content_type = "text/plain", .body = slice_text("hello") };
	struct buf out;

	buf_init(&out, 50);
	http_response_write(&r, &out);
	ck_assert(out.failed);
	buf_fini(&out);
}
END_TEST

START_TEST(table) {
	unsigned last = http_status_count() - 1;

	for (unsigned i = 0; i <= last; i++) {
		ck_assert_uint_eq(http_status_index(http_status_at(i)), i);
		if (i > 0 && i < last)
			ck_assert_uint_gt(http_status_at(i), http_status_at(i - 1));
	}
	ck_assert_uint_eq(http_status_at(last), 0);
	ck_assert_uint_eq(http_status_index(299), last);
	ck_assert_str_eq(http_status_text(426), "Upgrade Required");
	ck_assert_str_eq(http_status_text(299), "Unknown");
}
END_TEST

Suite *suite_http_response(void);

Suite *suite_http_response(void) {
	Suite *s = suite_create("http_response");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, vector, 0, ARRAY_LEN(vectors));
	tcase_add_test(t, too_small_buffer);
	tcase_add_test(t, table);
	suite_add_tcase(s, t);
	return s;
}
