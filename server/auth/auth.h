/*
 * auth - is this somebody, and who: option `auth`
 *
 * Does:      holds what a process knows (tokens or keys, from the master's bundle), decides about requests and about single tokens,
 *            counts its refusals.
 * Does not:  read files, do I/O, log, remember anybody.
 * Lifetime:  owned by its process. Grants outlive it.
 */
#ifndef SERVER_AUTH_AUTH_H
#define SERVER_AUTH_AUTH_H

#include "common/base/buf.h"
#include "common/base/errbuf.h"
#include "common/svc/config.h"
#include "server/auth/auth_refusal.h"
#include "server/auth/grant.h"
#include "server/http/http_request.h"

/* Parts of the bundle that it is made from. Algorithm and id, if any, stand before their key. */
enum auth_part {
	AUTH_PART_NAME = 1,	/* what errors call the next part: its file */
	AUTH_PART_TOKENS,	/* JSON of static tokens */
	AUTH_PART_ALGORITHM,	/* of the next key: as `alg` names it */
	AUTH_PART_KEY_ID,	/* of the next key */
	AUTH_PART_KEY,		/* PEM, or a secret */
	AUTH_PART_KEY_SET,	/* JWKS */
};

struct auth;

/* config: borrowed for life. Returns owned, or NULL. */
struct auth *auth_new(const struct config *config, struct slice bundle, struct errbuf *e) MUST_CHECK;
void auth_free(struct auth **a);
/* Others from now on; on failure everything stays. */
bool auth_replace(struct auth *a, struct slice bundle, struct errbuf *e) MUST_CHECK;
/* Adds, for the log, what is known: no secrets. */
void auth_describe(const struct auth *a, struct buf *out);

/* Is a token asked for at all? */
bool auth_is_on(const struct auth *a);
/* Decides about a request by the token in it. AUTH_OK: *out is a grant, shared, or NULL where no token is asked for. */
enum auth_refusal auth_request(const struct auth *a, const struct http_request *r, uint64_t now_s, struct auth_grant **out) MUST_CHECK;
/* Likewise about a token alone; there must be a mode in which one is asked for. */
enum auth_refusal auth_token(const struct auth *a, struct slice token, uint64_t now_s, struct auth_grant **out) MUST_CHECK;
/* Would the token of this grant get the same now? A JWT keeps what it got until it expires, whatever becomes of its key. */
bool auth_is_in_force(const struct auth *a, const struct auth_grant *g);

#endif
