/*
 * listen_address - an address to listen on, and what is expected of those who come there
 */
#ifndef COMMON_SVC_LISTEN_ADDRESS_H
#define COMMON_SVC_LISTEN_ADDRESS_H

#include "common/svc/sock.h"

/* The kinds of listeners, by bits. */
enum listen_kind { LISTEN_PLAIN = 0, LISTEN_TLS = 1, LISTEN_PROXY = 2, LISTEN_KINDS = 4 };

/* As sock_parse(); " proxy_protocol" may follow, then *is_proxy: every connection begins with the header of that protocol. */
bool listen_address_parse(const char *text, struct sock_addr *out, bool *is_proxy, struct errbuf *e) MUST_CHECK;

#endif
