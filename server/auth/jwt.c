/* jwt - is this token good, and whom does it speak of */
#include "server/auth/jwt.h"

#include "common/base/codec.h"
#include "server/auth/claims.h"

/* Seconds that a double holds exactly. */
#define TIME_MAX 9007199254740991.0

/* A signature of RSA with 8192 bits. */
enum { SIGNATURE_MAX = 1024 };

struct jws {
	struct slice header, payload, signature;	/* as they came, in base64url */
	struct slice input;				/* what is signed: header.payload */
};

/* Exactly three parts, none of them empty. */
static bool split(struct slice token, struct jws *out) {
	struct slice rest = token;

	if (!slice_next_part(&rest, '.', &out->header) || !slice_next_part(&rest, '.', &out->payload) || rest.ptr == NULL ||
	    memchr(rest.ptr, '.', rest.len) != NULL)
		return false;
	out->signature = rest;
	out->input = slice_of(token.ptr, out->header.len + 1 + out->payload.len);
	return out->header.len > 0 && out->payload.len > 0 && out->signature.len > 0;
}

/* Returns owned: the object, or NULL. *is_text: it was base64url. */
static json_t *load(struct slice part, bool *is_text) {
	uint8_t bytes[JWT_MAX];
	size_t len;
	json_t *root;

	*is_text = base64url_decode(part, bytes, &len);
	if (!*is_text)
		return NULL;
	/* Numbers as doubles: an integer that is too large for 64 bits is valid JSON. */
	root = json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
	if (!json_is_object(root)) {
		json_decref(root);
		return NULL;
	}
	return root;
}

/* --- the header --- */

/* RFC 7519, 5.1; RFC 9068, 2.1. Media types have no case. */
static bool is_jwt_type(const json_t *type) {
	return type == NULL || (json_is_string(type) && (slice_eq_nocase(claims_text(type), "jwt") ||
	    slice_eq_nocase(claims_text(type), "at+jwt") || slice_eq_nocase(claims_text(type), "application/at+jwt")));
}

static enum auth_refusal find_key(const json_t *header, const struct auth_keys *keys, const struct signature_key **key) {
	const json_t *alg = json_object_get(header, "alg"), *kid = json_object_get(header, "kid");
	enum signature_algorithm algorithm;

	if (!json_is_string(alg))
		return AUTH_bad_header;
	if (!is_jwt_type(json_object_get(header, "typ")))
		return AUTH_bad_type;
	if (json_object_get(header, "crit") != NULL)
		return AUTH_bad_crit;
	if (kid != NULL && (!json_is_string(kid) || json_string_length(kid) == 0 || json_string_length(kid) > AUTH_KEY_ID_MAX))
		return AUTH_bad_kid;
	if (!signature_find_algorithm(claims_text(alg), &algorithm))
		return AUTH_bad_algorithm;
	return auth_keys_find(keys, kid != NULL ? claims_text(kid) : SLICE_EMPTY, algorithm, key);
}

static enum auth_refusal check_header(struct slice part, const struct auth_keys *keys, const struct signature_key **key) {
	enum auth_refusal refusal;
	bool is_text;
	json_t *header = load(part, &is_text);

	if (header == NULL)
		return is_text ? AUTH_bad_header : AUTH_bad_form;
	refusal = find_key(header, keys, key);
	json_decref(header);
	return refusal;
}

static enum auth_refusal check_signature(const struct jws *j, const struct signature_key *key) {
	uint8_t signature[SIGNATURE_MAX + 3];
	size_t len;

	if (j->signature.len > BASE64URL_LEN(SIGNATURE_MAX))
		return AUTH_bad_signature;
	if (!base64url_decode(j->signature, signature, &len))
		return AUTH_bad_form;
	return signature_is_good(key, j->input, slice_of(signature, len)) ? AUTH_OK : AUTH_bad_signature;
}

/* --- the claims --- */

/* False: there is one, and it is no time. */
static bool read_time(const json_t *claims, const char *name, bool *has, double *out) {
	const json_t *value = claims_find(claims, name);

	*has = value != NULL;
	*out = json_real_value(value);
	return value == NULL || (json_is_real(value) && *out >= 0 && *out <= TIME_MAX);
}

static enum auth_refusal check_times(const json_t *claims, const struct jwt_rules *rules, uint64_t now_s, uint64_t *expires_s) {
	double exp, nbf, iat, now = (double)now_s, leeway = (double)rules->leeway_s;
	bool has_exp, has_nbf, has_iat;

	if (!read_time(claims, "exp", &has_exp, &exp) || !read_time(claims, "nbf", &has_nbf, &nbf) ||
	    !read_time(claims, "iat", &has_iat, &iat))
		return AUTH_bad_time;
	if (!has_exp)
		return AUTH_no_expiry;
	if (exp + leeway <= now)
		return AUTH_expired;
	if (has_nbf && nbf > now + leeway)
		return AUTH_not_yet;
	if (has_iat && iat > now + leeway)
		return AUTH_from_future;
	*expires_s = (uint64_t)(exp + leeway);
	return AUTH_OK;
}

static bool is_listed(const struct text_list *list, const json_t *text) {
	for (size_t i = 0; json_is_string(text) && i < list->count; i++) {
		if (slice_eq_text(claims_text(text), list->item[i]))
			return true;
	}
	return false;
}

/* One text, or an array of them. */
static bool is_audience(const struct text_list *list, const json_t *value) {
	const json_t *item;
	size_t i;

	if (list->count == 0)
		return value == NULL;
	json_array_foreach(value, i, item) {
		if (is_listed(list, item))
			return true;
	}
	return is_listed(list, value);
}

static enum auth_refusal check_claims(const json_t *claims, const struct jwt_rules *rules, uint64_t now_s,
    struct auth_grant **out) {
	uint64_t expires_s;
	enum auth_refusal refusal = check_times(claims, rules, now_s, &expires_s);

	if (refusal != AUTH_OK)
		return refusal;
	if (rules->issuers->count > 0 && !is_listed(rules->issuers, claims_find(claims, "iss")))
		return AUTH_bad_issuer;
	if (!is_audience(rules->audiences, claims_find(claims, "aud")))
		return AUTH_bad_audience;
	return claims_grant(claims, "sub", rules->default_rights, expires_s, out);
}

enum auth_refusal jwt_check(struct slice token, const struct auth_keys *keys, const struct jwt_rules *rules, uint64_t now_s,
    struct auth_grant **out) {
	const struct signature_key *key = NULL;
	enum auth_refusal refusal;
	json_t *claims;
	struct jws j;
	bool is_text;

	*out = NULL;
	if (token.len > JWT_MAX)
		return AUTH_too_long;
	if (!split(token, &j))
		return AUTH_bad_form;
	refusal = check_header(j.header, keys, &key);
	if (refusal == AUTH_OK)
		refusal = check_signature(&j, key);
	if (refusal != AUTH_OK)
		return refusal;
	claims = load(j.payload, &is_text);
	if (claims == NULL)
		return is_text ? AUTH_bad_claims : AUTH_bad_form;
	refusal = check_claims(claims, rules, now_s, out);
	json_decref(claims);
	return refusal;
}
