/* test_signature - the examples of the RFCs, every algorithm with keys made here, weak keys */
#include <check.h>

#include "common/base/codec.h"
#include "server/auth/signature.h"
#include "tests/unit/jwt_maker.h"

#define JOE "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

static struct errbuf e;

static struct slice decoded(const char *text, uint8_t *room) {
	size_t len;

	ck_assert(base64url_decode(slice_text(text), room, &len));
	return slice_of(room, len);
}

/* Takes key: the signature is good, and no longer with a changed bit anywhere. */
static void check_example(struct signature_key *key, const char *message, const char *signature) {
	uint8_t bytes[1024];
	struct slice s = decoded(signature, bytes);
	char other[1024];

	ck_assert_msg(key != NULL, "%s", e.text);
	ck_assert(signature_is_good(key, slice_text(message), s));
	for (size_t i = 0; i < s.len; i += 7) {
		bytes[i] ^= 1;
		ck_assert(!signature_is_good(key, slice_text(message), s));
		bytes[i] ^= 1;
	}
	snprintf(other, sizeof(other), "%s", message);
	other[10] ^= 1;
	ck_assert(!signature_is_good(key, slice_text(other), s));
	ck_assert(!signature_is_good(key, slice_text(message), slice_of(s.ptr, s.len - 1)));
	ck_assert(!signature_is_good(key, slice_text(message), SLICE_EMPTY));
	signature_key_free(&key);
	ck_assert_ptr_null(key);
}

