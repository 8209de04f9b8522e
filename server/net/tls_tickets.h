/*
 * tls_tickets - the keys of session tickets, in a mapping that the master writes and all workers read
 *
 * So a client that comes back may land on any worker. The first key makes new tickets, all of them open old ones.
 * No locks: the only writer fills the set of keys that is not in use and then turns to it; a reader takes a copy and sees whether that
 * was twice meanwhile.
 */
#ifndef SERVER_NET_TLS_TICKETS_H
#define SERVER_NET_TLS_TICKETS_H

#include "common/base/errbuf.h"
#include "common/base/slice.h"

enum { TLS_TICKET_NAME_BYTES = 16, TLS_TICKET_KEY_BYTES = 80, TLS_TICKET_KEYS_MAX = 8 };

/* In this order in a file, too. */
struct tls_ticket_key {
	uint8_t name[TLS_TICKET_NAME_BYTES];
	uint8_t aes[32];
	uint8_t hmac[32];
};

struct tls_tickets;

/* Master, before fork. Returns owned, or NULL. */
struct tls_tickets *tls_tickets_new(struct errbuf *e) MUST_CHECK;
void tls_tickets_free(struct tls_tickets **t);
/* A new random key goes first; the one before it is kept, others are forgotten. */
void tls_tickets_rotate(struct tls_tickets *t);
/* Keys from a file: 1 to TLS_TICKET_KEYS_MAX times TLS_TICKET_KEY_BYTES bytes, the first makes tickets. Refused, nothing changes. */
bool tls_tickets_check(struct slice keys, struct errbuf *e) MUST_CHECK;
void tls_tickets_set(struct tls_tickets *t, struct slice keys);
/* The key of new tickets (name NULL), or the one of this name; *is_first: it is both. False: there is none. */
bool tls_tickets_find(const struct tls_tickets *t, const uint8_t *name, struct tls_ticket_key *out, bool *is_first);

#endif
