/* signature - the only file of this folder that knows OpenSSL */
#include "server/auth/signature.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "common/base/digest.h"
#include "common/base/mem.h"

/* RSA: below is weak, above a signature costs a client nothing and us milliseconds. */
enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192, RSA_EXPONENT_BITS_MAX = 64, SECRET_MAX = 4096, ED25519_BYTES = 32, POINT_MAX = 2 * 48 };

static const struct {
	const char *name, *digest, *curve;
	enum signature_family family;
} algorithms[] = {
#define SIGNATURE_ALGORITHM(name, family, digest, curve) { #name, digest, curve, SIGNATURE_##family },
#include "server/auth/signature_algorithms.tbl"
};

struct signature_key {
	enum signature_algorithm algorithm;
	EVP_PKEY *public;	/* owned; NULL for HMAC, which has the secret */
	size_t secret_len;
	uint8_t secret[];
};

bool signature_find_algorithm(struct slice name, enum signature_algorithm *out) {
	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
		if (slice_eq_text(name, algorithms[i].name)) {
			*out = (enum signature_algorithm)i;
			return true;
		}
	}
	return false;
}

const char *signature_algorithm_name(enum signature_algorithm a) {
	return algorithms[a].name;
}

enum signature_family signature_family_of(enum signature_algorithm a) {
	return algorithms[a].family;
}

enum signature_algorithm signature_key_algorithm(const struct signature_key *k) {
	return k->algorithm;
}

static const EVP_MD *digest_of(enum signature_algorithm a) {
	return algorithms[a].digest[0] != '\0' ? EVP_get_digestbyname(algorithms[a].digest) : NULL;
}

/* Bytes of a coordinate, and of each half of a signature. */
static size_t curve_bytes(enum signature_algorithm a) {
	return a == SIGNATURE_ES256 ? 32 : 48;
}

/* What OpenSSL has to say is no help here, but left in its queue it would be taken for the error of a TLS connection. */
static struct signature_key *refuse(struct errbuf *e, enum signature_algorithm a, const char *why) {
	ERR_clear_error();
	errbuf_set(e, "%s: %s", algorithms[a].name, why);
	return NULL;
}

/* --- keys --- */

struct signature_key *signature_key_secret(enum signature_algorithm a, struct slice secret, struct errbuf *e) {
	struct signature_key *k;

	if (algorithms[a].family != SIGNATURE_HMAC)
		return refuse(e, a, "a secret is no public key");
	if (secret.len < (size_t)EVP_MD_get_size(digest_of(a)))
		return refuse(e, a, "the secret is shorter than its digest (32, 48 or 64 bytes)");
	if (secret.len > SECRET_MAX)
		return refuse(e, a, "the secret is longer than 4096 bytes");
	k = mem_zalloc(sizeof(*k) + secret.len);
	k->algorithm = a;
	k->secret_len = secret.len;
	memcpy(k->secret, secret.ptr, secret.len);
	return k;
}

static const char *check_rsa(const EVP_PKEY *key) {
	BIGNUM *exponent = NULL;
	bool is_good;

	if (EVP_PKEY_get_bits(key) < RSA_BITS_MIN)
		return "the RSA key has less than 2048 bits";
	if (EVP_PKEY_get_bits(key) > RSA_BITS_MAX)
		return "the RSA key has more than 8192 bits";
	is_good = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1 && BN_is_odd(exponent) && !BN_is_one(exponent) &&
	    BN_num_bits(exponent) <= RSA_EXPONENT_BITS_MAX;
	BN_free(exponent);
	return is_good ? NULL : "the RSA key has an exponent that none should have";
}

/* NULL: it suits. */
static const char *check_public(enum signature_algorithm a, const EVP_PKEY *key) {
	char curve[64] = "";

	switch (algorithms[a].family) {
	case SIGNATURE_RSA:
	case SIGNATURE_PSS:
		return EVP_PKEY_is_a(key, "RSA") ? check_rsa(key) : "this is no RSA key";
	case SIGNATURE_EC:
		if (EVP_PKEY_is_a(key, "EC") &&
		    EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, curve, sizeof(curve), NULL) == 1 &&
		    strcmp(curve, algorithms[a].curve) == 0)
			return NULL;
		return "this is no key of its curve";
	case SIGNATURE_ED:
		return EVP_PKEY_is_a(key, "ED25519") ? NULL : "this is no Ed25519 key";
	case SIGNATURE_HMAC:
		break;
	}
	return "a public key is no secret";
}

/* Takes key; NULL: it could not be read. */
static struct signature_key *key_new(enum signature_algorithm a, EVP_PKEY *key, struct errbuf *e) {
	const char *why = key == NULL ? "the key is malformed" : check_public(a, key);
	struct signature_key *k;

	if (why != NULL) {
		EVP_PKEY_free(key);
		return refuse(e, a, why);
	}
	k = mem_zalloc(sizeof(*k));
	k->algorithm = a;
	k->public = key;
	return k;
}

struct signature_key *signature_key_pem(enum signature_algorithm a, struct slice pem, struct errbuf *e) {
	BIO *bio;
	EVP_PKEY *key;

	if (memmem(pem.ptr, pem.len, "PRIVATE KEY-----", 16) != NULL)
		return refuse(e, a, "this is a private key, which has no business here; its public one is needed");
	if (memmem(pem.ptr, pem.len, "-----BEGIN PUBLIC KEY-----", 26) == NULL)
		return refuse(e, a, "there is no -----BEGIN PUBLIC KEY-----");
	bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	if (bio == NULL)
		mem_exhausted(pem.len);
	key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	BIO_free(bio);
	return key_new(a, key, e);
}

