/* credentials - reading and trying tokens and keys */
#include "server/master/credentials.h"

#include "server/auth/auth.h"
#include "server/master/secret_file.h"

enum { SUMMARY_BYTES_MAX = 4096 };

static bool add_named(struct buf *bundle, enum auth_part part, const char *file, struct errbuf *e) {
	bundle_add(bundle, AUTH_PART_NAME, slice_text(file));
	return secret_file_add(bundle, (uint8_t)part, file, e);
}

static bool add_keys(struct buf *bundle, const struct config *config, struct errbuf *e) {
	for (size_t i = 0; i < config->jwt_key.count; i++) {
		bundle_add(bundle, AUTH_PART_NAME, slice_text(config->jwt_key.item[i]));
		bundle_add(bundle, AUTH_PART_ALGORITHM, slice_text(config->jwt_algorithm.item[i]));
		if (i < config->jwt_key_id.count)
			bundle_add(bundle, AUTH_PART_KEY_ID, slice_text(config->jwt_key_id.item[i]));
		if (!secret_file_add(bundle, AUTH_PART_KEY, config->jwt_key.item[i], e))
			return false;
	}
	return config->jwt_key_set[0] == '\0' || add_named(bundle, AUTH_PART_KEY_SET, config->jwt_key_set, e);
}

static bool collect(struct buf *bundle, const struct config *config, struct errbuf *e) {
	if (config->auth == AUTH_MODE_TOKEN && !add_named(bundle, AUTH_PART_TOKENS, config->token_file, e))
		return false;
	if (config->auth == AUTH_MODE_JWT && !add_keys(bundle, config, e))
		return false;
	return !bundle->failed || errbuf_set(e, "the tokens or keys have more than %d bytes together", BUNDLE_MAX);
}

/* As a worker will use it. */
static bool try_bundle(const struct buf *bundle, const struct config *config, struct buf *summary, struct errbuf *e) {
	struct auth *auth = auth_new(config, buf_slice(bundle), e);

	if (auth == NULL)
		return false;
	auth_describe(auth, summary);
	auth_free(&auth);
	return true;
}

bool credentials_open(struct credentials *c, const struct config *config, struct errbuf *e) {
	buf_init(&c->bundle, BUNDLE_MAX);
	buf_init(&c->summary, SUMMARY_BYTES_MAX);
	if (collect(&c->bundle, config, e) && try_bundle(&c->bundle, config, &c->summary, e))
		return true;
	credentials_close(c);
	return false;
}

void credentials_close(struct credentials *c) {
	bundle_fini(&c->bundle);
	buf_fini(&c->summary);
}

bool credentials_check(const struct config *config, struct errbuf *e) {
	struct credentials c = { .bundle = { 0 } };
	bool is_good = credentials_open(&c, config, e);

	credentials_close(&c);
	return is_good;
}
