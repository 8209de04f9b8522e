/* tls_self_signed - a certificate for localhost that nobody vouches for */
#include "server/net/tls_self_signed.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "common/base/digest.h"

enum { DAY_SECONDS = 86400, VALID_DAYS = 365 };

static bool add_extension(X509 *x, int nid, const char *value) {
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	bool is_added = extension != NULL && X509_add_ext(x, extension, -1) == 1;

	X509_EXTENSION_free(extension);
	return is_added;
}

static bool fill(X509 *x, EVP_PKEY *key) {
	static const unsigned char host[] = "localhost";
	X509_NAME *name = X509_get_subject_name(x);
	int64_t serial;

	random_bytes(&serial, sizeof(serial));
	return X509_set_version(x, X509_VERSION_3) == 1 &&
	    ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), (uint64_t)serial >> 1 | 1) == 1 &&
	    /* Clocks of clients differ. */
	    X509_gmtime_adj(X509_getm_notBefore(x), -(long)DAY_SECONDS) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(x), (long)VALID_DAYS * DAY_SECONDS) != NULL &&
	    X509_set_pubkey(x, key) == 1 &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, host, -1, -1, 0) == 1 && X509_set_issuer_name(x, name) == 1 &&
	    add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(x, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:0:0:0:0:0:0:0:1") &&
	    X509_sign(x, key, EVP_sha256()) > 0;
}

static void take(BIO *bio, struct buf *out) {
	char *text;
	long len = BIO_get_mem_data(bio, &text);

	if (len > 0)
		buf_add(out, slice_of(text, (size_t)len));
}

bool tls_self_signed_make(struct buf *certificate, struct buf *key, struct errbuf *e) {
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	BIO *certificate_text = BIO_new(BIO_s_mem()), *key_text = BIO_new(BIO_s_secmem());
	bool is_made = pkey != NULL && x != NULL && certificate_text != NULL && key_text != NULL && fill(x, pkey) &&
	    PEM_write_bio_X509(certificate_text, x) == 1 &&
	    PEM_write_bio_PrivateKey(key_text, pkey, NULL, NULL, 0, NULL, NULL) == 1;

	if (is_made) {
		take(certificate_text, certificate);
		take(key_text, key);
	} else {
		errbuf_set(e, "cannot make a certificate: %s", ERR_reason_error_string(ERR_peek_last_error()));
	}
	ERR_clear_error();
	BIO_free(certificate_text);
	BIO_free(key_text);
	X509_free(x);
	EVP_PKEY_free(pkey);
	return is_made && !certificate->failed && !key->failed;
}
