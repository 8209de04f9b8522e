/*
 * scenario - what a kind of load does in each of its processes
 *
 * All functions run in one of the processes, but `check`, which is the coordinator's. Those that are NULL are not called.
 */
#ifndef TESTS_LOAD_SCENARIO_H
#define TESTS_LOAD_SCENARIO_H

#include "common/base/errbuf.h"
#include "tests/load/scenario_id.h"

struct load;
struct options;

/* What holds for options that are not given; 0: they have to be, or are not there. */
struct defaults {
	long connections, bytes, publishers, under_way, at_once, rooms, rate;
};

struct scenario {
	enum scenario_set id;
	const char *name, *path;
	const char *summary; /* for --help */
	bool connects_in_run; /* the scenario makes the connections itself */
	struct defaults defaults;
	/* Are these options good together? */
	bool (*check)(const struct options *o, struct errbuf *err);
	void (*begin)(struct load *l);			/* before the first connection: sets what is called of its clients */
	void (*run)(struct load *l);			/* once, when messages may go */
	/* Between events, until the time is over: does what is due. Returns when there is more to do. */
	uint64_t (*turn)(struct load *l, uint64_t now);
	bool (*is_done)(struct load *l);		/* before the time is over */
	bool (*has_all)(struct load *l);		/* has everything arrived that was sent? */
	void (*finish)(struct load *l);			/* counts what is missing, and frees */
};

extern const struct scenario scenario_echo, scenario_broadcast, scenario_chat, scenario_idle, scenario_connect,
	scenario_reconnect;

/* In the order of --help; ends with NULL. */
extern const struct scenario *const scenarios[];

#endif
