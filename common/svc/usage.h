/*
 * usage - what the calling process takes of the machine: processor time, memory, descriptors
 *
 * Everything that is read is opened before the sandbox closes, and before root is given up: where nobody else may pass through /,
 * /proc is out of reach then.
 */
#ifndef COMMON_SVC_USAGE_H
#define COMMON_SVC_USAGE_H

#include "common/base/base.h"

/* How often it is worth looking. */
enum { USAGE_MS = 1000 };

struct usage {
	int memory_fd;		/* owned; -1: the kernel does not say */
	uint64_t files;		/* descriptors that were open then; of the first 256 where /proc is out of reach */
};

/* In a process that is about to give up root: what usage_open() takes over later. */
void usage_open_as_root(void);
void usage_open(struct usage *u);
void usage_close(struct usage *u);
/* Into the counters of this process. files_more: descriptors opened since, less those that were closed. */
void usage_count(const struct usage *u, uint64_t files_more);

#endif
