/*
 * credentials - what the master keeps of option `auth`: the tokens, or the keys that tokens are signed with
 *
 * As with certificates: the master may read them, a worker gets them by inheritance or in a sealed file, and what cannot be used is
 * found out here, before any worker hears of it.
 */
#ifndef SERVER_MASTER_CREDENTIALS_H
#define SERVER_MASTER_CREDENTIALS_H

#include "common/base/buf.h"
#include "common/svc/config.h"

/* Zeroed at the start: none. */
struct credentials {
	struct buf bundle;	/* see auth.h; empty with auth=none */
	struct buf summary;	/* for the log */
};

/* Reads and tries all that the configuration names. On failure nothing is kept. */
bool credentials_open(struct credentials *c, const struct config *config, struct errbuf *e) MUST_CHECK;
void credentials_close(struct credentials *c);
/* For --check: as credentials_open(), and forgets them. */
bool credentials_check(const struct config *config, struct errbuf *e) MUST_CHECK;

#endif
