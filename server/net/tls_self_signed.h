/*
 * tls_self_signed - a certificate for localhost, made on the spot: for trying things out
 */
#ifndef SERVER_NET_TLS_SELF_SIGNED_H
#define SERVER_NET_TLS_SELF_SIGNED_H

#include "common/base/buf.h"
#include "common/base/errbuf.h"

/* ECDSA P-256, for localhost, 127.0.0.1 and ::1, good for a year. Adds PEM to initialised buffers. */
bool tls_self_signed_make(struct buf *certificate, struct buf *key, struct errbuf *e) MUST_CHECK;

#endif