/* Takes `build`, which is filled with what the type needs. */
static EVP_PKEY *key_from(const char *type, OSSL_PARAM_BLD *build, bool is_filled) {
	OSSL_PARAM *params = is_filled ? OSSL_PARAM_BLD_to_param(build) : NULL;
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (params != NULL && context != NULL && EVP_PKEY_fromdata_init(context) == 1 &&
	    EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	EVP_PKEY_CTX_free(context);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	return key;
}

struct signature_key *signature_key_rsa(enum signature_algorithm a, struct slice n, struct slice exponent, struct errbuf *e) {
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *modulus, *power;
	EVP_PKEY *key;
	bool is_filled;

	if (n.len * 8 > RSA_BITS_MAX + 8 || exponent.len * 8 > RSA_EXPONENT_BITS_MAX) {
		OSSL_PARAM_BLD_free(build);
		return refuse(e, a, "the RSA key is too large");
	}
	modulus = BN_bin2bn(n.ptr, (int)n.len, NULL);
	power = BN_bin2bn(exponent.ptr, (int)exponent.len, NULL);
	is_filled = OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, power) == 1;
	key = key_from("RSA", build, is_filled);
	BN_free(modulus);
	BN_free(power);
	return key_new(a, key, e);
}

/* That the point lies on the curve is checked by OpenSSL. */
struct signature_key *signature_key_ec(enum signature_algorithm a, struct slice x, struct slice y, struct errbuf *e) {
	size_t half = curve_bytes(a);
	uint8_t point[1 + POINT_MAX] = { 4 /* both coordinates follow */ };
	OSSL_PARAM_BLD *build;
	bool is_filled;

	if (algorithms[a].family != SIGNATURE_EC || x.len != half || y.len != half)
		return refuse(e, a, "the coordinates do not have the length of the curve");
	memcpy(point + 1, x.ptr, half);
	memcpy(point + 1 + half, y.ptr, half);
	build = OSSL_PARAM_BLD_new();
	is_filled = OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, algorithms[a].curve, 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * half) == 1;
	return key_new(a, key_from("EC", build, is_filled), e);
}

struct signature_key *signature_key_ed25519(struct slice x, struct errbuf *e) {
	if (x.len != ED25519_BYTES)
		return refuse(e, SIGNATURE_EdDSA, "an Ed25519 key has 32 bytes");
	return key_new(SIGNATURE_EdDSA, EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x.ptr, x.len), e);
}

void signature_key_free(struct signature_key **key) {
	struct signature_key *k = *key;

	*key = NULL;
	if (k == NULL)
		return;
	EVP_PKEY_free(k->public);
	explicit_bzero(k->secret, k->secret_len);
	mem_free(k);
}

/* --- signatures --- */

static bool is_good_hmac(const struct signature_key *k, struct slice message, struct slice signature) {
	uint8_t own[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (HMAC(digest_of(k->algorithm), k->secret, (int)k->secret_len, message.ptr, message.len, own, &len) == NULL)
		return false;
	return signature.len == len && digest_is_equal(own, signature.ptr, len);
}

static bool verify(const struct signature_key *k, struct slice message, struct slice signature) {
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *rules = NULL;
	bool is_good = context != NULL &&
	    EVP_DigestVerifyInit(context, &rules, digest_of(k->algorithm), NULL, k->public) == 1;

	/* A salt as long as the digest (RFC 7518, 3.5). */
	if (is_good && algorithms[k->algorithm].family == SIGNATURE_PSS)
		is_good = EVP_PKEY_CTX_set_rsa_padding(rules, RSA_PKCS1_PSS_PADDING) == 1 &&
		    EVP_PKEY_CTX_set_rsa_pss_saltlen(rules, RSA_PSS_SALTLEN_DIGEST) == 1;
	is_good = is_good && EVP_DigestVerify(context, signature.ptr, signature.len, message.ptr, message.len) == 1;
	EVP_MD_CTX_free(context);
	return is_good;
}

/* JWS has the two numbers one behind the other, OpenSSL wants them in DER. */
static bool is_good_ec(const struct signature_key *k, struct slice message, struct slice signature) {
	size_t half = curve_bytes(k->algorithm);
	ECDSA_SIG *pair;
	unsigned char *der = NULL;
	bool is_good = false;
	int len;

	if (signature.len != 2 * half)
		return false;
	pair = ECDSA_SIG_new();
	if (pair == NULL)
		mem_exhausted(signature.len);
	ECDSA_SIG_set0(pair, BN_bin2bn(signature.ptr, (int)half, NULL), BN_bin2bn(signature.ptr + half, (int)half, NULL));
	len = i2d_ECDSA_SIG(pair, &der);
	if (len > 0)
		is_good = verify(k, message, slice_of(der, (size_t)len));
	OPENSSL_free(der);
	ECDSA_SIG_free(pair);
	return is_good;
}

bool signature_is_good(const struct signature_key *k, struct slice message, struct slice signature) {
	bool is_good = false;

	switch (algorithms[k->algorithm].family) {
	case SIGNATURE_HMAC:
		is_good = is_good_hmac(k, message, signature);
		break;
	case SIGNATURE_EC:
		is_good = is_good_ec(k, message, signature);
		break;
	case SIGNATURE_RSA:
	case SIGNATURE_PSS:
	case SIGNATURE_ED:
		is_good = verify(k, message, signature);
		break;
	}
	ERR_clear_error();
	return is_good;
}
