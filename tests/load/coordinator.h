/*
 * coordinator - the process that starts the others, says when what begins, and adds up what they counted
 */
#ifndef TESTS_LOAD_COORDINATOR_H
#define TESTS_LOAD_COORDINATOR_H

#include "tests/load/options.h"

/* The whole load, with its results printed. Returns the exit status. */
int coordinate(struct options *o) MUST_CHECK;

#endif
