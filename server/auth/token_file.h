/*
 * token_file - static tokens: a JSON array of objects
 *
 *   [{"token":"...","user":"u1","name":"Ada","rights":["chat"],"rooms":["lobby"],"channels":["scores.*"]}, ..]
 *
 * `token`: 16 to 512 characters of A-Z a-z 0-9 - . _ ~; or in its place `sha256`, its digest in 64 hexadecimal digits.
 * The others: see claims.h. Only digests are kept.
 */
#ifndef SERVER_AUTH_TOKEN_FILE_H
#define SERVER_AUTH_TOKEN_FILE_H

#include "common/base/errbuf.h"
#include "common/base/htab.h"
#include "server/auth/auth_refusal.h"
#include "server/auth/grant.h"

enum { TOKEN_FILE_TOKEN_MIN = 16, TOKEN_FILE_TOKEN_MAX = 512 };

/* Zeroed at the start: no token is known. */
struct token_file {
	struct htab entries;	/* by the beginning of the digest */
};

/* On failure the file is empty, and `e` says which entry is bad. */
bool token_file_init(struct token_file *f, struct slice json, uint8_t default_rights, struct errbuf *e) MUST_CHECK;
void token_file_fini(struct token_file *f);
/* Shares the grant of the token; or AUTH_unknown_token. Takes no time by which a token could be guessed. */
enum auth_refusal token_file_check(const struct token_file *f, struct slice token, struct auth_grant **out) MUST_CHECK;
/* Is the token of this grant (which had been in a file) in this file, for the same user, with the same rights? */
bool token_file_has(const struct token_file *f, const struct auth_grant *g);

static inline size_t token_file_count(const struct token_file *f) {
	return f->entries.count;
}

#endif
