/*
 * worker - what master knows of the processes that it forks
 *
 * Each function runs a process to its end and returns its exit status; called in the child, right after fork.
 */
#ifndef SERVER_WORKER_WORKER_H
#define SERVER_WORKER_WORKER_H

#include "common/svc/config.h"
#include "common/svc/listen_address.h"
#include "common/svc/sock.h"
#include "common/svc/stats.h"
#include "server/auth/admin_token.h"
#include "server/limits/limits.h"
#include "server/net/tls_tickets.h"

enum { HEROLD_EXIT_OK = 0, HEROLD_EXIT_FAILED = 1, HEROLD_EXIT_CONFIG = 78 };

/* What crosses the fork. */
struct heritage {
	const struct config *config;
	struct stats_map *stats;
	struct sock_addr broker;	/* where the broker listens */
	int slot;			/* of this child */
	int control_fd;			/* from master: struct control_message; its end means that the master is gone */
	const int *listeners;		/* [slot * listeners_per_slot + i]; all of them, the own ones first to be used */
	int slots;
	int listeners_per_slot;
	const uint8_t *listener_kinds;	/* [listeners_per_slot], bits of enum listen_kind */
	struct slice certificates;	/* a bundle; empty: no TLS */
	struct buf *auth;		/* a bundle: tokens or keys; ended by the worker as soon as it has them */
	const struct tls_tickets *tickets;	/* shared with the master */
	struct limits *limits;		/* borrowed for life; a worker sits in the seat of its slot, admin in none */
	const struct memory_watch *memory;	/* opened by the master: nobody else may be able to open its file */
	struct admin_token admin_token;	/* of the admin process */
	const int *admin_listeners;
	int admin_listener_count;
};

int worker_run(const struct heritage *h);
int admin_run(const struct heritage *h);

#endif
