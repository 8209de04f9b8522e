/* test_jwt - every way in which a token is refused, and what becomes of those that are not */
#include <check.h>

#include "common/svc/config.h"
#include "server/auth/jwt.h"
#include "tests/unit/jwt_maker.h"

enum { NOW = 1790000000 };

#define HS256 "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define GOOD "\"sub\":\"u1\",\"exp\":1790000100"

static struct auth_keys keys;
static EVP_PKEY *curve, *rsa;
static struct config config;
static struct jwt_rules rules;
static struct auth_grant *grant;
static struct errbuf e;

static void add_pem(enum signature_algorithm a, const char *id, EVP_PKEY *pair) {
	struct buf pem;

	buf_init(&pem, 10000);
	maker_pem(pair, false, &pem);
	ck_assert_msg(auth_keys_add_file(&keys, a, slice_text(id), buf_slice(&pem), &e), "%s", e.text);
	buf_fini(&pem);
}

/* HS256 without an id, ES256 as "c", RS256 as "r". */
static void setup(void) {
	config_init(&config);
	rules = (struct jwt_rules){ &config.jwt_issuer, &config.jwt_audience, 30, RIGHT_chat | RIGHT_publish };
	curve = maker_ec("P-256");
	rsa = maker_rsa(2048);
	ck_assert(auth_keys_add_file(&keys, SIGNATURE_HS256, SLICE_EMPTY, slice_text(MAKER_SECRET "\n"), &e));
	add_pem(SIGNATURE_ES256, "c", curve);
	add_pem(SIGNATURE_RS256, "r", rsa);
}

static void teardown(void) {
	grant_drop(&grant);
	auth_keys_fini(&keys);
	EVP_PKEY_free(curve);
	EVP_PKEY_free(rsa);
	config_fini(&config);
}

static enum auth_refusal check(struct slice token) {
	grant_drop(&grant);
	return jwt_check(token, &keys, &rules, NOW, &grant);
}

static enum auth_refusal check_signed(enum signature_algorithm a, EVP_PKEY *pair, const char *header, const char *payload) {
	enum auth_refusal refusal;
	struct buf token;

	buf_init(&token, 100000);
	maker_sign(a, pair, header, payload, &token);
	refusal = check(buf_slice(&token));
	ck_assert((refusal == AUTH_OK) == (grant != NULL));
	buf_fini(&token);
	return refusal;
}

static void set(const char *name, const char *value) {
	ck_assert_msg(config_set(&config, slice_text(name), slice_text(value), &e), "%s", e.text);
}

#define EXPECT(refusal, got) ck_assert_str_eq(auth_refusal_name(got), auth_refusal_name(AUTH_##refusal))

