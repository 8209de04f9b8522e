/*
 * proxy_header - the header of the PROXY protocol, versions 1 and 2: who is behind the proxy that connects
 *
 * Does:      find its end, take the client's address out of it; be strict, because what follows is believed.
 * Does not:  I/O, decide who may send one. Pure. Input: hostile until its sender is known.
 * Leaves out: the server's address (checked for its form in version 1), and what version 2 carries besides (TLVs).
 */
#ifndef SERVER_NET_PROXY_HEADER_H
#define SERVER_NET_PROXY_HEADER_H

#include "common/base/slice.h"
#include "common/svc/sock.h"

/* A longer one is refused. Version 1 has 107 at most. */
enum { PROXY_HEADER_MAX = 4096 };

enum proxy_header_result {
	PROXY_HEADER_MORE = 0,	/* all of the input belongs to it, and more is to come */
	PROXY_HEADER_DONE,	/* *len bytes are used */
	PROXY_HEADER_BAD,	/* *sentence says why */
};

/* `input` begins with the first byte of the connection. *client stays as it is when the header names nobody: the proxy speaks for
 * itself (LOCAL), or does not know (UNKNOWN), or it is no address of a stream that we know. */
enum proxy_header_result proxy_header_parse(struct slice input, struct sock_peer *client, size_t *len, const char **sentence)
    MUST_CHECK;

#endif
