/*
 * tls_bundle - certificates and keys as one run of bytes, on their way from the master, who may read them, to the workers
 *
 * A sequence of parts: kind (one byte), length (four, big endian), bytes. What belongs to a certificate follows its name.
 * These bytes hold private keys: whoever has them ends them with tls_bundle_fini().
 */
#ifndef SERVER_NET_TLS_BUNDLE_H
#define SERVER_NET_TLS_BUNDLE_H

#include "common/base/buf.h"

enum tls_part {
	TLS_PART_NAME = 1,	/* what errors and the log call the next certificate: its file */
	TLS_PART_CERTIFICATE,	/* PEM: the certificate and its chain */
	TLS_PART_KEY,			/* PEM */
	TLS_PART_OCSP,			/* DER: the response to be stapled */
	TLS_PART_CLIENT_CA,		/* PEM: who may sign clients; of all, not of one certificate */
};

enum { TLS_BUNDLE_MAX = 8 << 20 };

void tls_bundle_add(struct buf *bundle, enum tls_part part, struct slice bytes);
/* Takes one part off the front; false: there is none, or what is there is none. */
bool tls_bundle_next(struct slice *rest, enum tls_part *part, struct slice *bytes);
/* Leaves nothing of it in memory. */
void tls_bundle_fini(struct buf *bundle);

#endif
