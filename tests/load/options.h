/*
 * options - what the user wants: the command line, checked
 */
#ifndef TESTS_LOAD_OPTIONS_H
#define TESTS_LOAD_OPTIONS_H

#include <netinet/in.h>

#include "tests/load/procs.h"
#include "tests/load/scenario.h"
#include "tests/load/target.h"

struct options {
	const struct scenario *scenario;
	struct target target;
#define NUMBER(name, field, least, most, scenarios, argument, help) long field;
#define FLAG(name, field, scenarios, help) bool field;
#define TEXT(name, field, scenarios, argument, help) const char *field;
#include "tests/load/options.tbl"
#undef NUMBER
#undef FLAG
#undef TEXT
	bool has_rate;		/* an open loop */
	bool has_source;
	uint32_t source;	/* of the first connection, in host order */
	uint32_t source_count;
	struct pids pids;	/* none: nobody is measured */
};

/* Prints what has to be said and ends the program when there is nothing to do: status 0 after help, 2 after a mistake. */
void options_read(struct options *o, int argc, char **argv);

#endif
