/*
 * jwt - JSON Web Tokens (RFC 7519), signed, in the compact form of JWS (RFC 7515)
 *
 * Does:      the header, one signature, the claims, in this order: what is not signed by a key is not looked at.
 * Does not:  fetch keys (jku, x5u), take keys out of tokens (jwk, x5c), know encrypted tokens, extensions (crit) or tokens without end.
 * Pure: the time is an argument. Input: hostile, at most JWT_MAX bytes.
 */
#ifndef SERVER_AUTH_JWT_H
#define SERVER_AUTH_JWT_H

#include "common/svc/config.h"
#include "server/auth/auth_keys.h"
#include "server/auth/grant.h"

enum { JWT_MAX = 8192 };

struct jwt_rules {
	const struct text_list *issuers;	/* `iss` must be one of these; none: it may be anything */
	const struct text_list *audiences;	/* `aud` must have one of these; none: there must be no `aud` (RFC 7519, 4.1.3) */
	uint64_t leeway_s;			/* by how much clocks may differ */
	uint8_t default_rights;
};

/* *out is owned by the caller; NULL with a refusal. */
enum auth_refusal jwt_check(struct slice token, const struct auth_keys *keys, const struct jwt_rules *rules, uint64_t now_s,
    struct auth_grant **out) MUST_CHECK;

#endif
