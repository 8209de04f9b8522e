/*
 * procs - processor time and memory of a server's processes, as /proc has them
 *
 * Reads only; the processes are somebody else's and may end at any time.
 */
#ifndef TESTS_LOAD_PROCS_H
#define TESTS_LOAD_PROCS_H

#include "common/base/base.h"

enum { PIDS_MAX = 1024 };

struct pids {
	int pid[PIDS_MAX];
	size_t count;
};

/* "12,34" */
bool pids_parse(struct pids *p, const char *text) MUST_CHECK;
/* The process and all that descend from it; false when it is gone, or there are too many. */
bool pids_tree(struct pids *p, int pid) MUST_CHECK;
/* Nanoseconds on a processor, all threads of all of them together (/proc/PID/task/TID/schedstat, as exact as the kernel counts;
 * else the sum of utime and stime, in hundredths of a second). False when one of the processes is gone. */
bool pids_cpu_ns(const struct pids *p, uint64_t *ns) MUST_CHECK;
/* Memory, what is shared divided by how many share it (Pss of smaps_rollup). False when one is gone, or is somebody else's. */
bool pids_pss_bytes(const struct pids *p, uint64_t *bytes) MUST_CHECK;

#endif
