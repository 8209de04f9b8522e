/* auth - tokens and keys of a process, and decisions by them */
#include "server/auth/auth.h"

#include <jansson.h>

#include "common/base/bundle.h"
#include "common/base/mem.h"
#include "common/svc/stats.h"
#include "server/auth/credential.h"
#include "server/auth/jwt.h"
#include "server/auth/token_file.h"

/* What a reload replaces. */
struct known {
	struct token_file tokens;
	struct auth_keys keys;
};

struct auth {
	const struct config *config;
	struct jwt_rules rules;
	struct known known;
};

/* --- from a bundle --- */

/* The parts before a key. */
struct reading {
	struct slice name, id;
	enum signature_algorithm algorithm;
};

static void known_fini(struct known *k) {
	token_file_fini(&k->tokens);
	auth_keys_fini(&k->keys);
}

static bool use_part(struct known *k, struct reading *r, uint8_t default_rights, uint8_t part, struct slice bytes,
    struct errbuf *e) {
	switch (part) {
	case AUTH_PART_NAME:
		*r = (struct reading){ .name = bytes };
		return true;
	case AUTH_PART_ALGORITHM:
		return signature_find_algorithm(bytes, &r->algorithm) || errbuf_set(e, "there is no algorithm \"%.*s\"",
		    (int)(bytes.len < 32 ? bytes.len : 32), (const char *)bytes.ptr);
	case AUTH_PART_KEY_ID:
		r->id = bytes;
		return true;
	case AUTH_PART_KEY:
		return auth_keys_add_file(&k->keys, r->algorithm, r->id, bytes, e);
	case AUTH_PART_KEY_SET:
		return auth_keys_add_set(&k->keys, bytes, e);
	case AUTH_PART_TOKENS:
		token_file_fini(&k->tokens);
		return token_file_init(&k->tokens, bytes, default_rights, e);
	}
	return errbuf_set(e, "a part of kind %d is not known", (int)part);
}

static bool known_init(struct known *k, struct slice bundle, uint8_t default_rights, struct errbuf *e) {
	struct reading r = { .name = SLICE_EMPTY };
	struct slice bytes;
	struct errbuf why;
	uint8_t part;

	*k = (struct known){ .keys = { NULL, 0 } };
	while (bundle_next(&bundle, &part, &bytes)) {
		if (!use_part(k, &r, default_rights, part, bytes, &why)) {
			known_fini(k);
			return errbuf_set(e, "%.*s: %.300s", (int)(r.name.len < 200 ? r.name.len : 200), (const char *)r.name.ptr, why.text);
		}
	}
	return true;
}

static bool read_rights(const struct text_list *names, uint8_t *out, struct errbuf *e) {
	*out = 0;
	for (size_t i = 0; i < names->count; i++) {
		uint8_t right = right_find(slice_text(names->item[i]));

		if (right == 0)
			return errbuf_set(e, "auth_rights: \"%.100s\" is not allowed, but chat, publish, system, moderate", names->item[i]);
		*out |= right;
	}
	return true;
}

/* --- life --- */

struct auth *auth_new(const struct config *config, struct slice bundle, struct errbuf *e) {
	struct auth *a = mem_zalloc(sizeof(*a));

	/* Counted with ours. */
	json_set_alloc_funcs(mem_try_alloc, mem_free);
	a->config = config;
	a->rules = (struct jwt_rules){ .issuers = &config->jwt_issuer,
		.audiences = &config->jwt_audience,
		.leeway_s = (uint64_t)config->jwt_leeway_seconds };
	if (!read_rights(&config->auth_rights, &a->rules.default_rights, e) ||
	    !known_init(&a->known, bundle, a->rules.default_rights, e))
		auth_free(&a);
	return a;
}

void auth_free(struct auth **a) {
	if (*a == NULL)
		return;
	known_fini(&(*a)->known);
	mem_free(*a);
	*a = NULL;
}

bool auth_replace(struct auth *a, struct slice bundle, struct errbuf *e) {
	struct known fresh;

	if (!known_init(&fresh, bundle, a->rules.default_rights, e))
		return false;
	known_fini(&a->known);
	a->known = fresh;
	return true;
}

void auth_describe(const struct auth *a, struct buf *out) {
	if (a->config->auth == AUTH_MODE_TOKEN)
		buf_addf(out, "tokens: %zu", token_file_count(&a->known.tokens));
	else
		auth_keys_describe(&a->known.keys, out);
}

/* --- decisions --- */

bool auth_is_on(const struct auth *a) {
	return a->config->auth != AUTH_MODE_NONE;
}

static enum auth_refusal check(const struct auth *a, struct slice token, uint64_t now_s, struct auth_grant **out) {
	if (token.len > JWT_MAX)
		return AUTH_too_long;
	if (a->config->auth == AUTH_MODE_TOKEN)
		return token_file_check(&a->known.tokens, token, out);
	return jwt_check(token, &a->known.keys, &a->rules, now_s, out);
}

enum auth_refusal auth_token(const struct auth *a, struct slice token, uint64_t now_s, struct auth_grant **out) {
	enum auth_refusal refusal;

	BUG_ON(!auth_is_on(a));
	*out = NULL;
	refusal = check(a, token, now_s, out);
	if (refusal != AUTH_OK)
		stat_add_in(STAT_auth_refused, refusal);
	return refusal;
}

enum auth_refusal auth_request(const struct auth *a, const struct http_request *r, uint64_t now_s, struct auth_grant **out) {
	char room[HTTP_HEAD_MAX];
	enum auth_refusal refusal;
	struct slice token;

	*out = NULL;
	if (!auth_is_on(a))
		return AUTH_OK;
	refusal = credential_find(r, room, &token);
	if (refusal == AUTH_OK)
		return auth_token(a, token, now_s, out);
	stat_add_in(STAT_auth_refused, refusal);
	return refusal;
}

bool auth_is_in_force(const struct auth *a, const struct auth_grant *g) {
	return !g->is_static || token_file_has(&a->known.tokens, g);
}
