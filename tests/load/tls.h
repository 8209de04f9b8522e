/*
 * tls - the client's side of TLS, on the descriptor of a client
 */
#ifndef TESTS_LOAD_TLS_H
#define TESTS_LOAD_TLS_H

#include <sys/types.h>

#include "tests/load/options.h"

struct ssl_st;

/* Before the processes are made. False with a sentence. */
bool tls_init(const struct options *o, struct errbuf *err) MUST_CHECK;
/* Returns owned. */
struct ssl_st *tls_new(int fd, const struct options *o) MUST_CHECK;
void tls_free(struct ssl_st *tls);
/* 1: done; 0: goes on when there are bytes, or room; -1: failed, tls_problem() says why. */
int tls_handshake(struct ssl_st *tls) MUST_CHECK;
/* Like recv and send; errno is EPROTO when TLS is broken. */
ssize_t tls_recv(struct ssl_st *tls, void *out, size_t size) MUST_CHECK;
ssize_t tls_send(struct ssl_st *tls, const void *bytes, size_t len) MUST_CHECK;
/* Valid until the next call. */
const char *tls_problem(struct ssl_st *tls);

#endif
