/*
 * delivery - from events of a channel to frames in its subscribers' queues
 *
 * Does:      encode each event once per form that somebody has, gather the frames of a turn in shared buffers (parcel), give each subscriber one pointer per parcel; the member count of large channels, now and then.
 * Does not:  know positions, the broker, or what the forms write.
 */
#ifndef SERVER_HUB_DELIVERY_H
#define SERVER_HUB_DELIVERY_H

#include "common/base/buf.h"
#include "server/hub/parcel.h"

struct delivery {
	struct evloop *loop;
	const struct hub_form *forms;	/* borrowed */
	size_t form_count;
	struct list gathered;	/* channels with parcels */
	struct list counting;	/* struct member_counting: those that owe one */
	struct evloop_timer count_timer;
	struct buf scratch;	/* one payload */
	struct parcels parcels;
};

void delivery_init(struct delivery *d, struct evloop *loop, const struct hub_form *forms, size_t form_count,
    size_t message_max_bytes, const struct ws_deflate_settings *deflate);
void delivery_fini(struct delivery *d);

void delivery_publication(struct delivery *d, struct channel *ch, const struct ipc_publication *p);
void delivery_member_event(struct delivery *d, struct channel *ch, const struct hub_member_event *event);
/* To one client, at once. */
void delivery_own_arrival(struct delivery *d, struct channel *ch, struct hub_client *c, const struct hub_member_event *event);
/* Tells the channel's position. */
void delivery_reset(struct delivery *d, struct channel *ch);

/* To those who are live on it now. Their connections may be closed by it, and their front ends leave channels then. */
void delivery_hand_out(struct channel *ch);
/* The channel is given up. */
void delivery_discard(struct channel *ch);
bool delivery_has_gathered(const struct delivery *d);
/* All channels. */
void delivery_turn_end(struct delivery *d);

#endif
