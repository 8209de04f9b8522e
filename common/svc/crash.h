/*
 * crash - what a process says before it dies of SIGSEGV, SIGBUS, SIGFPE, SIGILL or SIGABRT (BUG_ON)
 *
 * One line in the log: the signal, the address or the broken promise, whom it was serving, and where it was: offsets into the program
 * and its libraries, which addr2line resolves. Then it dies of that very signal, so that the master sees it and starts another. What
 * had happened before, the master reads in the trace. Works in the sandbox, on a stack of its own, without memory or files.
 */
#ifndef COMMON_SVC_CRASH_H
#define COMMON_SVC_CRASH_H

#include "common/base/base.h"

/* Once in every program, after its log was set up; what it forks later inherits it. Before the sandbox: it looks at what is loaded. */
void crash_init(void);

#endif
