/*
 * http_request - the head of an HTTP/1.x request (RFC 9112), strict and bounded
 *
 * Does:      find the end of the head, take it apart, refuse what is malformed or ambiguous.
 * Does not:  bodies, I/O, allocate, log. Pure. Input: hostile.
 * Refuses:   more than HTTP_HEAD_MAX bytes or HTTP_HEADERS_MAX headers (431), a bare CR or LF, blanks before the colon, folded lines,
 *            control characters, Transfer-Encoding (501), more than one Content-Length (400), HTTP/1.1 without exactly one Host (400),
 *            another HTTP version (505), a target that is not in origin form, or too long (414).
 */
#ifndef SERVER_HTTP_HTTP_REQUEST_H
#define SERVER_HTTP_HTTP_REQUEST_H

#include "common/base/slice.h"

enum { HTTP_HEAD_MAX = 8192, HTTP_HEADERS_MAX = 100 };

enum http_method { HTTP_GET = 0, HTTP_HEAD, HTTP_POST, HTTP_OTHER };

struct http_header {
	struct slice name, value;	/* value without blanks around it */
};

/* Slices are borrowed from the input. */
struct http_request {
	enum http_method method;
	unsigned minor_version;		/* 0 or 1 */
	struct slice path;		/* begins with '/', as sent */
	struct slice query;		/* behind '?', as sent; empty if none */
	struct http_header header[HTTP_HEADERS_MAX];
	size_t header_count;
	uint64_t content_length;	/* 0 if none */
	bool keep_alive;
};

enum http_parse_result {
	HTTP_PARSE_MORE = 0,	/* the head is not complete; call again with more */
	HTTP_PARSE_DONE,	/* *out is filled, *head_len bytes are used */
	HTTP_PARSE_BAD,		/* error->status and error->sentence say why */
};

struct http_parse_error {
	unsigned status;
	const char *sentence;	/* for a developer; static */
};

/* `input` begins with the first byte of the head and has everything received so far. Garbage is refused at its first line, without
 * waiting for the end. */
enum http_parse_result http_request_parse(struct slice input, struct http_request *out, size_t *head_len,
    struct http_parse_error *error) MUST_CHECK;

/* The value of the only header of that name; empty when it is missing or there are several (*count says which; may be NULL). */
struct slice http_header_find(const struct http_request *r, const char *name, size_t *count);
/* Is `token` in the comma-separated list(s) of that name, case folded? */
bool http_header_has_token(const struct http_request *r, const char *name, const char *token);
bool http_query_has(struct slice query, const char *name);
/* The decoded value of a query parameter into `out` (NUL-terminated); false when missing, broken or longer than out_size - 1. */
bool http_query_find(struct slice query, const char *name, char *out, size_t out_size) MUST_CHECK;

#endif
