/* admin_token - its form, its digest, and the comparison */
#include "server/auth/admin_token.h"

#include "common/base/codec.h"

static const char protocol_prefix[] = "herold.token.";

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

static enum admin_token_verdict verdict_of(const struct admin_token *t, struct slice text) {
	uint8_t digest[SHA256_BYTES];

	digest_sha256(text, digest);
	return digest_is_equal(digest, t->digest, sizeof(digest)) ? ADMIN_TOKEN_GOOD : ADMIN_TOKEN_WRONG;
}

enum admin_token_verdict admin_token_check(const struct admin_token *t, struct slice authorization) {
	struct slice rest = authorization, scheme;

	if (!t->is_set)
		return ADMIN_TOKEN_GOOD;
	if (!slice_next_part(&rest, ' ', &scheme) || !slice_eq_nocase(scheme, "Bearer"))
		return ADMIN_TOKEN_MISSING;
	return verdict_of(t, slice_trim(rest));
}

static enum admin_token_verdict verdict_of_encoded(const struct admin_token *t, struct slice encoded) {
	uint8_t text[BASE64URL_LEN(ADMIN_TOKEN_MAX)];
	size_t len;

	if (encoded.len > sizeof(text) || !base64url_decode(encoded, text, &len))
		return ADMIN_TOKEN_WRONG;
	return verdict_of(t, slice_of(text, len));
}

enum admin_token_verdict admin_token_check_websocket(const struct admin_token *t, const struct http_request *r) {
	enum admin_token_verdict verdict = ADMIN_TOKEN_MISSING;
	size_t authorizations;
	struct slice authorization = http_header_find(r, "Authorization", &authorizations);

	if (!t->is_set || authorizations > 0)
		return admin_token_check(t, authorization);
	for (size_t i = 0; i < r->header_count; i++) {
		struct slice rest = r->header[i].value, part;

		if (!slice_eq_nocase(r->header[i].name, "sec-websocket-protocol"))
			continue;
		while (slice_next_part(&rest, ',', &part)) {
			part = slice_trim(part);
			if (!slice_starts_with(part, protocol_prefix))
				continue;
			/* One guess a request. */
			if (verdict != ADMIN_TOKEN_MISSING)
				return ADMIN_TOKEN_WRONG;
			verdict = verdict_of_encoded(t, slice_skip(part, sizeof(protocol_prefix) - 1));
		}
	}
	return verdict;
}
