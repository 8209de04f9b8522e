/*
 * jwt_maker - tokens and keys for tests: what an issuer does
 */
#ifndef TESTS_UNIT_JWT_MAKER_H
#define TESTS_UNIT_JWT_MAKER_H

#include <openssl/evp.h>

#include "common/base/buf.h"
#include "server/auth/signature.h"

#define MAKER_SECRET "a secret of as many bytes as a digest of SHA-512 has, and some more"

/* Generated; bits: of RSA. Returns owned. */
EVP_PKEY *maker_rsa(unsigned bits);
EVP_PKEY *maker_ec(const char *curve);
EVP_PKEY *maker_ed25519(void);
/* Appends the public key in PEM, or the private one. */
void maker_pem(EVP_PKEY *key, bool is_private, struct buf *out);
/* Appends ,"NAME":"BASE64URL" of a number of the key: n, e, x, y. */
void maker_member(EVP_PKEY *key, const char *name, const char *parameter, size_t bytes, struct buf *out);
/* Appends text as base64url. */
void maker_encode(struct slice text, struct buf *out);
/* Appends header.payload.signature; pair: of the algorithm, or NULL for MAKER_SECRET. */
void maker_sign(enum signature_algorithm a, EVP_PKEY *pair, const char *header, const char *payload, struct buf *out);

#endif
