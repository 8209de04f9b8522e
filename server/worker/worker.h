/*
 * worker - what master knows of the processes that it forks
 *
 * Each function runs a process to its end and returns its exit status; called in the child, right after fork.
 */
#ifndef SERVER_WORKER_WORKER_H
#define SERVER_WORKER_WORKER_H

#include "common/svc/config.h"
#include "common/svc/sock.h"
#include "common/svc/stats.h"

enum { HEROLD_EXIT_OK = 0, HEROLD_EXIT_FAILED = 1, HEROLD_EXIT_CONFIG = 78 };

/* What crosses the fork. */
struct heritage {
	const struct config *config;
	struct stats_map *stats;
	struct sock_addr broker;	/* where the broker listens */
	int slot;			/* of this child */
	int control_fd;			/* from master: enum control_byte; its end means that the master is gone */
	const int *listeners;		/* [slot * listeners_per_slot + i]; all of them, the own ones first to be used */
	int slots;
	int listeners_per_slot;
	const int *admin_listeners;
	int admin_listener_count;
};

/* One message from master to a child: two bytes, what and for which slot. */
enum control_byte {
	CONTROL_REFUSE = 'r',	/* answer newcomers with 503, keep the others (predrain) */
	CONTROL_DRAIN = 'd',	/* close listeners and clients, then end */
	CONTROL_LEND = 'l',	/* accept on the listeners of that slot too */
	CONTROL_TAKE_BACK = 't',	/* no longer */
};

int worker_run(const struct heritage *h);
int admin_run(const struct heritage *h);

#endif
