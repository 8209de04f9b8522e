/*
 * signature - keys, and signatures by them (RFC 7518, section 3; RFC 8037)
 *
 * Does:      make keys of what files hold, refuse weak ones, check signatures. All of it is done by OpenSSL.
 * Does not:  sign, read files, know JSON.
 * A key has one algorithm, and is used with no other: what a token says of its algorithm is never asked here. So no public key can
 * be taken for a secret, and there is no algorithm `none`.
 */
#ifndef SERVER_AUTH_SIGNATURE_H
#define SERVER_AUTH_SIGNATURE_H

#include "common/base/errbuf.h"
#include "common/base/slice.h"

enum signature_algorithm {
#define SIGNATURE_ALGORITHM(name, family, digest, curve) SIGNATURE_##name,
#include "server/auth/signature_algorithms.tbl"
	SIGNATURE_ALGORITHM_COUNT
};

enum signature_family { SIGNATURE_HMAC = 0, SIGNATURE_RSA, SIGNATURE_PSS, SIGNATURE_EC, SIGNATURE_ED };

struct signature_key;

/* False: none of the table. */
bool signature_find_algorithm(struct slice name, enum signature_algorithm *out) MUST_CHECK;
const char *signature_algorithm_name(enum signature_algorithm a);
enum signature_family signature_family_of(enum signature_algorithm a);

/* All return owned, or NULL. Refused are secrets shorter than the digest (RFC 7518, 3.2), RSA below 2048 bits, and keys of another
 * kind or curve than the algorithm's. */
struct signature_key *signature_key_secret(enum signature_algorithm a, struct slice secret, struct errbuf *e) MUST_CHECK;
/* -----BEGIN PUBLIC KEY----- */
struct signature_key *signature_key_pem(enum signature_algorithm a, struct slice pem, struct errbuf *e) MUST_CHECK;
/* Numbers, big endian. */
struct signature_key *signature_key_rsa(enum signature_algorithm a, struct slice n, struct slice exponent, struct errbuf *e) MUST_CHECK;
struct signature_key *signature_key_ec(enum signature_algorithm a, struct slice x, struct slice y, struct errbuf *e) MUST_CHECK;
struct signature_key *signature_key_ed25519(struct slice x, struct errbuf *e) MUST_CHECK;
void signature_key_free(struct signature_key **k);

enum signature_algorithm signature_key_algorithm(const struct signature_key *k);
/* In the form that JWS has for the algorithm. */
bool signature_is_good(const struct signature_key *k, struct slice message, struct slice signature) MUST_CHECK;

#endif
