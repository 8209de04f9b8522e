/* auth_keys - keys from PEM files and key sets, and which one a token means */
#include "server/auth/auth_keys.h"

#include "common/base/codec.h"
#include "common/base/mem.h"
#include "server/auth/claims.h"

/* A number of RSA with 8192 bits, and the sign that some put before it. */
enum { NUMBER_MAX = 1025, SECRET_MAX = 4096 };

/* A set that was read is used key by key; what is not for us is passed over. */
enum key_use { KEY_USED = 0, KEY_PASSED_OVER, KEY_REFUSED };

static bool is_id(const struct auth_key *k, struct slice id) {
	return k->id == NULL ? id.len == 0 : slice_eq_text(id, k->id);
}

/* Takes key, also when it is refused. */
static bool add(struct auth_keys *keys, struct slice id, struct signature_key *key, struct errbuf *e) {
	const char *name = signature_algorithm_name(signature_key_algorithm(key));
	bool is_known = false;

	for (size_t i = 0; i < keys->count; i++)
		is_known = is_known || (id.len > 0 && is_id(&keys->item[i], id));
	if (is_known || keys->count == AUTH_KEYS_MAX || id.len > AUTH_KEY_ID_MAX) {
		signature_key_free(&key);
		if (is_known)
			return errbuf_set(e, "%s: there is a key with this kid already", name);
		return errbuf_set(e, "%s: more than %d keys, or a kid of more than %d bytes", name, AUTH_KEYS_MAX, AUTH_KEY_ID_MAX);
	}
	keys->item = mem_realloc(keys->item, (keys->count + 1) * sizeof(*keys->item));
	keys->item[keys->count].key = key;
	keys->item[keys->count++].id = id.len > 0 ? slice_dup_text(id) : NULL;
	return true;
}

static struct slice without_newline(struct slice s) {
	if (s.len > 0 && s.ptr[s.len - 1] == '\n')
		s.len--;
	if (s.len > 0 && s.ptr[s.len - 1] == '\r')
		s.len--;
	return s;
}

bool auth_keys_add_file(struct auth_keys *keys, enum signature_algorithm a, struct slice id, struct slice bytes,
    struct errbuf *e) {
	struct signature_key *key;

	if (signature_family_of(a) != SIGNATURE_HMAC)
		key = signature_key_pem(a, bytes, e);
	/* Whoever takes the file of a public key for a secret has told the secret to everybody. */
	else if (memmem(bytes.ptr, bytes.len, "-----BEGIN ", 11) != NULL)
		return errbuf_set(e, "%s: this is a PEM file, and no secret", signature_algorithm_name(a));
	else
		key = signature_key_secret(a, without_newline(bytes), e);
	return key != NULL && add(keys, id, key, e);
}

/* --- sets --- */

static bool read_bytes(const json_t *key, const char *name, uint8_t *out, size_t max, struct slice *bytes) {
	const json_t *value = claims_find(key, name);
	size_t len;

	if (!json_is_string(value) || json_string_length(value) > BASE64URL_LEN(max) ||
	    !base64url_decode(claims_text(value), out, &len))
		return false;
	*bytes = slice_of(out, len);
	return len > 0;
}

/* Some write the numbers with a zero byte before them. */
static struct slice without_sign(struct slice number) {
	return number.len > 1 && number.ptr[0] == 0 ? slice_skip(number, 1) : number;
}

static struct signature_key *key_rsa(const json_t *key, enum signature_algorithm a, struct errbuf *e) {
	uint8_t n[NUMBER_MAX + 3], exponent[16];
	struct slice number, power;

	if (!read_bytes(key, "n", n, NUMBER_MAX, &number) || !read_bytes(key, "e", exponent, 9, &power)) {
		errbuf_set(e, "n and e are not numbers in base64url, or too large");
		return NULL;
	}
	return signature_key_rsa(a, without_sign(number), without_sign(power), e);
}

static struct signature_key *key_ec(const json_t *key, enum signature_algorithm a, struct errbuf *e) {
	uint8_t x[64], y[64];
	struct slice first, second;

	if (!read_bytes(key, "x", x, 48, &first) || !read_bytes(key, "y", y, 48, &second)) {
		errbuf_set(e, "x and y are not coordinates in base64url");
		return NULL;
	}
	return signature_key_ec(a, first, second, e);
}

static struct signature_key *key_ed25519(const json_t *key, struct errbuf *e) {
	uint8_t x[64];
	struct slice point;

	if (!read_bytes(key, "x", x, 48, &point)) {
		errbuf_set(e, "x is not a key in base64url");
		return NULL;
	}
	return signature_key_ed25519(point, e);
}

static struct signature_key *key_secret(const json_t *key, enum signature_algorithm a, struct errbuf *e) {
	uint8_t k[SECRET_MAX + 3];
	struct signature_key *made = NULL;
	struct slice secret;

	if (!read_bytes(key, "k", k, SECRET_MAX, &secret))
		errbuf_set(e, "k is not a secret in base64url, or too long");
	else
		made = signature_key_secret(a, secret, e);
	explicit_bzero(k, sizeof(k));
	return made;
}

