/*
 * nets - a list of addresses and networks, and whether somebody is in one of them
 *
 * Entries: IPV4, IPV4/BITS, IPV6, IPV6/BITS, or "unix" for everybody who comes by a unix socket. Bits behind the prefix do not count.
 */
#ifndef COMMON_SVC_NETS_H
#define COMMON_SVC_NETS_H

#include "common/base/errbuf.h"
#include "common/svc/sock.h"

struct net {
	uint8_t ip[16];		/* as in struct sock_peer */
	uint8_t bits;		/* of 128 */
};

struct nets {
	struct net *item;	/* owned */
	size_t count;
	bool has_unix;
};

/* False: one of them is no address, and nothing is kept. */
bool nets_init(struct nets *n, char *const *text, size_t count, struct errbuf *e) MUST_CHECK;
void nets_fini(struct nets *n);
bool nets_has(const struct nets *n, const struct sock_peer *p);

#endif
