/* test_auth_keys - key files and key sets */
#include <check.h>
#include <openssl/core_names.h>

#include "common/base/codec.h"
#include "server/auth/auth_keys.h"
#include "tests/unit/jwt_maker.h"

#define SECRET_K "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
#define POINT "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define ED_X "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define KEYS(text) "{\"keys\":[" text "]}"

static struct auth_keys keys;
static struct buf text;
static struct errbuf e;

static void setup(void) {
	buf_init(&text, 100000);
}

static void teardown(void) {
	auth_keys_fini(&keys);
	buf_fini(&text);
}

static void expect_keys(const char *described) {
	buf_reset(&text);
	auth_keys_describe(&keys, &text);
	buf_add_u8(&text, '\0');
	ck_assert_str_eq((char *)text.data, described);
}

static const struct {
	const char *json, *result;	/* what is described, or ! and what is said */
} sets[] = {
	{ KEYS("{\"kty\":\"EC\",\"crv\":\"P-256\"," POINT "}"), "ES256" },
	{ KEYS("{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\",\"alg\":\"ES256\",\"use\":\"sig\",\"key_ops\":[\"verify\"]," POINT "}"), "ES256 (a)" },
	{ KEYS("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"e\"," ED_X "},{\"kty\":\"oct\",\"alg\":\"HS512\",\"k\":\"" SECRET_K "\"}"),
	    "EdDSA (e), HS512" },
	{ KEYS("{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"" SECRET_K "\"},{\"kty\":\"RSA\",\"use\":\"enc\"}"), "HS256" },
	/* Others' kinds, curves, uses and algorithms are passed over. */
	{ KEYS("{\"kty\":\"oct\",\"alg\":\"HS384\",\"k\":\"" SECRET_K "\"},{},{\"kty\":\"XYZ\"},{\"kty\":\"EC\",\"crv\":\"P-521\"},"
	       "{\"kty\":\"EC\",\"crv\":\"P-384\",\"alg\":\"ECDH-ES\"},{\"kty\":\"OKP\",\"crv\":\"X25519\"," ED_X "},"
	       "{\"kty\":\"EC\",\"crv\":\"P-256\",\"key_ops\":[\"sign\"]," POINT "},{\"kty\":\"RSA\",\"alg\":\"RSA-OAEP\"}"), "HS384" },
	{ "", "!line 1: this is no JSON" },
	{ "[]", "!an array of keys" },
	{ "{\"keys\":{}}", "!an array of keys" },
	{ "{\"keys\":[],\"keys\":[]}", "!no JSON" },
	{ KEYS(""), "!no key is for signatures" },
	{ KEYS("7"), "!key 1: a key is no object" },
	{ KEYS("{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":7,\"k\":\"" SECRET_K "\"}"), "!its kid no text" },
	{ KEYS("{\"kty\":\"oct\",\"k\":\"" SECRET_K "\"}"), "!no key is for signatures" },
	{ KEYS("{\"kty\":\"RSA\",\"alg\":\"HS256\",\"k\":\"" SECRET_K "\"}"), "!no key is for signatures" },
	{ KEYS("{\"kty\":\"oct\",\"alg\":\"RS256\",\"k\":\"" SECRET_K "\"}"), "!no key is for signatures" },
	{ KEYS("{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"c2hvcnQ\"}"), "!shorter than its digest" },
	{ KEYS("{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"no base64url\"}"), "!k is not a secret in base64url" },
	{ KEYS("{\"kty\":\"oct\",\"alg\":\"HS256\"}"), "!k is not a secret in base64url" },
	{ KEYS("{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}"), "!less than 2048 bits" },
	{ KEYS("{\"kty\":\"RSA\",\"n\":\"AQAB\"}"), "!n and e are not numbers" },
	{ KEYS("{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AAAAAAAAAAAAAAAAAAAA\"}"), "!n and e are not numbers" },
	{ KEYS("{\"kty\":\"EC\",\"crv\":\"P-384\"," POINT "}"), "!length of the curve" },
	{ KEYS("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\"}"), "!x and y are not coordinates" },
	{ KEYS("{\"kty\":\"EC\",\"crv\":\"P-256\"," "\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"x\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"),
	    "!malformed" },
	{ KEYS("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}"), "!32 bytes" },
	{ KEYS("{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}"), "!x is not a key" },
	{ KEYS("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"e\"," ED_X "},{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"e\"," ED_X "}"),
	    "!key 2: EdDSA: there is a key with this kid already" },
};

START_TEST(sets_of_keys) {
	bool is_good = auth_keys_add_set(&keys, slice_text(sets[_i].json), &e);

	ck_assert_msg(is_good == (sets[_i].result[0] != '!'), "%s: %s", sets[_i].json, e.text);
	if (is_good)
		expect_keys(sets[_i].result);
	else
		ck_assert_msg(strstr(e.text, sets[_i].result + 1) != NULL, "%s: %s", sets[_i].json, e.text);
}
END_TEST

static void add_rsa(EVP_PKEY *pair, const char *more, size_t bytes) {
	buf_addf(&text, "%s{\"kty\":\"RSA\"%s", text.len > 0 ? "," : "{\"keys\":[", more);
	maker_member(pair, "n", OSSL_PKEY_PARAM_RSA_N, bytes, &text);
	maker_member(pair, "e", OSSL_PKEY_PARAM_RSA_E, 0, &text);
	buf_add_u8(&text, '}');
}

/* Without alg it is RS256; a zero byte before the number does no harm; the largest is taken. */
START_TEST(rsa_in_a_set) {
	EVP_PKEY *pair = maker_rsa(2048);

	add_rsa(pair, "", 0);
	add_rsa(pair, ",\"kid\":\"1\",\"alg\":\"RS512\"", 257);
	add_rsa(pair, ",\"kid\":\"2\",\"alg\":\"PS256\"", 0);
	buf_add_text(&text, "]}");
	ck_assert_msg(auth_keys_add_set(&keys, buf_slice(&text), &e), "%s", e.text);
	expect_keys("RS256, RS512 (1), PS256 (2)");
	EVP_PKEY_free(pair);
}
END_TEST

START_TEST(files) {
	static const char *const lines[] = { MAKER_SECRET, MAKER_SECRET "\n", MAKER_SECRET "\r\n" };
	const struct signature_key *key;
	uint8_t signature[256];
	struct slice message, part, rest;
	struct buf token;
	size_t len;

	buf_init(&token, 1000);
	maker_sign(SIGNATURE_HS512, NULL, "{}", "{}", &token);
	rest = buf_slice(&token);
	ck_assert(slice_next_part(&rest, '.', &part) && slice_next_part(&rest, '.', &part));
	message = slice_of(token.data, token.len - rest.len - 1);
	ck_assert(base64url_decode(rest, signature, &len));
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		char id[] = { (char)('a' + i), '\0' };

		ck_assert(auth_keys_add_file(&keys, SIGNATURE_HS512, slice_text(id), slice_text(lines[i]), &e));
		ck_assert_int_eq(auth_keys_find(&keys, slice_text(id), SIGNATURE_HS512, &key), AUTH_OK);
		ck_assert(signature_is_good(key, message, slice_of(signature, len)));
	}
	expect_keys("HS512 (a), HS512 (b), HS512 (c)");
	ck_assert(!auth_keys_add_file(&keys, SIGNATURE_HS512, slice_text("a"), slice_text(MAKER_SECRET), &e));
	ck_assert(!auth_keys_add_file(&keys, SIGNATURE_HS512, SLICE_EMPTY, slice_text(""), &e));
	ck_assert(!auth_keys_add_file(&keys, SIGNATURE_HS512, SLICE_EMPTY, slice_text("-----BEGIN PUBLIC KEY-----\n" MAKER_SECRET), &e));
	ck_assert(!auth_keys_add_file(&keys, SIGNATURE_RS256, SLICE_EMPTY, slice_text(MAKER_SECRET), &e));
	expect_keys("HS512 (a), HS512 (b), HS512 (c)");
	buf_fini(&token);
}
END_TEST

START_TEST(no_more_than_there_may_be) {
	for (int i = 0; i < AUTH_KEYS_MAX; i++)
		ck_assert(auth_keys_add_file(&keys, SIGNATURE_HS256, SLICE_EMPTY, slice_text(MAKER_SECRET), &e));
	ck_assert(!auth_keys_add_file(&keys, SIGNATURE_HS256, SLICE_EMPTY, slice_text(MAKER_SECRET), &e));
}
END_TEST

Suite *suite_auth_keys(void);
Suite *suite_auth_keys(void) {
	Suite *s = suite_create("auth_keys");
	TCase *c = tcase_create("auth_keys");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, sets_of_keys, 0, ARRAY_LEN(sets));
	tcase_add_test(c, rsa_in_a_set);
	tcase_add_test(c, files);
	tcase_add_test(c, no_more_than_there_may_be);
	suite_add_tcase(s, c);
	return s;
}
