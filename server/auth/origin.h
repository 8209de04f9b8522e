/*
 * origin - which pages of browsers may connect here (Origin, RFC 6454), and under which names this server may be asked (Host)
 *
 * Pure: no I/O, no clock; nothing is allocated for a request. Input: hostile; the lists are the operator's.
 * A browser sends the Origin of the page whose script opens a WebSocket, and lets it do so across origins: who checks is the server.
 * The Host shows by which name the browser came here: a name that is not ours is somebody's who made his name point to our address
 * (DNS rebinding), so that his page and we are one origin.
 */
#ifndef SERVER_AUTH_ORIGIN_H
#define SERVER_AUTH_ORIGIN_H

#include "common/base/errbuf.h"
#include "common/base/slice.h"

/* scheme://host:port; borrowed from what was parsed. */
struct origin {
	struct slice scheme;	/* empty in a list of hosts */
	struct slice host;	/* of a pattern, what is behind "*" */
	struct slice port;	/* empty: the scheme's own; in a list of hosts: any */
	bool is_pattern;
};

struct origin_list {
	struct origin *item;	/* owned */
	size_t count;
	bool has_any;		/* "*" */
	bool has_null;		/* "null": pages from files, and sandboxed ones */
};

/* SCHEME://HOST[:PORT], "*." before the HOST for all names below it, "*" or "null". Borrows the texts for life. False: one of them is
 * none of these, and nothing is kept. */
bool origins_init(struct origin_list *l, char *const *text, size_t count, struct errbuf *e) MUST_CHECK;
/* HOST[:PORT], "*." before it as above; without a port, any. */
bool hosts_init(struct origin_list *l, char *const *text, size_t count, struct errbuf *e) MUST_CHECK;
void origin_list_fini(struct origin_list *l);

/* Why a page of this origin may not connect, or NULL. `count`: how many such headers there are; 0, not a browser, is welcome. With
 * an empty list, the page has to come from the host that it connects to. Static. */
const char *origin_refusal(const struct origin_list *l, struct slice origin, size_t count, struct slice host);
/* Why nobody may ask under this name, or NULL. An empty list has every name. Static. */
const char *host_refusal(const struct origin_list *l, struct slice host);
/* An address in digits, or localhost: names that nobody else can make point here. */
bool host_is_own(struct slice host);

#endif
