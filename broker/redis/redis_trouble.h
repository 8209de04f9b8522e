/*
 * redis_trouble - which errors a server answers at present: each kind is logged when it begins and when it is over, and not
 * sooner again than in 10 seconds
 *
 * A kind is over when the script that had it last works again, or another one does and it has not been met for 10 seconds.
 */
#ifndef BROKER_REDIS_REDIS_TROUBLE_H
#define BROKER_REDIS_REDIS_TROUBLE_H

#include "broker/redis/redis_scripts.h"

enum redis_error {
#define REDIS_ERROR(code, remedy) REDIS_ERROR_##code,
#include "broker/redis/redis_errors.tbl"
	REDIS_ERROR_COUNT
};

enum redis_remedy { REDIS_KEEP = 0, REDIS_LOAD, REDIS_CHECK, REDIS_LEAVE };

struct redis_trouble {
	size_t open;		/* kinds that have begun and are not over */
	struct {
		uint64_t count;	/* of refusals since it began; 0: it has not */
		uint64_t last_ms;
		uint64_t said_ms;	/* when its beginning was logged last; 0: never */
		bool is_said;		/* its end is logged, too */
		enum redis_script script;	/* that had it last */
	} kind[REDIS_ERROR_COUNT];
	char text[160];		/* the last error */
};

enum redis_error redis_error_of(struct slice text);
enum redis_remedy redis_error_remedy(enum redis_error kind);
/* address: of the server, for the log. */
void redis_trouble_refused(struct redis_trouble *t, enum redis_script script, struct slice text, const char *address, uint64_t now_ms);
void redis_trouble_done(struct redis_trouble *t, enum redis_script script, const char *address, uint64_t now_ms);
/* The link is gone: what it said counts no more. */
void redis_trouble_forget(struct redis_trouble *t);

#endif
