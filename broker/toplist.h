/*
 * toplist - the channels with most members, found in one round over all channels
 *
 * Does:      keeps what is asked, one question after the other, and of the channels that it is shown the largest.
 * Does not:  know where channels are: its engine shows each one once, some in each turn, so that nobody waits for a round.
 * Lifetime:  struct toplist is embedded by the engine.
 */
#ifndef BROKER_TOPLIST_H
#define BROKER_TOPLIST_H

#include "broker/engine.h"
#include "common/base/list.h"

enum { TOP_LIMIT_MAX = 100, TOP_WAITING_MAX = 16, TOP_STEP = 1024 /* channels that an engine shows in a turn */ };

struct top;

struct toplist {
	struct list waiting;	/* struct top; the first is under way */
	size_t count;
	size_t left;		/* channels to be shown for it; the engine's business */
	bool has_begun;		/* its round; likewise */
};

void toplist_init(struct toplist *ts);
void toplist_fini(struct toplist *ts);
/* False: too many wait. */
bool toplist_ask(struct toplist *ts, struct ticket t, const struct ipc_top_rooms *m) MUST_CHECK;
static inline bool toplist_is_asked(const struct toplist *ts) {
	return !list_is_empty(&ts->waiting);
}
/* A channel is there, with members or without; shown twice, it counts as it was shown last. */
void toplist_show(struct toplist *ts, const struct ipc_channel *ch);
/* The first question's round is over. The next one's has not begun. */
void toplist_answer(struct toplist *ts, const struct engine_events *events, void *arg, size_t room);

#endif
