/*
 * fuzz_token - what clients give as tokens, and what operators give as keys and token files
 *
 * Input: a letter, then
 *   R  the head of a request, which may have a token anywhere
 *   T  a token as it is
 *   S  header and claims of a JWT, a line each, which is signed here
 *   K  a JWKS
 *   F  a token file
 *   P  a digit for the algorithm and a file with a key
 */
#include "tests/fuzz/fuzz.h"

#include "common/base/utf8.h"
#include "server/auth/credential.h"
#include "server/auth/jwt.h"
#include "server/auth/token_file.h"
#include "tests/unit/jwt_maker.h"

enum { NOW = 1790000000 };

static const char file[] = "[{\"token\":\"0123456789abcdef\",\"user\":\"u1\",\"rooms\":[\"a*b\",\"c\"]}]";

static struct world {
	bool is_set_up;
	struct config config;
	struct jwt_rules rules;
	struct auth_keys keys;
	struct token_file tokens;
} w;

static void set_up(void) {
	struct errbuf e;

	if (w.is_set_up)
		return;
	w.is_set_up = true;
	config_init(&w.config);
	BUG_ON(!config_set(&w.config, slice_text("jwt_issuer"), slice_text("me,you"), &e));
	BUG_ON(!config_set(&w.config, slice_text("jwt_audience"), slice_text("here"), &e));
	w.rules = (struct jwt_rules){ &w.config.jwt_issuer, &w.config.jwt_audience, 30, RIGHT_chat };
	BUG_ON(!auth_keys_add_file(&w.keys, SIGNATURE_HS256, slice_text("k"), slice_text(MAKER_SECRET), &e));
	BUG_ON(!auth_keys_add_file(&w.keys, SIGNATURE_HS384, SLICE_EMPTY, slice_text(MAKER_SECRET), &e));
	BUG_ON(!auth_keys_add_file(&w.keys, SIGNATURE_HS384, SLICE_EMPTY, slice_text(MAKER_SECRET "2"), &e));
	BUG_ON(!token_file_init(&w.tokens, slice_text(file), RIGHT_publish, &e));
}

/* Nobody is let in who could not be shown to others, or for ever. */
static void check_grant(struct auth_grant *g, enum auth_refusal refusal, bool is_jwt) {
	BUG_ON((g != NULL) != (refusal == AUTH_OK) || refusal >= AUTH_REFUSAL_COUNT);
	if (g == NULL)
		return;
	BUG_ON(grant_user(g).len == 0 || grant_user(g).len > GRANT_USER_MAX || !utf8_is_valid(grant_user(g)));
	BUG_ON(grant_name(g).len == 0 || grant_name(g).len > 4 * GRANT_NAME_MAX || !utf8_is_valid(grant_name(g)));
	BUG_ON(is_jwt && g->expires_s <= NOW - 1);
	BUG_ON(!grant_is_same(g, g));
	(void)grant_has_room(g, slice_text("a1b"));
	(void)grant_has_channel(g, grant_name(g));
	grant_drop(&g);
}

static void use_token(struct slice token) {
	struct auth_grant *g;
	enum auth_refusal refusal = jwt_check(token, &w.keys, &w.rules, NOW, &g);

	check_grant(g, refusal, true);
	refusal = token_file_check(&w.tokens, token, &g);
	BUG_ON(refusal == AUTH_OK && !slice_eq_text(token, "0123456789abcdef"));
	check_grant(g, refusal, false);
}

static void use_request(struct slice head) {
	char room[HTTP_HEAD_MAX];
	struct http_parse_error error;
	struct http_request r;
	struct slice token;
	enum auth_refusal refusal;
	size_t len;

	if (http_request_parse(head, &r, &len, &error) != HTTP_PARSE_DONE)
		return;
	refusal = credential_find(&r, room, &token);
	BUG_ON((refusal == AUTH_OK) != (token.len > 0));
	BUG_ON(!fuzz_is_inside(token, head) && !fuzz_is_inside(token, slice_of(room, sizeof(room))));
	if (refusal == AUTH_OK)
		use_token(token);
}

static void sign(struct slice input) {
	struct slice line = SLICE_EMPTY;
	struct buf token;
	char *header, *claims;

	(void)slice_next_part(&input, '\n', &line);
	header = slice_dup_text(line);
	claims = slice_dup_text(input);
	buf_init(&token, SIZE_MAX);
	maker_sign(SIGNATURE_HS256, NULL, header, claims, &token);
	use_token(buf_slice(&token));
	buf_fini(&token);
	mem_free(header);
	mem_free(claims);
}

static void check_keys(struct auth_keys *keys, bool is_good, const struct errbuf *e) {
	const struct signature_key *key;
	struct buf out;

	BUG_ON(!is_good && e->text[0] == '\0');
	BUG_ON(is_good && keys->count == 0);
	buf_init(&out, SIZE_MAX);
	auth_keys_describe(keys, &out);
	buf_fini(&out);
	for (size_t i = 0; i < keys->count; i++) {
		enum signature_algorithm a = signature_key_algorithm(keys->item[i].key);
		struct slice id = keys->item[i].id != NULL ? slice_text(keys->item[i].id) : SLICE_EMPTY;
		enum auth_refusal refusal = auth_keys_find(keys, id, a, &key);

		BUG_ON(refusal != AUTH_OK && !(id.len == 0 && refusal == AUTH_needs_kid));
		BUG_ON(signature_is_good(keys->item[i].key, slice_text("a.b"), slice_of(file, sizeof(file) - 1)));
	}
	auth_keys_fini(keys);
}

static void use_key_set(struct slice json) {
	struct auth_keys keys = { NULL, 0 };
	struct errbuf e = { "" };

	check_keys(&keys, auth_keys_add_set(&keys, json, &e), &e);
}

static void use_key_file(struct slice input) {
	enum signature_algorithm a = (enum signature_algorithm)(fuzz_u8(&input) % SIGNATURE_ALGORITHM_COUNT);
	struct auth_keys keys = { NULL, 0 };
	struct errbuf e = { "" };

	check_keys(&keys, auth_keys_add_file(&keys, a, slice_text("id"), input, &e), &e);
}

static void use_token_file(struct slice json) {
	struct token_file tokens = { .entries = { 0 } };
	struct auth_grant *g;
	struct errbuf e = { "" };
	bool is_good = token_file_init(&tokens, json, RIGHT_chat, &e);
	enum auth_refusal refusal = token_file_check(&tokens, slice_text("0123456789abcdef"), &g);

	BUG_ON(!is_good && (e.text[0] == '\0' || token_file_count(&tokens) > 0));
	if (g != NULL)
		BUG_ON(!token_file_has(&tokens, g));
	check_grant(g, refusal, false);
	token_file_fini(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct slice input = slice_of(data, size);

	set_up();
	switch (fuzz_u8(&input)) {
	case 'R':
		use_request(input);
		break;
	case 'T':
		use_token(input);
		break;
	case 'S':
		sign(input);
		break;
	case 'K':
		use_key_set(input);
		break;
	case 'F':
		use_token_file(input);
		break;
	case 'P':
		use_key_file(input);
		break;
	}
	return 0;
}
