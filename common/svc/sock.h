/*
 * sock - addresses and non-blocking sockets (IPv4, IPv6, unix)
 *
 * All descriptors are non-blocking and close-on-exec unless said otherwise.
 */
#ifndef COMMON_SVC_SOCK_H
#define COMMON_SVC_SOCK_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/base/errbuf.h"
#include "common/base/slice.h"

struct sock_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} u;
	socklen_t len;
};

/* A client's address in 20 bytes. IPv4 is kept mapped (::ffff:a.b.c.d); a unix peer is all zeros. Port in host order; 0: not known,
 * because only a proxy said who it is. */
struct sock_peer {
	uint8_t ip[16];
	uint16_t port;
	uint16_t is_unix;
};

enum { SOCK_TEXT_MAX = 128 };	/* longest address text, with its NUL */

/* IPV4:PORT, [IPV6]:PORT, unix:/PATH, unix:@NAME (abstract). No names are looked up. */
bool sock_parse(const char *text, struct sock_addr *out, struct errbuf *e) MUST_CHECK;
/* Only from this machine can somebody come there. */
bool sock_is_local(const struct sock_addr *a);
void sock_text(const struct sock_addr *a, char out[SOCK_TEXT_MAX]);
void sock_peer_text(const struct sock_peer *p, char out[SOCK_TEXT_MAX]);
/* What the above writes, or a proxy: IPV4, IPV4:PORT, IPV6, [IPV6], [IPV6]:PORT, unix: */
bool sock_peer_parse(struct slice text, struct sock_peer *out) MUST_CHECK;
void sock_peer_of(const struct sock_addr *a, struct sock_peer *out);

/* False when somebody listens there already, also with SO_REUSEPORT (which the kernel would let us share in silence). Removes
 * a unix socket's file that nobody listens on any more. */
bool sock_probe_free(const struct sock_addr *a, struct errbuf *e) MUST_CHECK;
/* Two servers that start in the same instant both find an address free, and could come to share it: the one with this descriptor
 * goes on. Held until closed; -1: another one holds it. Not for port 0. */
int sock_lock(const struct sock_addr *a, struct errbuf *e) MUST_CHECK;
/* Binds and listens; TCP with SO_REUSEPORT, and with TCP_NODELAY and TCP_NOTSENT_LOWAT (128 KiB: a reader that stalls would else pin megabytes
 * of kernel memory), which whoever is accepted inherits. *a gets the port that the system chose for port 0. The descriptor, or -1. */
int sock_listen(struct sock_addr *a, int backlog, struct errbuf *e) MUST_CHECK;
/* Starts to connect a stream socket; unix sockets connect at once. The descriptor, or -1 with errno. */
int sock_connect(const struct sock_addr *a) MUST_CHECK;
/* -1 with errno; EAGAIN when nobody waits. */
int sock_accept(int listener, struct sock_peer *peer) MUST_CHECK;
/* How many wait there to be accepted; 0 of a unix socket, of which the kernel does not say it. */
unsigned sock_waiting(int listener);
/* Closing will reset the connection: what waits to be sent is dropped instead of kept by the kernel until the peer takes it. */
void sock_reset_at_close(int fd);
/* What the kernel has for this socket: received and not yet taken, queued and not yet acknowledged. */
size_t sock_memory_bytes(int fd);
/* Of that, what is queued for the peer. */
size_t sock_untaken_bytes(int fd);

#endif
