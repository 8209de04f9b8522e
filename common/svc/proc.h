/*
 * proc - what a process does to itself: title, limits, user, secrets, parent
 */
#ifndef COMMON_SVC_PROC_H
#define COMMON_SVC_PROC_H

#include "common/base/errbuf.h"

/* First thing in main(): keeps what setting a title needs. */
void proc_init(int argc, char **argv, char **environment);
/* "herold: worker 0", as ps and top show it. */
void proc_set_title(const char *title);
/* Raises the soft limit of open files to the hard limit; what it is now. */
uint64_t proc_raise_file_limit(void);
/* Descriptors below this limit that are open, of the first 256: to be asked before the program has many. */
unsigned proc_open_files(uint64_t limit);
/* Becomes `user` with all its groups and nobody else's, for good. Does nothing when not root. */
bool proc_drop_root(const char *user, struct errbuf *e) MUST_CHECK;
/* Neither this process nor what it starts will ever have rights by a program's file. */
void proc_no_new_privileges(void);
/* Whether what is in memory may be seen: written to a core file, or looked at by other processes of the same user. After
 * proc_drop_root(), with which the kernel decides it anew. */
void proc_set_core_dumps(bool are_allowed);
/* Overwrites what stands in the environment under names that begin with this, and takes it out. */
void proc_wipe_environment(const char *prefix);
/* The kernel sends SIGKILL to this process when its parent dies; false when the parent is dead already. */
bool proc_die_with_parent(int parent_pid) MUST_CHECK;
/* A sealed memfd with these bytes, to be inherited; -1 on failure. */
int proc_sealed_fd(const char *name, const void *bytes, size_t len, struct errbuf *e) MUST_CHECK;

#endif
