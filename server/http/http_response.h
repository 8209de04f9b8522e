/*
 * http_response - an HTTP/1.1 answer into a buffer. Pure.
 */
#ifndef SERVER_HTTP_HTTP_RESPONSE_H
#define SERVER_HTTP_HTTP_RESPONSE_H

#include "common/base/buf.h"

struct http_response {
	unsigned status;
	const char *content_type;	/* NULL: no body */
	const char *extra_headers;	/* whole lines with CRLF, or NULL */
	struct slice body;
	bool is_head;			/* the head only, Content-Length as if with the body */
	bool close;			/* Connection: close */
};

void http_response_write(const struct http_response *r, struct buf *out);
/* "Not Found"; "Unknown" for what http_status.tbl has not. */
const char *http_status_text(unsigned status);
/* Position in http_status.tbl, for counting; the table's last row stands for the unknown. */
unsigned http_status_index(unsigned status);
unsigned http_status_count(void);
unsigned http_status_at(unsigned index);

#endif
