/*
 * listeners - the listening sockets of all worker slots and of the admin process
 *
 * Opened once, at the start, and kept by the master for its life, so that what waits in a dead worker's queue is not lost.
 * TCP: one socket with SO_REUSEPORT for each address and slot. Unix sockets have no SO_REUSEPORT: all slots share one.
 */
#ifndef SERVER_MASTER_LISTENERS_H
#define SERVER_MASTER_LISTENERS_H

#include "common/svc/config.h"
#include "common/svc/listen_address.h"
#include "common/svc/sock.h"

struct listeners {
	int slots, per_slot, admin_count, lock_count;
	uint8_t *kind;			/* [per_slot], bits of enum listen_kind */
	int *fd;			/* [slot * per_slot + i] */
	int *admin_fd;
	int *lock_fd;			/* of the addresses for clients, then of admin; -1: none */
	struct sock_addr *address;	/* [per_slot], with the ports that the system chose */
	struct sock_addr *admin_address;
};

/* On failure nothing stays open. */
bool listeners_open(struct listeners *l, const struct config *c, int slots, struct errbuf *e) MUST_CHECK;
/* Descriptors of all slots; unix sockets are shared. */
int listeners_count(const struct listeners *l);
/* A line for each address: they are served. */
void listeners_log_ready(const struct listeners *l);
/* How many clients wait to be accepted, by whichever worker. */
uint64_t listeners_waiting(const struct listeners *l);
/* Nobody can connect to this slot any more (on a unix socket: to any); what waits there is reset. */
void listeners_shut(const struct listeners *l, int slot);
/* In children: they are the master's, and end with it. */
void listeners_drop_locks(struct listeners *l);
/* The client sockets of this process; unix sockets keep their names. */
void listeners_drop_clients(struct listeners *l);
void listeners_drop_admin(struct listeners *l);
/* Everything, and the names of unix sockets. */
void listeners_close(struct listeners *l);

#endif
