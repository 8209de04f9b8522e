/*
 * admin_token - the password of the admin listener (Authorization: Bearer, RFC 6750; from a page's WebSocket, which can set no such
 * header, as a subprotocol). Pure.
 *
 * Only its digest is kept, and compared in a time that says nothing about it.
 */
#ifndef SERVER_AUTH_ADMIN_TOKEN_H
#define SERVER_AUTH_ADMIN_TOKEN_H

#include "common/base/digest.h"
#include "common/base/errbuf.h"
#include "server/http/http_request.h"

enum { ADMIN_TOKEN_MIN = 16, ADMIN_TOKEN_MAX = 512 };

/* Zeroed at the start: nobody is asked for one. */
struct admin_token {
	bool is_set;
	uint8_t digest[SHA256_BYTES];
};

enum admin_token_verdict { ADMIN_TOKEN_GOOD = 0, ADMIN_TOKEN_MISSING, ADMIN_TOKEN_WRONG };

/* Visible ASCII of a fair length; newlines at its end are not a part of it. False: it is none, which is said without showing it. */
bool admin_token_set(struct admin_token *t, struct slice text, struct errbuf *e) MUST_CHECK;
/* Of the value of the only Authorization header; empty: there is none. */
enum admin_token_verdict admin_token_check(const struct admin_token *t, struct slice authorization) MUST_CHECK;
/* Of a request for a WebSocket: that header if there is one, else `herold.token.` and the token in base64url in Sec-WebSocket-Protocol. */
enum admin_token_verdict admin_token_check_websocket(const struct admin_token *t, const struct http_request *r) MUST_CHECK;

#endif
