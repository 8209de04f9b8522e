/*
 * tls - what the TLS connections of a process have in common: certificates, rules, keys of tickets, the bound of handshakes
 *
 * Does:      TLS 1.2 and 1.3, the certificate by the name that the client asks for (SNI), ALPN http/1.1, resumption by tickets only,
 *            OCSP stapling, client certificates; certificates replaced while connections live on.
 * Does not:  read files, move bytes (stream_tls).
 * Lifetime:  owned by its process; ends after its streams.
 */
#ifndef SERVER_NET_TLS_H
#define SERVER_NET_TLS_H

#include "common/base/buf.h"
#include "common/base/errbuf.h"
#include "server/net/tls_tickets.h"

struct ssl_st;
struct tls;

/* Parts of the bundle that it is made from. What belongs to a certificate follows its name. */
enum tls_part {
	TLS_PART_NAME = 1,	/* what errors and the log call the next certificate: its file */
	TLS_PART_CERTIFICATE,	/* PEM: the certificate and its chain */
	TLS_PART_KEY,		/* PEM */
	TLS_PART_OCSP,		/* DER: the response to be stapled */
	TLS_PART_CLIENT_CA,	/* PEM: who may sign clients; of all, not of one certificate */
};

struct tls_settings {
	const struct tls_tickets *tickets;	/* borrowed as long as there are connections; NULL: no resumption */
	uint32_t ticket_seconds;		/* how long a ticket is good */
	size_t handshakes_max;			/* under way at a time */
	bool is_client_required;		/* with a client CA: who has no certificate is refused */
	bool use_kernel;			/* for records, where it can */
};

/* From a bundle. Returns owned, or NULL. */
struct tls *tls_new(struct slice bundle, const struct tls_settings *settings, struct errbuf *e) MUST_CHECK;
void tls_free(struct tls **t);
/* New connections get these certificates; on failure the old ones. */
bool tls_replace(struct tls *t, struct slice bundle, struct errbuf *e) MUST_CHECK;
/* Adds "FILE (names) until DATE" for each certificate. */
void tls_describe(const struct tls *t, struct buf *out);

/* --- for stream_tls.c --- */

/* Returns owned, to be ended with SSL_free(); its handshake counts until tls_handshake_end(). NULL with errno EUSERS: there are too many,
 * or ENOMEM. */
struct ssl_st *tls_begin(struct tls *t, int fd) MUST_CHECK;
/* is_done: and not given up. */
void tls_handshake_end(struct ssl_st *ssl, bool is_done);

#endif