START_TEST(rfc7515_a1_hs256) {
	uint8_t k[128];
	struct slice secret = decoded("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow", k);

	check_example(signature_key_secret(SIGNATURE_HS256, secret, &e), "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." JOE,
	    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}
END_TEST

START_TEST(rfc7515_a2_rs256) {
	uint8_t n[512], exponent[8];

	decoded("ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_"
	    "YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb"
	    "3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ", n);
	check_example(signature_key_rsa(SIGNATURE_RS256, slice_of(n, 256), decoded("AQAB", exponent), &e), "eyJhbGciOiJSUzI1NiJ9." JOE,
	    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBY"
	    "NX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7"
	    "noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw");
}
END_TEST

START_TEST(rfc7515_a3_es256) {
	uint8_t x[64], y[64];

	check_example(signature_key_ec(SIGNATURE_ES256, decoded("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", x),
	                  decoded("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", y), &e),
	    "eyJhbGciOiJFUzI1NiJ9." JOE, "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
}
END_TEST

START_TEST(rfc8037_a4_ed25519) {
	uint8_t x[64];

	check_example(signature_key_ed25519(decoded("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", x), &e),
	    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
	    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
}
END_TEST

static EVP_PKEY *pair_for(enum signature_algorithm a) {
	switch (signature_family_of(a)) {
	case SIGNATURE_RSA:
	case SIGNATURE_PSS:
		return maker_rsa(2048);
	case SIGNATURE_EC:
		return maker_ec(a == SIGNATURE_ES256 ? "P-256" : "P-384");
	case SIGNATURE_ED:
		return maker_ed25519();
	case SIGNATURE_HMAC:
		break;
	}
	return NULL;
}

/* A key in the form of its file. Returns owned, or NULL. */
static struct signature_key *key_of(enum signature_algorithm a, EVP_PKEY *pair) {
	struct signature_key *key;
	struct buf pem;

	if (pair == NULL)
		return signature_key_secret(a, slice_text(MAKER_SECRET), &e);
	buf_init(&pem, 10000);
	maker_pem(pair, false, &pem);
	key = signature_key_pem(a, buf_slice(&pem), &e);
	buf_fini(&pem);
	return key;
}

START_TEST(each_algorithm) {
	enum signature_algorithm a = (enum signature_algorithm)_i, found;
	EVP_PKEY *pair = pair_for(a);
	struct signature_key *key = key_of(a, pair);
	struct buf token;
	char *dot;

	ck_assert(signature_find_algorithm(slice_text(signature_algorithm_name(a)), &found) && found == a);
	ck_assert_msg(key != NULL, "%s", e.text);
	ck_assert_int_eq(signature_key_algorithm(key), a);
	buf_init(&token, 10000);
	maker_sign(a, pair, "{}", "{\"sub\":\"u1\"}", &token);
	buf_add_u8(&token, '\0');
	dot = strrchr((char *)token.data, '.');
	*dot = '\0';
	check_example(key, (char *)token.data, dot + 1);
	/* The same key, taken for one of another algorithm, takes no signature of this one. */
	for (size_t other = 0; other < SIGNATURE_ALGORITHM_COUNT; other++) {
		uint8_t bytes[1024];

		key = key_of((enum signature_algorithm)other, pair);
		if (key != NULL && other != a)
			ck_assert(!signature_is_good(key, slice_text((char *)token.data), decoded(dot + 1, bytes)));
		signature_key_free(&key);
	}
	buf_fini(&token);
	EVP_PKEY_free(pair);
}
END_TEST

static void refused(struct signature_key *key, const char *why) {
	ck_assert_ptr_null(key);
	ck_assert_msg(strstr(e.text, why) != NULL, "%s", e.text);
}

START_TEST(weak_and_wrong_keys) {
	EVP_PKEY *small = maker_rsa(1024), *large = maker_rsa(2048), *curve = maker_ec("P-256"), *ed = maker_ed25519();
	uint8_t bytes[2048], one = 1, even = 6, three = 3;

	memset(bytes, 0xff, sizeof(bytes));
	refused(key_of(SIGNATURE_RS256, small), "less than 2048 bits");
	refused(key_of(SIGNATURE_PS256, small), "less than 2048 bits");
	refused(key_of(SIGNATURE_ES256, large), "no key of its curve");
	refused(key_of(SIGNATURE_ES384, curve), "no key of its curve");
	refused(key_of(SIGNATURE_EdDSA, curve), "no Ed25519 key");
	refused(key_of(SIGNATURE_RS512, ed), "no RSA key");
	refused(key_of(SIGNATURE_HS256, large), "a public key is no secret");
	refused(signature_key_secret(SIGNATURE_HS256, slice_of(bytes, 31), &e), "shorter than its digest");
	refused(signature_key_secret(SIGNATURE_HS384, slice_of(bytes, 47), &e), "shorter than its digest");
	refused(signature_key_secret(SIGNATURE_HS512, slice_of(bytes, 63), &e), "shorter than its digest");
	refused(signature_key_secret(SIGNATURE_RS256, slice_of(bytes, 64), &e), "a secret is no public key");
	refused(signature_key_rsa(SIGNATURE_RS256, slice_of(bytes, 255), slice_of(&three, 1), &e), "less than 2048 bits");
	refused(signature_key_rsa(SIGNATURE_RS256, slice_of(bytes, 1025), slice_of(&three, 1), &e), "more than 8192 bits");
	refused(signature_key_rsa(SIGNATURE_RS256, slice_of(bytes, 1100), slice_of(&three, 1), &e), "too large");
	refused(signature_key_rsa(SIGNATURE_RS256, slice_of(bytes, 256), slice_of(&one, 1), &e), "exponent");
	refused(signature_key_rsa(SIGNATURE_RS256, slice_of(bytes, 256), slice_of(&even, 1), &e), "exponent");
	refused(signature_key_rsa(SIGNATURE_RS256, slice_of(bytes, 256), slice_of(bytes, 9), &e), "too large");
	refused(signature_key_ec(SIGNATURE_ES256, slice_of(bytes, 31), slice_of(bytes, 32), &e), "length of the curve");
	refused(signature_key_ec(SIGNATURE_ES256, slice_of(bytes, 32), slice_of(bytes, 32), &e), "malformed");
	refused(signature_key_ed25519(slice_of(bytes, 31), &e), "32 bytes");
	EVP_PKEY_free(small);
	EVP_PKEY_free(large);
	EVP_PKEY_free(curve);
	EVP_PKEY_free(ed);
}
END_TEST

START_TEST(files_that_are_no_public_key) {
	EVP_PKEY *pair = maker_ec("P-256");
	struct buf pem;

	buf_init(&pem, 10000);
	maker_pem(pair, true, &pem);
	refused(signature_key_pem(SIGNATURE_ES256, buf_slice(&pem), &e), "private key");
	refused(signature_key_pem(SIGNATURE_ES256, slice_text("hello"), &e), "BEGIN PUBLIC KEY");
	refused(signature_key_pem(SIGNATURE_ES256, slice_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), &e), "malformed");
	buf_fini(&pem);
	EVP_PKEY_free(pair);
}
END_TEST

START_TEST(names) {
	static const char *const unknown[] = { "", "none", "None", "hs256", "HS256 ", "ES512", "PS384", "RS1", "HS", "EDDSA" };
	enum signature_algorithm a;

	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		ck_assert_msg(!signature_find_algorithm(slice_text(unknown[i]), &a), "%s", unknown[i]);
}
END_TEST

Suite *suite_signature(void);
Suite *suite_signature(void) {
	Suite *s = suite_create("signature");
	TCase *c = tcase_create("signature");

	tcase_set_timeout(c, 60);
	tcase_add_test(c, rfc7515_a1_hs256);
	tcase_add_test(c, rfc7515_a2_rs256);
	tcase_add_test(c, rfc7515_a3_es256);
	tcase_add_test(c, rfc8037_a4_ed25519);
	tcase_add_loop_test(c, each_algorithm, 0, SIGNATURE_ALGORITHM_COUNT);
	tcase_add_test(c, weak_and_wrong_keys);
	tcase_add_test(c, files_that_are_no_public_key);
	tcase_add_test(c, names);
	suite_add_tcase(s, c);
	return s;
}
