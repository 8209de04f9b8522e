/*
 * proxy_reader - takes the header of the PROXY protocol off a socket, and not a byte more: what follows may be TLS's
 */
#ifndef SERVER_NET_PROXY_READER_H
#define SERVER_NET_PROXY_READER_H

#include "common/base/buf.h"
#include "server/net/proxy_header.h"
#include "server/net/stream.h"

/* When fd is readable; `kept` holds what has come of the header so far and has room for PROXY_HEADER_MAX. STREAM_OK: it was complete and
 * good. STREAM_ERROR with errno EPROTO: it is not, *sentence says why. */
enum stream_result proxy_reader_take(int fd, struct buf *kept, struct sock_peer *client, const char **sentence) MUST_CHECK;

#endif
