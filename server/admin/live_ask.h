/*
 * live_ask - what the status page has to ask others for: the largest rooms of the broker, the slowest readers of the workers
 *
 * Asked now and then while somebody looks, and the more rarely the longer the answer takes; readers only while something waits for one.
 * Embedded; lives on its process's hub.
 */
#ifndef SERVER_ADMIN_LIVE_ASK_H
#define SERVER_ADMIN_LIVE_ASK_H

#include <jansson.h>

#include "server/hub/hub.h"

/* One question. */
struct live_question {
	uint64_t asked_ms, next_ms;	/* by the monotonic clock */
	bool is_asked;		/* and not answered */
	json_t *answer;		/* owned; NULL: none yet, or none to be had now */
};

struct live_ask {
	struct hub_client client;
	struct evloop *loop;	/* borrowed */
	bool is_wanted;		/* somebody looks */
	struct live_question rooms, readers;
};

void live_ask_init(struct live_ask *a, struct hub *hub, struct evloop *loop);
void live_ask_fini(struct live_ask *a);
/* Once a second, while somebody looks. */
void live_ask_again(struct live_ask *a, bool is_somebody_slow);
/* Nobody looks any more: what was answered gets old. */
void live_ask_forget(struct live_ask *a);

#endif
