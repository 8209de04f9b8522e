/*
 * sandbox - a process gives up, for good, what it will never need again: files, programs, other processes, strange sockets, new code
 *
 * For whoever comes to run code of his own in it. Of two parts of the kernel, as far as it has them: Landlock (Linux 5.13; TCP from
 * its version 4 on, signals from 6 on) and a seccomp filter. What is open stays usable. To be entered when all has been opened, read
 * and loaded, and after proc_no_new_privileges().
 */
#ifndef COMMON_SVC_SANDBOX_H
#define COMMON_SVC_SANDBOX_H

#include "common/base/base.h"

/* LOCAL: it connects to unix sockets only. NETWORK: it also connects to other hosts, for which it may read what finding them and
 * checking their certificates takes (below /etc, and whereto that leads). */
enum sandbox_reach { SANDBOX_LOCAL = 0, SANDBOX_NETWORK };

/* What is in force from now on. */
struct sandbox_report {
	int landlock;		/* its version; 0: none */
	bool has_filter;
};

void sandbox_enter(enum sandbox_reach reach, struct sandbox_report *out);
/* The above if it is wanted, and says in the log what is in force. Builds with a sanitizer, which needs files and processes, do without. */
void sandbox_start(bool is_wanted, enum sandbox_reach reach);

#endif
