/*
 * ws_handshake - the upgrade (RFC 6455, section 4.2). Pure.
 */
#ifndef SERVER_WS_WS_HANDSHAKE_H
#define SERVER_WS_WS_HANDSHAKE_H

#include "common/base/buf.h"
#include "server/http/http_request.h"
#include "server/ws/ws_deflate.h"

/* Of all front ends. A browser that offers subprotocols, as it must to give a token, takes no answer that selects none. */
#define WS_PROTOCOL "herold"

struct ws_refusal {
	unsigned status;
	const char *sentence;		/* for a developer; static */
	const char *extra_headers;	/* whole lines with CRLF, or NULL */
};

/* Does the request ask for a WebSocket at all (an Upgrade header that names it)? */
bool ws_handshake_is_wanted(const struct http_request *r);
/* False: refused, *why says how. 426 when no or another upgrade is asked for or the version is not 13, 405 when it is no
 * GET, 400 for everything malformed. */
bool ws_handshake_check(const struct http_request *r, struct ws_refusal *why) MUST_CHECK;
/* The subprotocol that the answer selects: ours, if it is offered; else empty. Static. */
struct slice ws_handshake_protocol(const struct http_request *r);
/* The 101. r has passed the check; protocol: the chosen subprotocol or empty; deflate: the terms agreed on or NULL. */
void ws_handshake_accept(const struct http_request *r, struct slice protocol, const struct ws_deflate_terms *deflate,
    struct buf *out);

#endif
