/* token_file - static tokens, by their digests */
#include "server/auth/token_file.h"

#include "common/base/codec.h"
#include "common/base/mem.h"
#include "server/auth/claims.h"

/* Finding is by this much of a digest; the rest is compared in constant time. What either takes tells something of the digest of
 * the guess, and nothing of a token. */
enum { FIND_BYTES = 16 };

struct entry {
	struct htab_node node;
	struct auth_grant *grant;	/* owned; its digest is the key */
};

static struct slice entry_key(const struct htab_node *node) {
	return slice_of(htab_entry(node, struct entry, node)->grant->digest, FIND_BYTES);
}

static struct auth_grant *find(const struct token_file *f, const uint8_t digest[SHA256_BYTES]) {
	struct htab_node *node = f->entries.count > 0 ? htab_find(&f->entries, slice_of(digest, FIND_BYTES)) : NULL;
	struct auth_grant *g = node != NULL ? htab_entry(node, struct entry, node)->grant : NULL;

	return g != NULL && digest_is_equal(g->digest, digest, SHA256_BYTES) ? g : NULL;
}

/* --- reading --- */

static bool is_token(struct slice s) {
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.ptr[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
		        c == '~'))
			return false;
	}
	return s.len >= TOKEN_FILE_TOKEN_MIN && s.len <= TOKEN_FILE_TOKEN_MAX;
}

static bool read_digest(const json_t *entry, uint8_t digest[SHA256_BYTES], struct errbuf *e) {
	const json_t *token = claims_find(entry, "token"), *hex = claims_find(entry, "sha256");

	if ((token == NULL) == (hex == NULL))
		return errbuf_set(e, "either token or sha256 is needed");
	if (token != NULL) {
		if (!json_is_string(token) || !is_token(claims_text(token)))
			return errbuf_set(e, "token is not %d to %d of the characters A-Z a-z 0-9 - . _ ~", TOKEN_FILE_TOKEN_MIN,
			    TOKEN_FILE_TOKEN_MAX);
		digest_sha256(claims_text(token), digest);
		return true;
	}
	if (!json_is_string(hex) || json_string_length(hex) != 2 * SHA256_BYTES || !hex_decode(claims_text(hex), digest))
		return errbuf_set(e, "sha256 is not %d hexadecimal digits", 2 * SHA256_BYTES);
	return true;
}

/* A misspelt member would give more than was meant. */
static bool check_members(json_t *entry, struct errbuf *e) {
	static const char *const known[] = { "token", "sha256", "user", "name", "rights", "rooms", "channels" };
	const char *name;
	json_t *value;

	json_object_foreach(entry, name, value) {
		size_t i = 0;

		while (i < ARRAY_LEN(known) && strcmp(known[i], name) != 0)
			i++;
		if (i == ARRAY_LEN(known))
			return errbuf_set(e, "it has a member that is not known; known are token, sha256, user, name, rights, rooms, channels");
	}
	return true;
}

static bool add_entry(struct token_file *f, json_t *object, uint8_t default_rights, struct errbuf *e) {
	uint8_t digest[SHA256_BYTES];
	enum auth_refusal refusal;
	struct auth_grant *g;
	struct entry *entry;

	if (!json_is_object(object))
		return errbuf_set(e, "it is no object");
	if (!check_members(object, e) || !read_digest(object, digest, e))
		return false;
	if (find(f, digest) != NULL)
		return errbuf_set(e, "its token is there twice");
	refusal = claims_grant(object, "user", default_rights, 0, &g);
	if (refusal != AUTH_OK)
		return errbuf_set(e, "%s", auth_refusal_sentence(refusal));
	g->is_static = true;
	memcpy(g->digest, digest, SHA256_BYTES);
	entry = mem_zalloc(sizeof(*entry));
	entry->grant = g;
	htab_add(&f->entries, &entry->node);
	return true;
}

static bool add_entries(struct token_file *f, json_t *list, uint8_t default_rights, struct errbuf *e) {
	json_t *object;
	size_t i;

	if (!json_is_array(list))
		return errbuf_set(e, "this is no JSON array");
	json_array_foreach(list, i, object) {
		struct errbuf why;

		if (!add_entry(f, object, default_rights, &why))
			return errbuf_set(e, "entry %zu: %.300s", i + 1, why.text);
	}
	return true;
}

bool token_file_init(struct token_file *f, struct slice json, uint8_t default_rights, struct errbuf *e) {
	json_error_t where;
	json_t *list = json_loadb((const char *)json.ptr, json.len, JSON_REJECT_DUPLICATES, &where);
	bool is_good;

	htab_init(&f->entries, entry_key);
	if (list == NULL)
		return errbuf_set(e, "line %d: this is no JSON, or a name is there twice", where.line);
	is_good = add_entries(f, list, default_rights, e);
	json_decref(list);
	if (!is_good)
		token_file_fini(f);
	return is_good;
}

void token_file_fini(struct token_file *f) {
	struct htab_node *node = f->entries.count > 0 ? htab_next(&f->entries, NULL) : NULL;

	while (node != NULL) {
		struct entry *entry = htab_entry(node, struct entry, node);

		node = htab_next(&f->entries, node);
		htab_remove(&f->entries, &entry->node);
		grant_drop(&entry->grant);
		mem_free(entry);
	}
	htab_fini(&f->entries);
}

/* --- asking --- */

enum auth_refusal token_file_check(const struct token_file *f, struct slice token, struct auth_grant **out) {
	uint8_t digest[SHA256_BYTES];

	digest_sha256(token, digest);
	*out = grant_hold(find(f, digest));
	return *out != NULL ? AUTH_OK : AUTH_unknown_token;
}

bool token_file_has(const struct token_file *f, const struct auth_grant *g) {
	const struct auth_grant *now = find(f, g->digest);

	return now != NULL && grant_is_same(now, g);
}
