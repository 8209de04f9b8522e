/* credential - where a token can stand in a request */
#include "server/auth/credential.h"

#include "common/base/codec.h"

static const char token_prefix[] = "token.";

/* Those of JWT and of the token file; none of them needs escaping in a URL or a header. */
static bool is_token(struct slice s) {
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.ptr[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
		        c == '~'))
			return false;
	}
	return s.len > 0;
}

/* What was found so far. */
struct search {
	struct slice token;
	size_t count;
};

static void note(struct search *s, struct slice token) {
	s->token = token;
	s->count++;
}

static void search_query(struct search *s, const struct http_request *r, char room[HTTP_HEAD_MAX]) {
	struct slice rest = r->query, value, name;
	struct buf decoded = { .data = (uint8_t *)room, .cap = HTTP_HEAD_MAX, .max = HTTP_HEAD_MAX };

	while (slice_next_part(&rest, '&', &value)) {
		if (!slice_next_part(&value, '=', &name) || !slice_eq_text(name, "token"))
			continue;
		buf_reset(&decoded);
		note(s, percent_decode(value, false, &decoded) ? buf_slice(&decoded) : SLICE_EMPTY);
	}
}

/* False: there is one that is no bearer's. */
static bool search_authorization(struct search *s, const struct http_request *r) {
	for (size_t i = 0; i < r->header_count; i++) {
		struct slice rest = r->header[i].value, scheme;

		if (!slice_eq_nocase(r->header[i].name, "authorization"))
			continue;
		if (!slice_next_part(&rest, ' ', &scheme) || !slice_eq_nocase(scheme, "bearer"))
			return false;
		note(s, slice_trim(rest));
	}
	return true;
}

/* False: a browser would not take any answer to it. */
static bool search_protocols(struct search *s, const struct http_request *r) {
	size_t before = s->count;

	for (size_t i = 0; i < r->header_count; i++) {
		struct slice rest = r->header[i].value, part;

		if (!slice_eq_nocase(r->header[i].name, "sec-websocket-protocol"))
			continue;
		while (slice_next_part(&rest, ',', &part)) {
			part = slice_trim(part);
			if (slice_starts_with(part, token_prefix))
				note(s, slice_skip(part, sizeof(token_prefix) - 1));
		}
	}
	return s->count == before || http_header_has_token(r, "sec-websocket-protocol", CREDENTIAL_PROTOCOL);
}

enum auth_refusal credential_find(const struct http_request *r, char room[HTTP_HEAD_MAX], struct slice *token) {
	struct search s = { SLICE_EMPTY, 0 };

	*token = SLICE_EMPTY;
	search_query(&s, r, room);
	if (!search_authorization(&s, r))
		return AUTH_bad_scheme;
	if (!search_protocols(&s, r))
		return AUTH_no_protocol;
	if (s.count == 0)
		return AUTH_no_token;
	if (s.count > 1)
		return AUTH_many_tokens;
	if (!is_token(s.token))
		return AUTH_bad_characters;
	*token = s.token;
	return AUTH_OK;
}
