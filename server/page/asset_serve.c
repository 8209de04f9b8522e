/* asset_serve - answers with a page's file, under a policy that lets nothing else in */
#include "server/page/asset_serve.h"

#include <stdio.h>

/* Nothing but our own files, no inline code, no embedding (the pages need no more). */
#define PAGE_POLICY \
	"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " \
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

void asset_serve(struct conn *c, const struct http_request *r, const struct asset *asset) {
	bool is_known = slice_eq_text(http_header_find(r, "If-None-Match", NULL), asset->etag);
	char headers[640];

	/* no-cache: keep it, but ask each time; an unchanged file costs a 304. */
	snprintf(headers, sizeof(headers),
	    "ETag: %s\r\nCache-Control: no-cache\r\nContent-Security-Policy: " PAGE_POLICY "\r\n"
	    "Referrer-Policy: no-referrer\r\nCross-Origin-Opener-Policy: same-origin\r\n",
	    asset->etag);
	conn_respond(c, &(struct http_response){ .status = is_known ? 304 : 200,
			    .content_type = is_known ? NULL : asset->content_type,
			    .extra_headers = headers,
			    .body = is_known ? SLICE_EMPTY : asset->body });
}
