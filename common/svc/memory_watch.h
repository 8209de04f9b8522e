/*
 * memory_watch - how much memory there is to be had, and how much of it clients take
 *
 * What there is: the limit of the container (cgroups, version 2 or 1), else all of the machine's. What the kernel has for TCP sockets: the container's,
 * if it has a limit and the kernel says so (version 2), else the whole machine's, as /proc/net/sockstat has it; so others who serve clients on the
 * same machine count, too.
 * Does not:  decide anything. Opened by the master, it can be read by children, whatever user and sandbox they are in.
 */
#ifndef COMMON_SVC_MEMORY_WATCH_H
#define COMMON_SVC_MEMORY_WATCH_H

#include "common/base/base.h"

struct memory_watch {
	uint64_t there_is;	/* bytes; 0: not known */
	bool is_container;	/* and these are a container's limit */
	bool is_stat;		/* fd is the container's memory.stat; else sockstat */
	int fd;			/* owned; -1: the kernel does not say */
};

/* All bytes of this host that clients take. What many wait for is counted for each of them. */
struct memory_use {
	uint64_t queues;	/* waits for clients */
	uint64_t input;		/* came from them, and is not whole */
	uint64_t links;		/* waits between workers and broker */
	uint64_t sockets;	/* the kernel's, of TCP */
};

/* root: put before every path; "" but in tests. */
void memory_watch_open(struct memory_watch *w, const char *root);
void memory_watch_close(struct memory_watch *w);
/* Takes a few microseconds. */
void memory_use_now(const struct memory_watch *w, struct memory_use *out);

static inline uint64_t memory_use_sum(const struct memory_use *u) {
	return u->queues + u->input + u->links + u->sockets;
}

#endif
