/*
 * claims - user, name, rights, rooms and channels out of a JSON object, which a JWT and an entry of the token file have in common
 *
 *   name      1 to 64 characters; missing: the first 64 of the user id
 *   rights    ["chat","publish"], or "chat publish"; missing: those of option auth_rights
 *   rooms     ["lobby","team.*"]; missing: all
 *   channels  likewise
 * null counts as missing.
 */
#ifndef SERVER_AUTH_CLAIMS_H
#define SERVER_AUTH_CLAIMS_H

#include <jansson.h>

#include "common/base/buf.h"
#include "server/auth/auth_refusal.h"
#include "server/auth/grant.h"

/* user: the name of the member with the user id. *out is owned by the caller; NULL with a refusal. */
enum auth_refusal claims_grant(const json_t *object, const char *user, uint8_t default_rights, uint64_t expires_s,
    struct auth_grant **out) MUST_CHECK;

/* NULL: missing, or null. Borrowed. */
json_t *claims_find(const json_t *object, const char *name);
struct slice claims_text(const json_t *string);

#endif
