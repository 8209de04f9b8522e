/*
 * control - what the master tells a worker or admin over their socket, and the admin process the master, one message at a time
 *
 * A message is two bytes, what and for which slot; some bring a descriptor along. The socket is SOCK_SEQPACKET: a message comes
 * whole or not at all.
 */
#ifndef SERVER_WORKER_CONTROL_H
#define SERVER_WORKER_CONTROL_H

#include "common/base/base.h"

enum control_byte {
	CONTROL_REFUSE = 'r',	/* answer newcomers with 503, keep the others (predrain) */
	CONTROL_DRAIN = 'd',	/* close listeners and clients, then end */
	CONTROL_LEND = 'l',	/* accept on the listeners of that slot too */
	CONTROL_TAKE_BACK = 't',	/* no longer */
	CONTROL_CERTIFICATES = 'c',	/* newcomers get those in the sealed file that comes along (bundle) */
	CONTROL_AUTH = 'a',	/* tokens and keys are those in the one that comes along */
	/* The admin process orders, as it was asked to: DRAIN, as by SIGTERM, or */
	CONTROL_RELOAD = 'h',	/* as by SIGHUP ... */
	CONTROL_RELOADED = 'H',	/* ... and what the master answers; slot: 1: what was read is in force, 0: it was refused */
};

struct control_message {
	enum control_byte what;
	int slot;
	int fd;		/* -1: none; a received one is owned by the receiver */
};

enum control_result { CONTROL_GOT = 0, CONTROL_AGAIN, CONTROL_GONE };

/* Borrows m->fd. False with errno. */
bool control_send(int socket, const struct control_message *m) MUST_CHECK;
/* GONE: the other side has ended. */
enum control_result control_receive(int socket, struct control_message *m) MUST_CHECK;

#endif
