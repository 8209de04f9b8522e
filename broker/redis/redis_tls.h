/*
 * redis_tls - TLS below a connection of hiredis, where the installed hiredis has it (1.0 or newer, with its part for TLS)
 *
 * The server's certificate has to be one of its host, and of an authority that OpenSSL trusts by default (SSL_CERT_FILE and
 * SSL_CERT_DIR say which).
 */
#ifndef BROKER_REDIS_REDIS_TLS_H
#define BROKER_REDIS_REDIS_TLS_H

#include "common/base/errbuf.h"

struct redisContext;
struct ssl_st;

bool redis_tls_is_built(void);
/* From now on what the context reads and writes is TLS; host: a name or a numeric address. Returns borrowed from the context; NULL:
 * it cannot be begun. */
struct ssl_st *redis_tls_start(struct redisContext *c, const char *host, struct errbuf *e) MUST_CHECK;
/* Why the server's certificate was refused; NULL: it was not. Static. */
const char *redis_tls_refusal(struct ssl_st *ssl);

#endif
