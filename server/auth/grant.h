/*
 * grant - who somebody is and what they may do: what an accepted credential has become
 *
 * Never changes. Counted, because a token of the file has one for all its connections.
 */
#ifndef SERVER_AUTH_GRANT_H
#define SERVER_AUTH_GRANT_H

#include "common/base/digest.h"
#include "server/auth/rights.h"

enum { GRANT_USER_MAX = 128 /* bytes */, GRANT_NAME_MAX = 64 /* characters */, GRANT_PATTERNS_MAX = 256 };

struct auth_grant {
	uint64_t expires_s;		/* since 1970: ends then; 0: never. With the leeway that its check had */
	uint32_t holders;
	uint16_t user_len, name_len, rooms_len, channels_len;
	uint8_t rights;			/* enum auth_right */
	bool is_static;			/* of the token file, whose digest it has */
	uint8_t digest[SHA256_BYTES];	/* of the token; zeros unless is_static */
	uint8_t bytes[];		/* user, name; patterns of rooms and of channels, each with a NUL behind it */
};

/* What a grant is made of. Lists: each pattern with a NUL behind it. Borrowed. */
struct grant_parts {
	struct slice user, name, rooms, channels;
	uint64_t expires_s;
	uint8_t rights;
};

/* Returns owned: one holder. */
struct auth_grant *grant_new(const struct grant_parts *parts) MUST_CHECK;
/* Shares g; NULL stays NULL. */
struct auth_grant *grant_hold(struct auth_grant *g);
void grant_drop(struct auth_grant **g);
/* The same user may do the same, under the same name. */
bool grant_is_same(const struct auth_grant *a, const struct auth_grant *b);

struct slice grant_user(const struct auth_grant *g);
struct slice grant_name(const struct auth_grant *g);
bool grant_has_room(const struct auth_grant *g, struct slice room);
bool grant_has_channel(const struct auth_grant *g, struct slice channel);

#endif
