/*
 * live - the data of the status page: /live, a WebSocket of the admin listener
 *
 * A viewer gets one message "history" when it comes, with the points of the last 15 minutes, and from then on one message "now" a second,
 * which is made once for all, and only while there are viewers. The measuring never stops, so that a page that is opened when something is
 * wrong has what was before. A viewer has nothing to say.
 * Bounds: LIVE_VIEWERS viewers, who take no more than any client (client_queue_bytes).
 */
#ifndef SERVER_ADMIN_LIVE_H
#define SERVER_ADMIN_LIVE_H

#include "server/admin/admin.h"

enum { LIVE_VIEWERS = 32 };

/* Returns owned; borrows the admin, whose hub is there. */
struct live *live_new(struct admin *a, struct evloop *loop) MUST_CHECK;
/* When nobody is connected any more. */
void live_free(struct live **l);
/* There is another token: those who came with the one before go. */
void live_end_viewers(struct live *l);

#endif
