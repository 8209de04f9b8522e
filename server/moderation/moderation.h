/*
 * moderation - what moderators have ordered, learned from its channel and done to this process's clients
 *
 * Does:      subscribes to the channel of moderation, reads its history from the beginning (again, when its epoch has changed), tells the
 *            table of limits who is banned and muted, and closes the connections of those who are kicked or banned.
 * Does not:  give orders (order.h, hub_publish), answer clients, or decide who may.
 * Order:     whatever comes first, what was said later stands: the table goes by the time of the publication. So history may be read late,
 *            and again. Of history the last order for each user and action is obeyed, when all pages have come; what comes live, at once.
 *            A kick is for those who were here when it was said.
 * With the engine of one host the history is lost when the broker ends; the table stands until the master ends.
 */
#ifndef SERVER_MODERATION_MODERATION_H
#define SERVER_MODERATION_MODERATION_H

#include "common/base/htab.h"
#include "server/hub/hub.h"
#include "server/limits/limits.h"
#include "server/moderation/last_orders.h"

/* Embedded by its process. */
struct moderation {
	struct hub_client client;
	struct conns *conns;
	struct limits *limits;
	struct hub_position read;	/* so far the history is known */
	struct last_orders last;	/* what it says up to there, as long as there is more to read */
	bool is_reading;	/* there is */
	bool is_asked;		/* a page is under way */
	bool is_stale;		/* and does not belong to what is to be read now */
	uint64_t no_room_ms[LIMIT_SANCTIONS], unreadable_ms;	/* when it happened last, for the log; 0: never */
	struct htab wanted;		/* struct wanted: whose connections are to be closed, if they have any */
	struct evloop_timer review;	/* closes them in a turn of their own: nobody is closed amid a delivery */
	struct evloop_timer retry;
};

/* The form of its hub_client; m is ready before the hub hands anything out. */
void moderation_form_init(struct hub_form *form, struct moderation *m);
/* Borrows all for life. form: the index of its form. */
void moderation_start(struct moderation *m, struct hub *hub, uint8_t form, struct conns *conns, struct limits *limits);
/* Before the hub is freed. */
void moderation_stop(struct moderation *m);

#endif