static const struct {
	const char *type, *curve;	/* kty, crv */
	enum signature_family family;
	const char *algorithm;		/* where the key names none; NULL: it must */
} kinds[] = {
	{ "RSA", NULL, SIGNATURE_RSA, "RS256" },
	{ "RSA", NULL, SIGNATURE_PSS, NULL },
	{ "EC", "P-256", SIGNATURE_EC, "ES256" },
	{ "EC", "P-384", SIGNATURE_EC, "ES384" },
	{ "OKP", "Ed25519", SIGNATURE_ED, "EdDSA" },
	{ "oct", NULL, SIGNATURE_HMAC, NULL },
};

static bool is_text(const json_t *value, const char *text) {
	return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

/* The algorithm of a key, by what it says and what it is; false: none of ours. */
static bool algorithm_of(const json_t *key, enum signature_algorithm *out) {
	const json_t *type = claims_find(key, "kty"), *curve = claims_find(key, "crv"), *alg = claims_find(key, "alg");

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct slice name = json_is_string(alg) ? claims_text(alg) : slice_text(kinds[i].algorithm != NULL ? kinds[i].algorithm : "");

		if (is_text(type, kinds[i].type) && (kinds[i].curve == NULL || is_text(curve, kinds[i].curve)) &&
		    signature_find_algorithm(name, out) && signature_family_of(*out) == kinds[i].family)
			return true;
	}
	return false;
}

/* RFC 7517, 4.2 and 4.3 */
static bool is_for_signatures(const json_t *key) {
	const json_t *use = claims_find(key, "use"), *operations = claims_find(key, "key_ops"), *item;
	bool can_verify = operations == NULL;
	size_t i;

	json_array_foreach(operations, i, item)
		can_verify = can_verify || is_text(item, "verify");
	return can_verify && (use == NULL || is_text(use, "sig"));
}

static enum key_use use_key(struct auth_keys *keys, const json_t *key, struct errbuf *e) {
	const json_t *id = claims_find(key, "kid");
	struct signature_key *made = NULL;
	enum signature_algorithm a;

	if (!json_is_object(key) || (id != NULL && !json_is_string(id))) {
		errbuf_set(e, "a key is no object, or its kid no text");
		return KEY_REFUSED;
	}
	if (!is_for_signatures(key) || !algorithm_of(key, &a))
		return KEY_PASSED_OVER;
	switch (signature_family_of(a)) {
	case SIGNATURE_RSA:
	case SIGNATURE_PSS:
		made = key_rsa(key, a, e);
		break;
	case SIGNATURE_EC:
		made = key_ec(key, a, e);
		break;
	case SIGNATURE_ED:
		made = key_ed25519(key, e);
		break;
	case SIGNATURE_HMAC:
		made = key_secret(key, a, e);
		break;
	}
	return made != NULL && add(keys, id != NULL ? claims_text(id) : SLICE_EMPTY, made, e) ? KEY_USED : KEY_REFUSED;
}

static bool add_keys(struct auth_keys *keys, const json_t *set, struct errbuf *e) {
	const json_t *list = json_object_get(set, "keys"), *key;
	size_t used = 0, i;

	if (!json_is_array(list))
		return errbuf_set(e, "this is no JSON object with an array of keys");
	json_array_foreach(list, i, key) {
		struct errbuf why;

		switch (use_key(keys, key, &why)) {
		case KEY_USED:
			used++;
			break;
		case KEY_PASSED_OVER:
			break;
		case KEY_REFUSED:
			return errbuf_set(e, "key %zu: %.300s", i + 1, why.text);
		}
	}
	return used > 0 || errbuf_set(e, "no key is for signatures of a kind that is known here");
}

bool auth_keys_add_set(struct auth_keys *keys, struct slice json, struct errbuf *e) {
	json_error_t where;
	json_t *set = json_loadb((const char *)json.ptr, json.len, JSON_REJECT_DUPLICATES, &where);
	bool is_good;

	if (set == NULL)
		return errbuf_set(e, "line %d: this is no JSON", where.line);
	is_good = add_keys(keys, set, e);
	json_decref(set);
	return is_good;
}

void auth_keys_fini(struct auth_keys *keys) {
	for (size_t i = 0; i < keys->count; i++) {
		signature_key_free(&keys->item[i].key);
		mem_free(keys->item[i].id);
	}
	mem_free(keys->item);
	*keys = (struct auth_keys){ NULL, 0 };
}

/* --- which --- */

enum auth_refusal auth_keys_find(const struct auth_keys *keys, struct slice id, enum signature_algorithm a,
    const struct signature_key **out) {
	size_t count = 0;

	for (size_t i = 0; i < keys->count; i++) {
		const struct auth_key *k = &keys->item[i];

		if (id.len > 0 && is_id(k, id)) {
			*out = k->key;
			return signature_key_algorithm(k->key) == a ? AUTH_OK : AUTH_other_algorithm;
		}
		/* Whoever names a key does not mean one of another name. */
		if (signature_key_algorithm(k->key) == a && (id.len == 0 || k->id == NULL)) {
			*out = k->key;
			count++;
		}
	}
	if (count > 1)
		return AUTH_needs_kid;
	return count == 1 ? AUTH_OK : AUTH_unknown_key;
}

void auth_keys_describe(const struct auth_keys *keys, struct buf *out) {
	for (size_t i = 0; i < keys->count; i++) {
		buf_addf(out, "%s%s", i > 0 ? ", " : "", signature_algorithm_name(signature_key_algorithm(keys->item[i].key)));
		if (keys->item[i].id != NULL)
			buf_addf(out, " (%s)", keys->item[i].id);
	}
}
