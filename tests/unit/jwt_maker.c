/* jwt_maker - tokens and keys for tests */
#include "tests/unit/jwt_maker.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "common/base/codec.h"
#include "common/base/mem.h"

enum { SIGNATURE_ROOM = 1024 };

EVP_PKEY *maker_rsa(unsigned bits) {
	return EVP_RSA_gen(bits);
}

EVP_PKEY *maker_ec(const char *curve) {
	return EVP_EC_gen(curve);
}

EVP_PKEY *maker_ed25519(void) {
	return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

void maker_pem(EVP_PKEY *key, bool is_private, struct buf *out) {
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long len;

	BUG_ON((is_private ? PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) : PEM_write_bio_PUBKEY(bio, key)) != 1);
	len = BIO_get_mem_data(bio, &text);
	buf_add(out, slice_of(text, (size_t)len));
	BIO_free(bio);
}

void maker_encode(struct slice text, struct buf *out) {
	char *room = mem_alloc(BASE64URL_LEN(text.len) + 1);

	base64url_encode(text, room);
	buf_add_text(out, room);
	mem_free(room);
}

void maker_member(EVP_PKEY *key, const char *name, const char *parameter, size_t bytes, struct buf *out) {
	uint8_t number[SIGNATURE_ROOM];
	BIGNUM *value = NULL;

	BUG_ON(EVP_PKEY_get_bn_param(key, parameter, &value) != 1);
	if (bytes == 0)
		bytes = (size_t)BN_num_bytes(value);
	BUG_ON(BN_bn2binpad(value, number, (int)bytes) < 0);
	buf_addf(out, ",\"%s\":\"", name);
	maker_encode(slice_of(number, bytes), out);
	buf_add_u8(out, '"');
	BN_free(value);
}

static size_t sign_secret(enum signature_algorithm a, struct slice message, uint8_t out[SIGNATURE_ROOM]) {
	const EVP_MD *digest = a == SIGNATURE_HS256 ? EVP_sha256() : a == SIGNATURE_HS384 ? EVP_sha384() : EVP_sha512();
	unsigned len;

	BUG_ON(HMAC(digest, MAKER_SECRET, sizeof(MAKER_SECRET) - 1, message.ptr, message.len, out, &len) == NULL);
	return len;
}

/* From DER to two numbers of the same length. */
static size_t raw_of_der(uint8_t out[SIGNATURE_ROOM], size_t len, int half) {
	const unsigned char *at = out;
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)len);
	uint8_t raw[SIGNATURE_ROOM];

	BUG_ON(pair == NULL || BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, half) < 0 ||
	       BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + half, half) < 0);
	ECDSA_SIG_free(pair);
	memcpy(out, raw, 2 * (size_t)half);
	return 2 * (size_t)half;
}

static size_t sign_pair(enum signature_algorithm a, EVP_PKEY *pair, struct slice message, uint8_t out[SIGNATURE_ROOM]) {
	static const char *const digests[] = { "SHA256", "SHA384", "SHA512", "SHA256", "SHA384", "SHA512", "SHA256", "SHA256", "SHA384", NULL };
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *rules;
	size_t len = SIGNATURE_ROOM;

	BUG_ON(EVP_DigestSignInit_ex(context, &rules, digests[a], NULL, NULL, pair, NULL) != 1);
	if (a == SIGNATURE_PS256)
		BUG_ON(EVP_PKEY_CTX_set_rsa_padding(rules, RSA_PKCS1_PSS_PADDING) != 1 ||
		       EVP_PKEY_CTX_set_rsa_pss_saltlen(rules, RSA_PSS_SALTLEN_DIGEST) != 1);
	BUG_ON(EVP_DigestSign(context, out, &len, message.ptr, message.len) != 1);
	EVP_MD_CTX_free(context);
	if (a == SIGNATURE_ES256 || a == SIGNATURE_ES384)
		return raw_of_der(out, len, a == SIGNATURE_ES256 ? 32 : 48);
	return len;
}

void maker_sign(enum signature_algorithm a, EVP_PKEY *pair, const char *header, const char *payload, struct buf *out) {
	uint8_t signature[SIGNATURE_ROOM];
	size_t start = out->len, len;
	struct slice message;

	maker_encode(slice_text(header), out);
	buf_add_u8(out, '.');
	maker_encode(slice_text(payload), out);
	message = slice_of(out->data + start, out->len - start);
	len = pair == NULL ? sign_secret(a, message, signature) : sign_pair(a, pair, message, signature);
	buf_add_u8(out, '.');
	maker_encode(slice_of(signature, len), out);
}
