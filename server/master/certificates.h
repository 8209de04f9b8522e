/*
 * certificates - what the master keeps of TLS: certificates and keys for the workers, keys of session tickets
 *
 * The master is the one who may read them (it keeps root); a worker gets them by inheritance or in a sealed file. What cannot be used
 * is found out here, before any worker hears of it.
 */
#ifndef SERVER_MASTER_CERTIFICATES_H
#define SERVER_MASTER_CERTIFICATES_H

#include "common/svc/config.h"
#include "server/net/tls_tickets.h"

/* Zeroed at the start: no TLS. */
struct certificates {
	struct buf bundle;		/* see bundle.h */
	struct buf self[2];		/* certificate and key of tls_self_signed, which live as long as this process */
	struct tls_tickets *tickets;
	uint64_t rotate_due_ms;		/* 0: the keys come from a file */
	struct buf summary;		/* for the log */
};

/* Reads all that the configuration names; does nothing when nobody listens for TLS. */
bool certificates_open(struct certificates *c, const struct config *config, uint64_t now_ms, struct errbuf *e) MUST_CHECK;
/* Again, from a configuration read again; on failure everything stays. */
bool certificates_reload(struct certificates *c, const struct config *config, uint64_t now_ms, struct errbuf *e) MUST_CHECK;
/* Changes the keys of tickets when it is time. */
void certificates_step(struct certificates *c, const struct config *config, uint64_t now_ms);
void certificates_close(struct certificates *c);
/* For --check: as certificates_open(), and forgets them. */
bool certificates_check(const struct config *config, struct errbuf *e) MUST_CHECK;

#endif
