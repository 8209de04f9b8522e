/*
 * request - what a client has asked and is not answered yet
 *
 * Owned by its client's list, until it is answered; an orphan by hub.orphans.
 */
#ifndef SERVER_HUB_REQUEST_H
#define SERVER_HUB_REQUEST_H

#include "server/hub/hub_parts.h"

struct request {
	struct bus_request bus;
	struct list on_client;		/* a ring without a head, which hub_client.requests points into; an orphan's: on hub.orphans */
	struct list answerable;
	struct list waiting;		/* on the hub's turns, for its client */
	void (*ask)(struct request *r);	/* when its turn has come; reads alone */
	struct rcbuf *question;		/* owned; what is asked then; NULL for hub_subscribe() */
	struct hub *hub;
	struct hub_client *client;	/* NULL: orphan */
	void *cookie;			/* owned */
	union {
		hub_result_fn result;
		hub_snapshot_fn snapshot;
		hub_members_fn members;
		hub_channels_fn channels;
		hub_inspection_fn inspection;
	} fn;
	struct hub_identity *identity;	/* hub_identify(), and an orphan that was entering: owned; else NULL */
	char *entering;			/* that orphan's channel: owned; else NULL */
	struct sub *sub;		/* hub_subscribe(): borrowed, waiting; else NULL */
	struct hub_position since;	/* of hub_subscribe(), to be asked again */
	uint32_t limit, member_limit;
	uint32_t grace_ms;		/* orphan */
	uint8_t tries;
	bool is_since;
	bool is_entering;		/* whether its client may become a member is asked */
	bool is_new;			/* it has become one by that, and so is to be told of it */
	bool is_waiting;		/* for its turn to be asked */
	bool has_turn;			/* counts as under way */
};

/* cookie: taken. NULL: the client is finished. */
struct request *request_new(struct hub_client *c, void *cookie);
/* It is about to be answered: neither its client nor the hub know it any more. The caller frees it after the
 * callback. */
void request_end(struct request *r);
void request_free(struct request *r);
/* Its bus_request.fn is called at the end of the turn with BUS_NOT_SENT. */
void request_answer_later(struct request *r);
/* The client is finished. */
void request_forget(struct request *r, uint32_t grace_ms);
/* Nobody waits any more, but the outcome matters, or that there is one. */
void request_orphan(struct request *r, uint32_t grace_ms);

void requests_turn_end(struct hub *h);
/* After the bus is freed. */
void requests_fini(struct hub *h);

/* Of the same client, in the order of their coming; NULL: it is the last. */
struct request *request_next(const struct request *r);

/* Which asks for this subscription; NULL: it is answered. */
struct request *request_for(const struct sub *s);

struct hub_position request_position(struct slice epoch, uint64_t offset);

#endif
