/* admin_token - its form, its digest, and the comparison */
#include "server/auth/admin_token.h"

bool admin_token_set(struct admin_token *t, struct slice text, struct errbuf *e) {
	while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
		text.len--;
	if (text.len < ADMIN_TOKEN_MIN || text.len > ADMIN_TOKEN_MAX)
		return errbuf_set(e, "a token of %zu characters is not allowed, but %d to %d", text.len, ADMIN_TOKEN_MIN, ADMIN_TOKEN_MAX);
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f)
			return errbuf_set(e, "a token has visible characters of ASCII only, and no blanks");
	}
	digest_sha256(text, t->digest);
	t->is_set = true;
	return true;
}

enum admin_token_verdict admin_token_check(const struct admin_token *t, struct slice authorization) {
	struct slice rest = authorization, scheme;
	uint8_t digest[SHA256_BYTES];

	if (!t->is_set)
		return ADMIN_TOKEN_GOOD;
	if (!slice_next_part(&rest, ' ', &scheme) || !slice_eq_nocase(scheme, "Bearer"))
		return ADMIN_TOKEN_MISSING;
	digest_sha256(slice_trim(rest), digest);
	return digest_is_equal(digest, t->digest, sizeof(digest)) ? ADMIN_TOKEN_GOOD : ADMIN_TOKEN_WRONG;
}
