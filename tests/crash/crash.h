/*
 * crash - ends a process by a mistake, on order. For tests/e2e/crash.test.mjs alone: linked into programs of its own (build/crash),
 * in front of functions that a client reaches; nothing of it is in a program that is installed
 */
#ifndef TESTS_CRASH_CRASH_H
#define TESTS_CRASH_CRASH_H

#include "common/base/slice.h"

/* "crash:SEGV", "crash:STACK" (overflows it), "crash:JUMP" (calls no function), "crash:BUS", "crash:FPE", "crash:ILL", "crash:BUG" (a
 * broken promise). Anything else: returns. */
void crash_on_order(struct slice order);

#endif
