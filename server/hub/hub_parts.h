/*
 * hub_parts - the hub of a process from inside; for the files of this folder alone
 *
 * bus, channel, delivery and recent know nothing of their users; hub, client, request, reads and resync put them together.
 */
#ifndef SERVER_HUB_HUB_PARTS_H
#define SERVER_HUB_HUB_PARTS_H

#include "server/hub/bus.h"
#include "server/hub/channel.h"
#include "server/hub/delivery.h"
#include "server/hub/hub.h"
#include "server/hub/reads.h"
#include "server/hub/recent.h"

/* What has to be said again after the link came up, in this order. */
enum resync_phase { RESYNC_IDLE = 0, RESYNC_IDENTITIES, RESYNC_CHANNELS, RESYNC_MEMBERS, RESYNC_ANSWERS };

struct resync {
	struct list behind;	/* channels to be asked for */
	struct list later;	/* those that the broker could not answer for; the timer brings them back */
	struct list questions;	/* struct resync_question: under way */
	struct list cursor;	/* on hub.members while it is walked: who comes next stands behind it */
	struct evloop_timer retry;
	enum resync_phase phase;
	uint32_t question_count;
	uint32_t channels, filled, lost;	/* since the link came up, for the log */
};

struct hub {
	struct evloop *loop;
	struct hub_settings settings;
	struct bus *bus;
	struct channels channels;
	struct delivery delivery;
	struct recent recent;
	struct resync resync;
	struct reads reads;
	struct list members;	/* hub_client.link: clients with an identity */
	struct list answerable;	/* struct request: to be answered at the end of the turn without asking */
	struct list orphans;	/* struct request: nobody waits any more, but what they do must be undone */
	size_t pending;
	struct buf engine;	/* the last engine_state, as it came on the link; empty: none */
	hub_inspect_fn on_inspect;	/* NULL: it is no worker's */
	void *on_inspect_arg;
	struct evloop_timer hold_timer;	/* ends a hold */
	bool is_holding;	/* what is gathered waits for what the broker was just given */
	bool is_publishing;	/* in this turn */
	bool has_heard;		/* in this turn, of a channel */
};

/* --- hub --- */

/* The next publication of a channel: moves the position, hands on. */
void hub_take_publication(struct hub *h, struct channel *ch, const struct ipc_publication *p);
/* Cuts the link: the broker sent what cannot be. */
void hub_bad_message(struct hub *h, const char *why);

/* --- client --- */

/* Says a member and notes the link in *said_on. flags: IPC_RESYNC or 0. False: could not be said. */
bool client_tell_member(struct hub *h, struct slice channel, const struct hub_identity *identity, uint8_t flags,
    uint32_t *said_on);
struct request;

/* Its client goes: what has to be known to take its membership back. */
void client_copy_entry(struct request *r);
/* Accepts a pointer to NULL, and leaves it. */
void client_identity_free(struct hub_identity **identity);
/* For resync: everything of the client that was not said on this link. */
void client_tell_identity(struct hub *h, struct hub_client *c);
void client_tell_memberships(struct hub *h, struct hub_client *c);

/* --- resync: positions after a link loss or a gap --- */

void resync_init(struct hub *h);
/* After the bus is freed. */
void resync_fini(struct hub *h);
void resync_on_up(struct hub *h);
void resync_on_down(struct hub *h);
/* Something of a channel is missing. */
void resync_channel(struct hub *h, struct channel *ch);
/* Asks at once if it is behind and not asked for yet: what is asked after that is answered after it. */
void resync_channel_first(struct hub *h, struct channel *ch);
/* Says what the link takes now. */
void resync_turn_end(struct hub *h);
/* After the flush: there is more to say, and room for it. */
bool resync_is_hurried(const struct hub *h);

#endif