static const struct {
	enum auth_refusal refusal;
	const char *payload;
} claims[] = {
	{ AUTH_OK, "{" GOOD "}" },
	{ AUTH_OK, " { \"exp\" : 1.7900001e9 , \"sub\" : \"u1\" } " },
	{ AUTH_OK, "{\"sub\":\"u1\",\"exp\":1789999971}" },
	{ AUTH_OK, "{" GOOD ",\"nbf\":1790000030,\"iat\":1790000030,\"iss\":\"anybody\",\"name\":null,\"aud\":null}" },
	{ AUTH_OK, "{" GOOD ",\"rights\":[],\"rooms\":[],\"channels\":[]}" },
	{ AUTH_OK, "{" GOOD ",\"rights\":\" chat  moderate \",\"name\":\"Ada Lovelace\"}" },
	{ AUTH_bad_claims, "" "[]" },
	{ AUTH_bad_claims, "17" },
	{ AUTH_bad_claims, "{" GOOD },
	{ AUTH_bad_claims, "{" GOOD "}x" },
	{ AUTH_bad_claims, "{" GOOD ",\"sub\":\"u2\"}" },
	{ AUTH_bad_claims, "{" GOOD ",\"a\":{\"b\":1,\"b\":2}}" },
	{ AUTH_bad_claims, "{" GOOD ",\"name\":\"a\\u0000b\"}" },
	{ AUTH_bad_claims, "{" GOOD ",\"name\":\"\xff\"}" },
	{ AUTH_bad_claims, "{\"sub\":\"u1\",\"exp\":1e999}" },
	{ AUTH_no_expiry, "{\"sub\":\"u1\"}" },
	{ AUTH_no_expiry, "{\"sub\":\"u1\",\"exp\":null}" },
	{ AUTH_bad_time, "{\"sub\":\"u1\",\"exp\":\"1790000100\"}" },
	{ AUTH_bad_time, "{\"sub\":\"u1\",\"exp\":-1}" },
	{ AUTH_bad_time, "{\"sub\":\"u1\",\"exp\":1e300}" },
	{ AUTH_bad_time, "{\"sub\":\"u1\",\"exp\":true}" },
	{ AUTH_bad_time, "{\"sub\":\"u1\",\"exp\":[1790000100]}" },
	{ AUTH_bad_time, "{" GOOD ",\"nbf\":\"now\"}" },
	{ AUTH_bad_time, "{" GOOD ",\"iat\":{}}" },
	{ AUTH_expired, "{\"sub\":\"u1\",\"exp\":0}" },
	{ AUTH_expired, "{\"sub\":\"u1\",\"exp\":1789999969}" },
	{ AUTH_expired, "{\"sub\":\"u1\",\"exp\":1789999970}" },
	{ AUTH_not_yet, "{" GOOD ",\"nbf\":1790000031}" },
	{ AUTH_from_future, "{" GOOD ",\"iat\":1790000031}" },
	{ AUTH_bad_audience, "{" GOOD ",\"aud\":\"anybody\"}" },
	{ AUTH_bad_audience, "{" GOOD ",\"aud\":[]}" },
	{ AUTH_bad_user, "{\"exp\":1790000100}" },
	{ AUTH_bad_user, "{\"exp\":1790000100,\"sub\":\"\"}" },
	{ AUTH_bad_user, "{\"exp\":1790000100,\"sub\":\" \"}" },
	{ AUTH_bad_user, "{\"exp\":1790000100,\"sub\":17}" },
	{ AUTH_bad_user, "{\"exp\":1790000100,\"sub\":\"a\\u202eb\"}" },
	{ AUTH_bad_user, "{\"exp\":1790000100,\"sub\":\"12345678901234567890123456789012345678901234567890123456789012345678901234567890"
	                 "1234567890123456789012345678901234567890123456789\"}" },
	{ AUTH_bad_name, "{" GOOD ",\"name\":\"\"}" },
	{ AUTH_bad_name, "{" GOOD ",\"name\":{}}" },
	{ AUTH_bad_name, "{" GOOD ",\"name\":\"a\\nb\"}" },
	{ AUTH_bad_name, "{" GOOD ",\"name\":\"12345678901234567890123456789012345678901234567890123456789012345\"}" },
	{ AUTH_bad_rights, "{" GOOD ",\"rights\":\"chat root\"}" },
	{ AUTH_bad_rights, "{" GOOD ",\"rights\":[\"chat\",1]}" },
	{ AUTH_bad_rights, "{" GOOD ",\"rights\":[\"Chat\"]}" },
	{ AUTH_bad_rights, "{" GOOD ",\"rights\":{\"chat\":true}}" },
	{ AUTH_bad_patterns, "{" GOOD ",\"rooms\":\"lobby\"}" },
	{ AUTH_bad_patterns, "{" GOOD ",\"rooms\":[\"\"]}" },
	{ AUTH_bad_patterns, "{" GOOD ",\"channels\":[17]}" },
	{ AUTH_bad_patterns, "{" GOOD ",\"channels\":[\"12345678901234567890123456789012345678901234567890123456789012345678901234567890"
	                     "1234567890123456789012345678901234567890123456789\"]}" },
};

START_TEST(what_is_claimed) {
	ck_assert_msg(check_signed(SIGNATURE_HS256, NULL, HS256, claims[_i].payload) == claims[_i].refusal, "%s", claims[_i].payload);
}
END_TEST

