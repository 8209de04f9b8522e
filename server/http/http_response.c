/* http_response - status lines and the heads that go with them */
#include "server/http/http_response.h"

static const struct {
	unsigned code;
	const char *text;
} statuses[] = {
#define HTTP_STATUS(code, text) { code, text },
#include "server/http/http_status.tbl"
};

unsigned http_status_count(void) {
	return ARRAY_LEN(statuses);
}

unsigned http_status_index(unsigned status) {
	unsigned i = 0;

	while (i < ARRAY_LEN(statuses) - 1 && statuses[i].code != status)
		i++;
	return i;
}

unsigned http_status_at(unsigned index) {
	BUG_ON(index >= ARRAY_LEN(statuses));
	return statuses[index].code;
}

const char *http_status_text(unsigned status) {
	return statuses[http_status_index(status)].text;
}

/* These never have a body, and a Content-Length would announce one (RFC 9110, 8.6). */
static bool is_bodyless(unsigned status) {
	return status < 200 || status == 204 || status == 304;
}

void http_response_write(const struct http_response *r, struct buf *out) {
	bool has_body = r->content_type != NULL && !is_bodyless(r->status);

	buf_addf(out, "HTTP/1.1 %u %s\r\n", r->status, http_status_text(r->status));
	if (has_body)
		buf_addf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", r->content_type, r->body.len);
	else if (!is_bodyless(r->status))
		buf_add_text(out, "Content-Length: 0\r\n");
	/* What it is stands in Content-Type, whatever it looks like. */
	buf_add_text(out, "X-Content-Type-Options: nosniff\r\n");
	if (r->extra_headers != NULL)
		buf_add_text(out, r->extra_headers);
	/* Also said when it is open, because that is not the default of HTTP/1.0 clients (RFC 9112, 9.3). */
	buf_addf(out, "Connection: %s\r\n\r\n", r->close ? "close" : "keep-alive");
	if (has_body && !r->is_head)
		buf_add(out, r->body);
}
