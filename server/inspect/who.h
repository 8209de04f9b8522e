/*
 * who - which connections a question is about
 *
 * Lifetime:  struct who is embedded; what it borrows, its question has.
 * Input:     hostile: any subject may be asked for.
 */
#ifndef SERVER_INSPECT_WHO_H
#define SERVER_INSPECT_WHO_H

#include "common/ipc/ipc_msg.h"
#include "common/svc/nets.h"
#include "server/conn/conn.h"

struct who {
	enum ipc_match match;
	struct slice user;
	uint64_t number;	/* of a connection */
	struct sock_peer peer;	/* an address; port 0: whatever it is */
	struct nets nets;	/* or a network */
	bool is_peer;
	bool is_nobody;		/* of this process */
};

/* Borrows the subject. conns: of this process; NULL: only whether the question is one. False: it is none. */
bool who_init(struct who *w, enum ipc_match match, struct slice subject, const struct conns *conns) MUST_CHECK;
/* Works on a zeroed one. */
void who_fini(struct who *w);
/* IPC_MATCH_SLOWEST: everybody for whom something waits. */
bool who_is(const struct who *w, const struct conn *c);

#endif
