/*
 * auth_keys - the keys that tokens may be signed with
 *
 * Each has one algorithm and perhaps an id (kid). From files of one key (PEM, or the secret itself) and from sets (JWKS, RFC 7517).
 * Of a set, keys for other uses and of kinds that are not known here are passed over; a weak or malformed one refuses the whole.
 */
#ifndef SERVER_AUTH_AUTH_KEYS_H
#define SERVER_AUTH_AUTH_KEYS_H

#include "common/base/buf.h"
#include "server/auth/auth_refusal.h"
#include "server/auth/signature.h"

enum { AUTH_KEYS_MAX = 256, AUTH_KEY_ID_MAX = 256 };

struct auth_key {
	struct signature_key *key;	/* owned */
	char *id;			/* owned; NULL: none */
};

/* Zeroed at the start. */
struct auth_keys {
	struct auth_key *item;
	size_t count;
};

/* One key: PEM for a public one, else the secret, without the newline at its end. id: empty for none. */
bool auth_keys_add_file(struct auth_keys *keys, enum signature_algorithm a, struct slice id, struct slice bytes,
    struct errbuf *e) MUST_CHECK;
/* The keys of a JWKS; at least one must be of use. */
bool auth_keys_add_set(struct auth_keys *keys, struct slice json, struct errbuf *e) MUST_CHECK;
void auth_keys_fini(struct auth_keys *keys);

/* The key of this id and algorithm; without an id of that name (or without id), the only one of the algorithm that has none (or the
 * only one of all). Never tries several: a token costs one signature at most. *out is borrowed. */
enum auth_refusal auth_keys_find(const struct auth_keys *keys, struct slice id, enum signature_algorithm a,
    const struct signature_key **out) MUST_CHECK;
/* Adds "RS256 (kid), HS256" for the log. */
void auth_keys_describe(const struct auth_keys *keys, struct buf *out);

#endif