static const struct {
	enum auth_refusal refusal;
	const char *header;
} headers[] = {
	{ AUTH_OK, "{\"alg\":\"HS256\"}" },
	{ AUTH_OK, "{\"alg\":\"HS256\",\"typ\":\"jwt\",\"cty\":\"whatever\",\"jku\":\"http://127.0.0.1/\"}" },
	{ AUTH_OK, "{\"alg\":\"HS256\",\"typ\":\"at+JWT\"}" },
	{ AUTH_OK, "{\"alg\":\"HS256\",\"kid\":\"nobody's\"}" },
	{ AUTH_bad_header, "[\"HS256\"]" },
	{ AUTH_bad_header, "{}" },
	{ AUTH_bad_header, "{\"alg\":256}" },
	{ AUTH_bad_header, "{\"alg\":null}" },
	{ AUTH_bad_header, "{\"alg\":[\"HS256\"]}" },
	{ AUTH_bad_header, "{\"alg\":\"HS256\",\"alg\":\"HS256\"}" },
	{ AUTH_bad_header, "{\"alg\":\"HS256\"" },
	{ AUTH_bad_type, "{\"alg\":\"HS256\",\"typ\":\"JWE\"}" },
	{ AUTH_bad_type, "{\"alg\":\"HS256\",\"typ\":1}" },
	{ AUTH_bad_crit, "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}" },
	{ AUTH_bad_crit, "{\"alg\":\"HS256\",\"crit\":null}" },
	{ AUTH_bad_kid, "{\"alg\":\"HS256\",\"kid\":7}" },
	{ AUTH_bad_kid, "{\"alg\":\"HS256\",\"kid\":\"\"}" },
	{ AUTH_bad_kid, "{\"alg\":\"HS256\",\"kid\":null}" },
	{ AUTH_bad_algorithm, "{\"alg\":\"none\"}" },
	{ AUTH_bad_algorithm, "{\"alg\":\"None\"}" },
	{ AUTH_bad_algorithm, "{\"alg\":\"NONE\"}" },
	{ AUTH_bad_algorithm, "{\"alg\":\"\"}" },
	{ AUTH_bad_algorithm, "{\"alg\":\"hs256\"}" },
	{ AUTH_bad_algorithm, "{\"alg\":\"ES512\"}" },
	{ AUTH_bad_algorithm, "{\"alg\":\"dir\"}" },
	{ AUTH_unknown_key, "{\"alg\":\"HS384\"}" },
	{ AUTH_unknown_key, "{\"alg\":\"RS256\",\"kid\":\"rr\"}" },
	{ AUTH_unknown_key, "{\"alg\":\"EdDSA\"}" },
	{ AUTH_other_algorithm, "{\"alg\":\"HS256\",\"kid\":\"r\"}" },
	{ AUTH_other_algorithm, "{\"alg\":\"PS256\",\"kid\":\"r\"}" },
	{ AUTH_other_algorithm, "{\"alg\":\"RS256\",\"kid\":\"c\"}" },
	{ AUTH_bad_signature, "{\"alg\":\"RS256\",\"kid\":\"r\"}" },
	{ AUTH_bad_signature, "{\"alg\":\"ES256\",\"kid\":\"c\"}" },
	{ AUTH_bad_signature, "{\"alg\":\"RS256\"}" },
};

/* Whatever the header says, the signature is that of the secret. */
START_TEST(what_the_header_says) {
	ck_assert_msg(check_signed(SIGNATURE_HS256, NULL, headers[_i].header, "{" GOOD "}") == headers[_i].refusal, "%s", headers[_i].header);
}
END_TEST

