/* test_auth - modes, bundles, reloads, counters */
#include <check.h>

#include "common/base/bundle.h"
#include "common/svc/stats.h"
#include "server/auth/auth.h"
#include "tests/unit/jwt_maker.h"

#define TOKEN "0123456789abcdef"
#define TOKENS "[{\"token\":\"" TOKEN "\",\"user\":\"u1\"}]"

enum { NOW = 1790000000 };

static struct config config;
static struct buf bundle;
static struct auth *auth;
static struct auth_grant *grant;
static struct errbuf e;

static void setup(void) {
	config_init(&config);
	buf_init(&bundle, BUNDLE_MAX);
}

static void teardown(void) {
	grant_drop(&grant);
	auth_free(&auth);
	bundle_fini(&bundle);
	config_fini(&config);
}

static void set(const char *name, const char *value) {
	ck_assert_msg(config_set(&config, slice_text(name), slice_text(value), &e), "%s", e.text);
}

static void add(enum auth_part part, const char *text) {
	bundle_add(&bundle, (uint8_t)part, slice_text(text));
}

static void make(const char *mode) {
	set("auth", mode);
	auth = auth_new(&config, buf_slice(&bundle), &e);
	ck_assert_msg(auth != NULL, "%s", e.text);
}

static const char *request(const char *target) {
	char text[512];
	struct http_parse_error error;
	struct http_request r;
	size_t head_len;

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target);
	ck_assert_int_eq(http_request_parse(slice_text(text), &r, &head_len, &error), HTTP_PARSE_DONE);
	grant_drop(&grant);
	return auth_refusal_name(auth_request(auth, &r, NOW, &grant));
}

static uint64_t refused(enum auth_refusal refusal) {
	return stat_get(stats_own, (enum stat_id)(STAT_auth_refused + refusal));
}

START_TEST(none) {
	make("none");
	ck_assert(!auth_is_on(auth));
	ck_assert_str_eq(request("/ws"), "");
	ck_assert_str_eq(request("/ws?token=abc&token=def"), "");
	ck_assert_ptr_null(grant);
}
END_TEST

START_TEST(tokens) {
	struct buf described;

	add(AUTH_PART_NAME, "tokens.json");
	add(AUTH_PART_TOKENS, TOKENS);
	make("token");
	ck_assert_str_eq(request("/ws"), "no_token");
	ck_assert_str_eq(request("/ws?token=0123456789abcdeg"), "unknown_token");
	ck_assert_str_eq(request("/ws?token=0123456789abcdeg"), "unknown_token");
	ck_assert(refused(AUTH_no_token) == 1 && refused(AUTH_unknown_token) == 2);
	ck_assert_str_eq(request("/ws?token=" TOKEN), "");
	ck_assert(slice_eq_text(grant_user(grant), "u1"));
	buf_init(&described, 1000);
	auth_describe(auth, &described);
	ck_assert(slice_eq_text(buf_slice(&described), "tokens: 1"));
	buf_fini(&described);
}
END_TEST

START_TEST(signed_tokens) {
	struct buf target;

	add(AUTH_PART_NAME, "secret");
	add(AUTH_PART_ALGORITHM, "HS384");
	add(AUTH_PART_KEY_ID, "k");
	add(AUTH_PART_KEY, MAKER_SECRET "\n");
	set("auth_rights", "chat,moderate");
	make("jwt");
	buf_init(&target, 1000);
	buf_add_text(&target, "/ws?token=");
	maker_sign(SIGNATURE_HS384, NULL, "{\"alg\":\"HS384\",\"kid\":\"k\"}", "{\"sub\":\"u1\",\"exp\":1790000001}", &target);
	buf_add_u8(&target, '\0');
	ck_assert_str_eq(request((char *)target.data), "");
	ck_assert_int_eq(grant->rights, RIGHT_chat | RIGHT_moderate);
	ck_assert(auth_is_in_force(auth, grant));
	ck_assert_str_eq(request("/ws?token=" TOKEN), "bad_form");
	buf_reset(&bundle);
	ck_assert(auth_replace(auth, buf_slice(&bundle), &e));
	ck_assert_str_eq(request((char *)target.data), "unknown_key");
	buf_fini(&target);
}
END_TEST

