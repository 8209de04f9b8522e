/*
 * credential - the token of a request, wherever it stands. Pure; the input is hostile.
 *
 *   GET /ws?token=TOKEN
 *   Authorization: Bearer TOKEN
 *   Sec-WebSocket-Protocol: herold, token.TOKEN      (browsers can set no other header; the answer selects `herold`)
 */
#ifndef SERVER_AUTH_CREDENTIAL_H
#define SERVER_AUTH_CREDENTIAL_H

#include "server/auth/auth_refusal.h"
#include "server/http/http_request.h"

#define CREDENTIAL_PROTOCOL "herold"

/* The only one that is given; borrowed from the request, or in `room` if it had to be decoded. */
enum auth_refusal credential_find(const struct http_request *r, char room[HTTP_HEAD_MAX], struct slice *token) MUST_CHECK;

#endif
