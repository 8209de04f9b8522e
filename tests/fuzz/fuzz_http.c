/* fuzz_http - the request head: whole, as it grows, and every question about it. Input: the bytes of a connection */
#include "tests/fuzz/fuzz.h"

#include "server/http/http_request.h"

static void check_refusal(const struct http_parse_error *e) {
	BUG_ON(e->sentence == NULL || e->sentence[0] == '\0');
	BUG_ON(e->status != 400 && e->status != 414 && e->status != 431 && e->status != 501 && e->status != 505);
}

static void check_request(const struct http_request *r, struct slice head) {
	BUG_ON(r->header_count > HTTP_HEADERS_MAX || r->minor_version > 1);
	BUG_ON(r->path.len == 0 || r->path.ptr[0] != '/' || !fuzz_is_inside(r->path, head) || !fuzz_is_inside(r->query, head));
	for (size_t i = 0; i < r->header_count; i++) {
		const struct http_header *h = &r->header[i];

		BUG_ON(h->name.len == 0 || !fuzz_is_inside(h->name, head) || !fuzz_is_inside(h->value, head));
		BUG_ON(h->value.len != slice_trim(h->value).len);
		BUG_ON(h->value.len > 0 && memchr(h->value.ptr, '\n', h->value.len) != NULL);
	}
}

static void ask(const struct http_request *r) {
	char value[24];
	size_t count;
	struct slice found = http_header_find(r, "host", &count);

	BUG_ON(r->minor_version == 1 && count != 1);
	BUG_ON(count != 1 && found.len > 0);
	if (http_header_has_token(r, "connection", "close"))
		BUG_ON(r->keep_alive);
	(void)http_header_has_token(r, "upgrade", "websocket");
	if (http_query_find(r->query, "after", value, sizeof(value)))
		BUG_ON(strlen(value) >= sizeof(value) || !http_query_has(r->query, "after"));
	else
		BUG_ON(value[0] != '\0');
	(void)http_header_find(r, "x", NULL);
}

/* A part of the input in memory of its own gives nothing yet, or the same. */
static void check_part(struct slice part, enum http_parse_result whole, size_t whole_len,
    const struct http_parse_error *whole_error) {
	uint8_t *copy = mem_dup(part.ptr, part.len);
	struct http_parse_error error = { 0 };
	enum http_parse_result result;
	struct http_request r;
	size_t len = 0;

	result = http_request_parse(slice_of(copy, part.len), &r, &len, &error);
	BUG_ON(result != HTTP_PARSE_MORE && result != whole);
	BUG_ON(result == HTTP_PARSE_DONE && len != whole_len);
	BUG_ON(result == HTTP_PARSE_BAD && (error.status != whole_error->status || error.sentence != whole_error->sentence));
	BUG_ON(result == HTTP_PARSE_MORE && whole == HTTP_PARSE_DONE && part.len >= whole_len);
	mem_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct slice input = slice_of(data, size);
	struct http_parse_error error = { 0 };
	enum http_parse_result result;
	struct http_request r;
	size_t len = 0;

	result = http_request_parse(input, &r, &len, &error);
	if (result == HTTP_PARSE_BAD)
		check_refusal(&error);
	if (result == HTTP_PARSE_MORE)
		BUG_ON(size >= HTTP_HEAD_MAX);
	if (result == HTTP_PARSE_DONE) {
		BUG_ON(len == 0 || len > size || len > HTTP_HEAD_MAX);
		check_request(&r, slice_of(data, len));
		ask(&r);
		check_part(slice_of(data, len - 1), result, len, &error);
	}
	check_part(slice_of(data, size > 0 ? fuzz_hash(input) % size : 0), result, len, &error);
	return 0;
}