START_TEST(reload) {
	struct auth_grant *before;

	add(AUTH_PART_TOKENS, TOKENS);
	make("token");
	ck_assert_str_eq(request("/ws?token=" TOKEN), "");
	before = grant_hold(grant);
	ck_assert(auth_is_in_force(auth, before));
	/* A bad one changes nothing. */
	buf_reset(&bundle);
	add(AUTH_PART_NAME, "tokens.json");
	add(AUTH_PART_TOKENS, "[{}]");
	ck_assert(!auth_replace(auth, buf_slice(&bundle), &e));
	ck_assert_str_eq(e.text, "tokens.json: entry 1: either token or sha256 is needed");
	ck_assert_str_eq(request("/ws?token=" TOKEN), "");
	buf_reset(&bundle);
	add(AUTH_PART_TOKENS, "[]");
	ck_assert(auth_replace(auth, buf_slice(&bundle), &e));
	ck_assert_str_eq(request("/ws?token=" TOKEN), "unknown_token");
	ck_assert(!auth_is_in_force(auth, before));
	grant_drop(&before);
}
END_TEST

static const struct {
	enum auth_part part;
	const char *text, *why;
} bad[] = {
	{ AUTH_PART_ALGORITHM, "none", "file: there is no algorithm \"none\"" },
	{ AUTH_PART_KEY, "short", "file: HS256: the secret is shorter than its digest (32, 48 or 64 bytes)" },
	{ AUTH_PART_KEY_SET, "{}", "file: this is no JSON object with an array of keys" },
	{ AUTH_PART_TOKENS, "{}", "file: this is no JSON array" },
	{ (enum auth_part)99, "", "file: a part of kind 99 is not known" },
};

START_TEST(bad_bundles) {
	add(AUTH_PART_NAME, "file");
	add(bad[_i].part, bad[_i].text);
	ck_assert_ptr_null(auth_new(&config, buf_slice(&bundle), &e));
	ck_assert_str_eq(e.text, bad[_i].why);
}
END_TEST

START_TEST(bad_rights) {
	set("auth_rights", "chat,root");
	ck_assert_ptr_null(auth_new(&config, SLICE_EMPTY, &e));
	ck_assert_msg(strstr(e.text, "auth_rights: \"root\" is not allowed") != NULL, "%s", e.text);
}
END_TEST

START_TEST(words_of_refusals) {
	for (unsigned i = 1; i < AUTH_REFUSAL_COUNT; i++) {
		ck_assert(auth_refusal_status(i) == 401 || auth_refusal_status(i) == 400);
		ck_assert(auth_refusal_sentence(i)[0] != '\0' && strchr(auth_refusal_sentence(i), '"') == NULL);
		ck_assert(strncmp(auth_refusal_header(i), "WWW-Authenticate: Bearer realm=\"herold\"", 39) == 0);
	}
	ck_assert_str_eq(auth_refusal_header(AUTH_no_token), "WWW-Authenticate: Bearer realm=\"herold\"\r\n");
	ck_assert_str_eq(auth_refusal_header(AUTH_expired), "WWW-Authenticate: Bearer realm=\"herold\", error=\"invalid_token\"\r\n");
}
END_TEST

Suite *suite_auth(void);
Suite *suite_auth(void) {
	Suite *s = suite_create("auth");
	TCase *c = tcase_create("auth");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, none);
	tcase_add_test(c, tokens);
	tcase_add_test(c, signed_tokens);
	tcase_add_test(c, reload);
	tcase_add_loop_test(c, bad_bundles, 0, ARRAY_LEN(bad));
	tcase_add_test(c, bad_rights);
	tcase_add_test(c, words_of_refusals);
	suite_add_tcase(s, c);
	return s;
}
