/*
 * http_request - the request head, read once from left to right
 *
 * Every check needs only the bytes up to the one that fails it. So an incomplete head gives the same refusal as the
 * whole one, and gives it as soon as the bad byte is there.
 */
#include "server/http/http_request.h"

#include "common/base/codec.h"

/* Longer than any method there is; what does not end by then is not HTTP. */
enum { METHOD_MAX = 32 };

/* What a byte may be part of. */
enum { IN_TOKEN = 1, IN_TARGET = 2, IN_VALUE = 4, IN_HOST = 8 };

/* Where the reading is. */
struct cursor {
	const uint8_t *at, *end;
	struct http_parse_error *error;
};

static bool is_alnum(uint8_t c) {
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_one_of(uint8_t c, const char *set) {
	return c != '\0' && strchr(set, c) != NULL;
}

static bool is_in(uint8_t c, unsigned what) {
	switch (what) {
	case IN_TOKEN: /* RFC 9110, 5.6.2 */
		return is_alnum(c) || is_one_of(c, "!#$%&'*+-.^_`|~");
	case IN_TARGET: /* Wider than RFC 3986: browsers send |, {, [ as they are. A fragment is never sent. */
		return c > 0x20 && c < 0x7f && !is_one_of(c, "\"#<>");
	case IN_HOST: /* RFC 3986, 3.2.2 */
		return is_alnum(c) || is_one_of(c, "-._~!$&'()*+,;=%");
	default: /* RFC 9110, 5.5 */
		return (c >= 0x20 && c != 0x7f) || c == '\t';
	}
}

static enum http_parse_result bad(struct cursor *c, unsigned status, const char *sentence) {
	*c->error = (struct http_parse_error){ status, sentence };
	return HTTP_PARSE_BAD;
}

/* Goes past the bytes of this kind. DONE: *out has them, and another byte is at c->at. */
static enum http_parse_result take_run(struct cursor *c, unsigned what, struct slice *out) {
	const uint8_t *start = c->at;

	while (c->at < c->end && is_in(*c->at, what))
		c->at++;
	*out = slice_of(start, (size_t)(c->at - start));
	return c->at < c->end ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
}

/* Goes past `text`; another byte is refused with the sentence. */
static enum http_parse_result take_text(struct cursor *c, const char *text, const char *sentence) {
	for (; *text != '\0'; text++) {
		if (c->at == c->end)
			return HTTP_PARSE_MORE;
		if (*c->at != (uint8_t)*text)
			return bad(c, 400, sentence);
		c->at++;
	}
	return HTTP_PARSE_DONE;
}

static enum http_parse_result take_digit(struct cursor *c, unsigned *out) {
	if (c->at == c->end)
		return HTTP_PARSE_MORE;
	if (*c->at < '0' || *c->at > '9')
		return bad(c, 400, "the HTTP version is malformed");
	*out = (unsigned)(*c->at++ - '0');
	return HTTP_PARSE_DONE;
}

/* RFC 9112, 2.2: one empty line before a request is ignored, for clients that send one after a body. */
static enum http_parse_result take_empty_line(struct cursor *c) {
	if (c->at == c->end)
		return HTTP_PARSE_MORE;
	if (*c->at != '\r')
		return HTTP_PARSE_DONE;
	return take_text(c, "\r\n", "a CR stands without its LF");
}

static enum http_parse_result take_method(struct cursor *c, struct http_request *out) {
	static const char *const names[] = { [HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD", [HTTP_POST] = "POST" };
	enum http_parse_result result;
	struct slice name;

	if (c->at < c->end && *c->at == 0x16)
		return bad(c, 400, "this looks like TLS, but this port speaks plain HTTP");
	result = take_run(c, IN_TOKEN, &name);
	if (name.len > METHOD_MAX)
		return bad(c, 501, "the method is unknown");
	if (result != HTTP_PARSE_DONE)
		return result;
	if (name.len == 0 || *c->at != ' ')
		return bad(c, 400, "the request does not begin with a method and a space");
	c->at++;
	for (out->method = HTTP_GET; out->method < HTTP_OTHER; out->method++) {
		if (slice_eq_text(name, names[out->method]))
			break;
	}
	return HTTP_PARSE_DONE;
}

static enum http_parse_result take_target(struct cursor *c, struct http_request *out) {
	enum http_parse_result result;
	struct slice target;
	const uint8_t *mark;

	if (c->at < c->end && *c->at != '/')
		return bad(c, 400, "the request target does not begin with a slash");
	result = take_run(c, IN_TARGET, &target);
	if (result != HTTP_PARSE_DONE)
		return result;
	if (*c->at != ' ')
		return bad(c, 400, *c->at == '\r' ? "the HTTP version is missing" :
						    "the request target has a character that must be escaped");
	c->at++;
	mark = memchr(target.ptr, '?', target.len);
	out->path = target;
	out->query = SLICE_EMPTY;
	if (mark != NULL) {
		out->path.len = (size_t)(mark - target.ptr);
		out->query = slice_skip(target, out->path.len + 1);
	}
	return HTTP_PARSE_DONE;
}

static enum http_parse_result take_version(struct cursor *c, struct http_request *out) {
	unsigned major = 0, minor = 0;
	enum http_parse_result result;

	result = take_text(c, "HTTP/", "the request target is not followed by the HTTP version");
	if (result == HTTP_PARSE_DONE)
		result = take_digit(c, &major);
	if (result == HTTP_PARSE_DONE)
		result = take_text(c, ".", "the HTTP version is malformed");
	if (result == HTTP_PARSE_DONE)
		result = take_digit(c, &minor);
	if (result == HTTP_PARSE_DONE)
		result = take_text(c, "\r\n", "the request line does not end with CRLF after the HTTP version");
	if (result == HTTP_PARSE_DONE && (major != 1 || minor > 1))
		return bad(c, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
	out->minor_version = minor;
	return result;
}

/* After the line of a header: those that decide where the body ends must be beyond doubt (request smuggling). */
static enum http_parse_result check_header(struct cursor *c, struct http_request *out, const struct http_header *h) {
	size_t earlier;

	if (slice_eq_nocase(h->name, "transfer-encoding"))
		return bad(c, 501, "Transfer-Encoding is not supported, send a Content-Length");
	if (!slice_eq_nocase(h->name, "content-length"))
		return HTTP_PARSE_DONE;
	(void)http_header_find(out, "content-length", &earlier);
	if (earlier > 0)
		return bad(c, 400, "there is more than one Content-Length header");
	if (!slice_to_u64(h->value, &out->content_length))
		return bad(c, 400, "Content-Length is not a number");
	return HTTP_PARSE_DONE;
}

static enum http_parse_result take_header_name(struct cursor *c, struct http_request *out, struct slice *name) {
	enum http_parse_result result;

	if (*c->at == ' ' || *c->at == '\t')
		return bad(c, 400, "a header line begins with a blank, folded lines are not accepted");
	if (out->header_count == HTTP_HEADERS_MAX)
		return bad(c, 431, "there are more than 100 headers");
	result = take_run(c, IN_TOKEN, name);
	if (result != HTTP_PARSE_DONE)
		return result;
	if (*c->at == ' ' || *c->at == '\t')
		return bad(c, 400, "a header name is followed by a blank");
	if (*c->at != ':' || name->len == 0)
		return bad(c, 400, "a header line has no name before a colon");
	c->at++;
	return HTTP_PARSE_DONE;
}

static enum http_parse_result take_header(struct cursor *c, struct http_request *out) {
	struct http_header header;
	enum http_parse_result result;

	result = take_header_name(c, out, &header.name);
	if (result == HTTP_PARSE_DONE)
		result = take_run(c, IN_VALUE, &header.value);
	if (result != HTTP_PARSE_DONE)
		return result;
	if (*c->at != '\r')
		return bad(c, 400, *c->at == '\n' ? "a line ends with LF instead of CRLF" :
						    "a header value has a control character");
	result = take_text(c, "\r\n", "a CR stands without its LF");
	if (result != HTTP_PARSE_DONE)
		return result;
	header.value = slice_trim(header.value);
	result = check_header(c, out, &header);
	if (result == HTTP_PARSE_DONE)
		out->header[out->header_count++] = header;
	return result;
}

static enum http_parse_result take_headers(struct cursor *c, struct http_request *out) {
	enum http_parse_result result = HTTP_PARSE_DONE;

	while (result == HTTP_PARSE_DONE) {
		if (c->at == c->end)
			return HTTP_PARSE_MORE;
		if (*c->at == '\r')
			return take_text(c, "\r\n", "a CR stands without its LF");
		result = take_header(c, out);
	}
	return result;
}

/* A name or an address, in brackets if it has colons of its own, and perhaps a port. */
static bool is_host(struct slice host) {
	const uint8_t *end, *at = host.ptr;
	bool has_bracket = host.len > 0 && *at == '[';

	if (host.len == 0)
		return true;
	end = at + host.len;
	at += has_bracket;
	while (at < end && (is_in(*at, IN_HOST) || (has_bracket && *at == ':')))
		at++;
	if (has_bracket && (at == end || *at++ != ']'))
		return false;
	if (at < end && *at++ != ':')
		return false;
	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return at == end;
}

/* RFC 9112, 3.2 */
static enum http_parse_result check_host(struct cursor *c, const struct http_request *r) {
	size_t count;
	struct slice host = http_header_find(r, "host", &count);

	if (count > 1)
		return bad(c, 400, "there is more than one Host header");
	if (count == 0 && r->minor_version == 1)
		return bad(c, 400, "the Host header is missing");
	return is_host(host) ? HTTP_PARSE_DONE : bad(c, 400, "the Host header is malformed");
}

/* RFC 9112, 9.3 */
static bool wants_keep_alive(const struct http_request *r) {
	if (http_header_has_token(r, "connection", "close"))
		return false;
	return r->minor_version == 1 || http_header_has_token(r, "connection", "keep-alive");
}

enum http_parse_result http_request_parse(struct slice input, struct http_request *out, size_t *head_len,
    struct http_parse_error *error) {
	size_t usable = input.len < HTTP_HEAD_MAX ? input.len : HTTP_HEAD_MAX;
	struct cursor c = { input.ptr, input.ptr + usable, error };
	enum http_parse_result result;
	bool is_in_headers = false;

	out->header_count = 0;
	out->content_length = 0;
	result = take_empty_line(&c);
	if (result == HTTP_PARSE_DONE)
		result = take_method(&c, out);
	if (result == HTTP_PARSE_DONE)
		result = take_target(&c, out);
	if (result == HTTP_PARSE_DONE)
		result = take_version(&c, out);
	if (result == HTTP_PARSE_DONE) {
		is_in_headers = true;
		result = take_headers(&c, out);
	}
	if (result == HTTP_PARSE_DONE)
		result = check_host(&c, out);
	if (result == HTTP_PARSE_MORE && usable == HTTP_HEAD_MAX) {
		if (is_in_headers)
			return bad(&c, 431, "the request head is longer than 8192 bytes");
		return bad(&c, 414, "the request target is too long");
	}
	if (result != HTTP_PARSE_DONE)
		return result;
	out->keep_alive = wants_keep_alive(out);
	*head_len = (size_t)(c.at - input.ptr);
	return HTTP_PARSE_DONE;
}

struct slice http_header_find(const struct http_request *r, const char *name, size_t *count) {
	struct slice found = SLICE_EMPTY;
	size_t n = 0;

	for (size_t i = 0; i < r->header_count; i++) {
		if (slice_eq_nocase(r->header[i].name, name) && n++ == 0)
			found = r->header[i].value;
	}
	if (count != NULL)
		*count = n;
	return n == 1 ? found : SLICE_EMPTY;
}

bool http_header_has_token(const struct http_request *r, const char *name, const char *token) {
	for (size_t i = 0; i < r->header_count; i++) {
		struct slice rest = r->header[i].value, part;

		if (!slice_eq_nocase(r->header[i].name, name))
			continue;
		while (slice_next_part(&rest, ',', &part)) {
			if (slice_eq_nocase(slice_trim(part), token))
				return true;
		}
	}
	return false;
}

/* Into `out` as a NUL-terminated text; a NUL of its own would cut it short, so that is refused. */
static bool decode_value(struct slice value, char *out, size_t out_size) {
	/* On the caller's memory: as large as its cap from the start, it never grows. */
	struct buf b = { .data = (uint8_t *)out, .cap = out_size - 1, .max = out_size - 1 };

	if (!percent_decode(value, true, &b) || b.failed || memchr(out, '\0', b.len) != NULL) {
		out[0] = '\0';
		return false;
	}
	out[b.len] = '\0';
	return true;
}

/* The first one of that name, as it stands there. */
static bool find_parameter(struct slice query, const char *name, struct slice *value) {
	struct slice key;

	while (slice_next_part(&query, '&', value)) {
		/* Leaves in *value what is behind the first '='. */
		if (slice_next_part(value, '=', &key) && slice_eq_text(key, name))
			return true;
	}
	return false;
}

bool http_query_has(struct slice query, const char *name) {
	struct slice value;

	return find_parameter(query, name, &value);
}

bool http_query_find(struct slice query, const char *name, char *out, size_t out_size) {
	struct slice value;

	BUG_ON(out_size == 0);
	out[0] = '\0';
	return find_parameter(query, name, &value) && decode_value(value, out, out_size);
}