static const struct {
	enum auth_refusal refusal;
	const char *token;
} forms[] = {
	{ AUTH_bad_form, "" },
	{ AUTH_bad_form, "." },
	{ AUTH_bad_form, ".." },
	{ AUTH_bad_form, "..." },
	{ AUTH_bad_form, "e30.e30" },
	{ AUTH_bad_form, "e30.e30." },
	{ AUTH_bad_form, "e30..e30" },
	{ AUTH_bad_form, ".e30.e30" },
	{ AUTH_bad_form, "e30.e30.e30.e30" },
	{ AUTH_bad_form, "e30=.e30.e30" },
	{ AUTH_bad_form, "e3 0.e30.e30" },
	{ AUTH_bad_form, "e31.e30.e30" },	/* unused bits */
	{ AUTH_bad_form, "e30x3.e30.e30" },
	{ AUTH_bad_form, "e+/=.e30.e30" },
	{ AUTH_bad_header, "e30.e30.e30" },
	{ AUTH_bad_header, "AAAA.e30.e30" },
	{ AUTH_bad_algorithm, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1MSJ9.AAAA" },
	{ AUTH_bad_form, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1MSJ9." },
	{ AUTH_bad_form, "eyJhbGciOiJIUzI1NiJ9.e30.e31" },
};

START_TEST(what_is_no_token) {
	ck_assert_msg(check(slice_text(forms[_i].token)) == forms[_i].refusal, "%s", forms[_i].token);
	ck_assert_ptr_null(grant);
}
END_TEST

START_TEST(each_prefix_and_each_changed_byte) {
	struct buf token;

	buf_init(&token, 10000);
	maker_sign(SIGNATURE_HS256, NULL, HS256, "{" GOOD "}", &token);
	EXPECT(OK, check(buf_slice(&token)));
	for (size_t len = 0; len < token.len; len++)
		ck_assert(check(slice_of(token.data, len)) != AUTH_OK);
	for (size_t i = 0; i < token.len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			token.data[i] ^= (uint8_t)(1U << bit);
			ck_assert(check(buf_slice(&token)) != AUTH_OK);
			token.data[i] ^= (uint8_t)(1U << bit);
		}
	}
	buf_fini(&token);
}
END_TEST

START_TEST(too_long) {
	struct buf payload, token;

	buf_init(&payload, 2 << 20);
	buf_init(&token, 4 << 20);
	buf_add_text(&payload, "{" GOOD ",\"x\":\"");
	while (payload.len < 1 << 20)
		buf_add_u8(&payload, 'x');
	buf_add_text(&payload, "\"}");
	buf_add_u8(&payload, '\0');
	maker_sign(SIGNATURE_HS256, NULL, HS256, (char *)payload.data, &token);
	EXPECT(too_long, check(buf_slice(&token)));
	EXPECT(too_long, check(slice_of(token.data, JWT_MAX + 1)));
	EXPECT(bad_form, check(slice_of(token.data, JWT_MAX)));
	buf_fini(&payload);
	buf_fini(&token);
}
END_TEST

/* Nested as deep as a token can be. */
START_TEST(deep) {
	struct buf payload;

	buf_init(&payload, 100000);
	buf_add_text(&payload, "{" GOOD ",\"x\":");
	for (int i = 0; i < 5900; i++)
		buf_add_u8(&payload, '[');
	buf_add_u8(&payload, '\0');
	EXPECT(bad_claims, check_signed(SIGNATURE_HS256, NULL, HS256, (char *)payload.data));
	buf_fini(&payload);
}
END_TEST

START_TEST(a_public_key_is_no_secret) {
	struct buf pem;
	struct signature_key *mistaken;

	/* What an attacker signs with: the PEM text of the public key, as if it were the secret of HS256. */
	buf_init(&pem, 10000);
	maker_pem(rsa, false, &pem);
	mistaken = signature_key_secret(SIGNATURE_HS256, buf_slice(&pem), &e);
	ck_assert_ptr_nonnull(mistaken);
	signature_key_free(&mistaken);
	/* Nobody can make it one by configuration. */
	ck_assert(!auth_keys_add_file(&keys, SIGNATURE_HS256, slice_text("x"), buf_slice(&pem), &e));
	buf_fini(&pem);
	EXPECT(other_algorithm, check_signed(SIGNATURE_HS256, NULL, "{\"alg\":\"HS256\",\"kid\":\"r\"}", "{" GOOD "}"));
	EXPECT(OK, check_signed(SIGNATURE_RS256, rsa, "{\"alg\":\"RS256\",\"kid\":\"r\"}", "{" GOOD "}"));
	EXPECT(OK, check_signed(SIGNATURE_RS256, rsa, "{\"alg\":\"RS256\"}", "{" GOOD "}"));
	EXPECT(OK, check_signed(SIGNATURE_ES256, curve, "{\"alg\":\"ES256\",\"kid\":\"c\"}", "{" GOOD "}"));
	EXPECT(bad_signature, check_signed(SIGNATURE_PS256, rsa, "{\"alg\":\"RS256\",\"kid\":\"r\"}", "{" GOOD "}"));
}
END_TEST

START_TEST(which_key) {
	EVP_PKEY *second = maker_rsa(2048);

	add_pem(SIGNATURE_RS256, "r2", second);
	EXPECT(needs_kid, check_signed(SIGNATURE_RS256, rsa, "{\"alg\":\"RS256\"}", "{" GOOD "}"));
	EXPECT(OK, check_signed(SIGNATURE_RS256, rsa, "{\"alg\":\"RS256\",\"kid\":\"r\"}", "{" GOOD "}"));
	EXPECT(OK, check_signed(SIGNATURE_RS256, second, "{\"alg\":\"RS256\",\"kid\":\"r2\"}", "{" GOOD "}"));
	EXPECT(bad_signature, check_signed(SIGNATURE_RS256, second, "{\"alg\":\"RS256\",\"kid\":\"r\"}", "{" GOOD "}"));
	EXPECT(unknown_key, check_signed(SIGNATURE_RS256, second, "{\"alg\":\"RS256\",\"kid\":\"r3\"}", "{" GOOD "}"));
	EVP_PKEY_free(second);
}
END_TEST

START_TEST(issuers_and_audiences) {
	set("jwt_issuer", "https://a.example/, b");
	set("jwt_audience", "herold,chat");
	EXPECT(bad_issuer, check_signed(SIGNATURE_HS256, NULL, HS256, "{" GOOD ",\"aud\":\"chat\"}"));
	EXPECT(bad_issuer, check_signed(SIGNATURE_HS256, NULL, HS256, "{" GOOD ",\"aud\":\"chat\",\"iss\":\"https://a.example\"}"));
	EXPECT(bad_issuer, check_signed(SIGNATURE_HS256, NULL, HS256, "{" GOOD ",\"aud\":\"chat\",\"iss\":[\"b\"]}"));
	EXPECT(bad_audience, check_signed(SIGNATURE_HS256, NULL, HS256, "{" GOOD ",\"iss\":\"b\"}"));
	EXPECT(bad_audience, check_signed(SIGNATURE_HS256, NULL, HS256, "{" GOOD ",\"iss\":\"b\",\"aud\":\"Chat\"}"));
	EXPECT(bad_audience, check_signed(SIGNATURE_HS256, NULL, HS256, "{" GOOD ",\"iss\":\"b\",\"aud\":[\"x\",7]}"));
	EXPECT(bad_audience, check_signed(SIGNATURE_HS256, NULL, HS256, "{" GOOD ",\"iss\":\"b\",\"aud\":{\"chat\":1}}"));
	EXPECT(OK, check_signed(SIGNATURE_HS256, NULL, HS256, "{" GOOD ",\"iss\":\"b\",\"aud\":\"chat\"}"));
	EXPECT(OK, check_signed(SIGNATURE_HS256, NULL, HS256, "{" GOOD ",\"iss\":\"https://a.example/\",\"aud\":[\"x\",\"herold\"]}"));
}
END_TEST

START_TEST(what_is_granted) {
	EXPECT(OK, check_signed(SIGNATURE_HS256, NULL, HS256, "{" GOOD ",\"name\":\"Ada\",\"rights\":[\"system\"],\"rooms\":[\"tea*\"],"
	    "\"channels\":[]}"));
	ck_assert(slice_eq_text(grant_user(grant), "u1") && slice_eq_text(grant_name(grant), "Ada"));
	ck_assert_int_eq(grant->rights, RIGHT_system);
	ck_assert(!grant->is_static && grant->expires_s == NOW + 130);
	ck_assert(grant_has_room(grant, slice_text("tea-1")) && !grant_has_room(grant, slice_text("lobby")));
	ck_assert(!grant_has_channel(grant, slice_text("scores")));
	EXPECT(OK, check_signed(SIGNATURE_HS256, NULL, HS256, "{\"exp\":1790000100.9,\"sub\":"
	    "\"12345678901234567890123456789012345678901234567890123456789012345\"}"));
	ck_assert(slice_eq_text(grant_name(grant), "1234567890123456789012345678901234567890123456789012345678901234"));
	ck_assert_int_eq(grant->rights, RIGHT_chat | RIGHT_publish);
	ck_assert(grant->expires_s == NOW + 130);
	ck_assert(grant_has_room(grant, slice_text("lobby")) && grant_has_channel(grant, slice_text("scores")));
}
END_TEST

Suite *suite_jwt(void);
Suite *suite_jwt(void) {
	Suite *s = suite_create("jwt");
	TCase *c = tcase_create("jwt");

	/* Keys are made once, not for each test. */
	tcase_add_unchecked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, what_is_claimed, 0, ARRAY_LEN(claims));
	tcase_add_loop_test(c, what_the_header_says, 0, ARRAY_LEN(headers));
	tcase_add_loop_test(c, what_is_no_token, 0, ARRAY_LEN(forms));
	tcase_add_test(c, each_prefix_and_each_changed_byte);
	tcase_add_test(c, too_long);
	tcase_add_test(c, deep);
	tcase_add_test(c, a_public_key_is_no_secret);
	tcase_add_test(c, what_is_granted);
	suite_add_tcase(s, c);
	/* These change keys or rules. */
	c = tcase_create("jwt_rules");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, which_key);
	tcase_add_test(c, issuers_and_audiences);
	suite_add_tcase(s, c);
	return s;
}
