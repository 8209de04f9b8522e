/* test_token_file - tokens of a file */
#include <check.h>

#include "server/auth/token_file.h"

#define TOKEN "0123456789abcdef"
#define SHA256 "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f"

static struct token_file file;
static struct auth_grant *grant;
static struct errbuf e;

static void teardown(void) {
	grant_drop(&grant);
	token_file_fini(&file);
}

static void load(const char *json) {
	token_file_fini(&file);
	ck_assert_msg(token_file_init(&file, slice_text(json), RIGHT_chat | RIGHT_publish, &e), "%s", e.text);
}

static bool has(const char *token) {
	grant_drop(&grant);
	return token_file_check(&file, slice_text(token), &grant) == AUTH_OK;
}

START_TEST(tokens) {
	load("[{\"token\":\"" TOKEN "\",\"user\":\"u1\",\"name\":\"Ada\",\"rights\":[\"chat\"],\"rooms\":[\"tea\"]},"
	     "{\"token\":\"a-much.longer_token~of-u2\",\"user\":\"u2\",\"channels\":[]}]");
	ck_assert_int_eq(token_file_count(&file), 2);
	ck_assert(has(TOKEN));
	ck_assert(slice_eq_text(grant_user(grant), "u1") && slice_eq_text(grant_name(grant), "Ada"));
	ck_assert(grant->rights == RIGHT_chat && grant->is_static && grant->expires_s == 0);
	ck_assert(grant_has_room(grant, slice_text("tea")) && !grant_has_room(grant, slice_text("lobby")));
	ck_assert(has("a-much.longer_token~of-u2"));
	ck_assert(slice_eq_text(grant_name(grant), "u2") && grant->rights == (RIGHT_chat | RIGHT_publish));
	ck_assert(!grant_has_channel(grant, slice_text("scores")));
	ck_assert(!has("0123456789abcdeF") && !has("0123456789abcde") && !has(TOKEN "0") && !has(""));
	ck_assert_ptr_null(grant);
}
END_TEST

START_TEST(digests) {
	load("[{\"sha256\":\"" SHA256 "\",\"user\":\"u1\"}]");
	ck_assert(has(TOKEN));
	/* The digest itself opens nothing. */
	ck_assert(!has(SHA256));
}
END_TEST

START_TEST(an_empty_list) {
	load("[]");
	ck_assert(!has(TOKEN));
}
END_TEST

/* What a reload asks about the grants that are out. */
START_TEST(what_is_still_there) {
	struct auth_grant *first, *second;

	load("[{\"token\":\"" TOKEN "\",\"user\":\"u1\"},{\"token\":\"" TOKEN "2\",\"user\":\"u2\"}]");
	ck_assert(has(TOKEN));
	first = grant_hold(grant);
	ck_assert(has(TOKEN "2"));
	second = grant_hold(grant);
	ck_assert(token_file_has(&file, first) && token_file_has(&file, second));
	load("[{\"token\":\"" TOKEN "\",\"user\":\"u1\",\"name\":\"u1\"}]");
	ck_assert(token_file_has(&file, first) && !token_file_has(&file, second));
	load("[{\"token\":\"" TOKEN "\",\"user\":\"u1\",\"rights\":[\"chat\"]},{\"token\":\"" TOKEN "2\",\"user\":\"u3\"}]");
	ck_assert(!token_file_has(&file, first) && !token_file_has(&file, second));
	grant_drop(&first);
	grant_drop(&second);
}
END_TEST

static const struct {
	const char *json, *why;
} bad[] = {
	{ "", "line 1: this is no JSON" },
	{ "[\n{]", "line 2: this is no JSON" },
	{ "{}", "no JSON array" },
	{ "[7]", "entry 1: it is no object" },
	{ "[{\"user\":\"u1\"}]", "entry 1: either token or sha256" },
	{ "[{\"token\":\"" TOKEN "\",\"sha256\":\"" SHA256 "\",\"user\":\"u1\"}]", "either token or sha256" },
	{ "[{\"token\":\"tooshort\",\"user\":\"u1\"}]", "token is not 16 to 512" },
	{ "[{\"token\":\"with blanks, 16 bytes\",\"user\":\"u1\"}]", "token is not 16 to 512" },
	{ "[{\"token\":17,\"user\":\"u1\"}]", "token is not 16 to 512" },
	{ "[{\"sha256\":\"9f\",\"user\":\"u1\"}]", "sha256 is not 64" },
	{ "[{\"sha256\":\"xf9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f\",\"user\":\"u1\"}]", "sha256 is not 64" },
	{ "[{\"token\":\"" TOKEN "\"}]", "entry 1: the user id" },
	{ "[{\"token\":\"" TOKEN "\",\"user\":\"u1\",\"name\":\"\"}]", "the name" },
	{ "[{\"token\":\"" TOKEN "\",\"user\":\"u1\",\"rights\":[\"root\"]}]", "the rights" },
	{ "[{\"token\":\"" TOKEN "\",\"user\":\"u1\",\"rooms\":\"*\"}]", "rooms or channels" },
	{ "[{\"token\":\"" TOKEN "\",\"user\":\"u1\",\"room\":[\"*\"]}]", "a member that is not known" },
	{ "[{\"token\":\"" TOKEN "\",\"user\":\"u1\",\"user\":\"u2\"}]", "twice" },
	{ "[{\"token\":\"" TOKEN "\",\"user\":\"u1\"},{\"token\":\"" TOKEN "\",\"user\":\"u2\"}]", "entry 2: its token is there twice" },
	{ "[{\"token\":\"" TOKEN "\",\"user\":\"u1\"},{\"sha256\":\"" SHA256 "\",\"user\":\"u2\"}]", "entry 2: its token is there twice" },
};

START_TEST(bad_files) {
	ck_assert(!token_file_init(&file, slice_text(bad[_i].json), 0, &e));
	ck_assert_msg(strstr(e.text, bad[_i].why) != NULL, "%s: %s", bad[_i].json, e.text);
	/* What an error says of a token goes into the log. */
	ck_assert_msg(strstr(e.text, TOKEN) == NULL && strstr(e.text, "tooshort") == NULL, "%s", e.text);
	ck_assert_int_eq(token_file_count(&file), 0);
}
END_TEST

Suite *suite_token_file(void);
Suite *suite_token_file(void) {
	Suite *s = suite_create("token_file");
	TCase *c = tcase_create("token_file");

	tcase_add_checked_fixture(c, NULL, teardown);
	tcase_add_test(c, tokens);
	tcase_add_test(c, digests);
	tcase_add_test(c, an_empty_list);
	tcase_add_test(c, what_is_still_there);
	tcase_add_loop_test(c, bad_files, 0, ARRAY_LEN(bad));
	suite_add_tcase(s, c);
	return s;
}
