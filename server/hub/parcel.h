/*
 * parcel - the frames of a turn, gathered per channel: one counted buffer for all who get the same bytes
 *
 * Who gets the same bytes is a matter of form (what the front end writes) and wire (plain, or deflated for a window size). Messages
 * that are not worth compressing are the same for all wires, so a parcel is for one form and a set of wires, and those sets
 * only part in a turn that has something to compress. Each message is deflated once per window size that needs it, however many
 * clients get it. A large message that lies in a counted buffer stays there, behind a parcel of its header.
 */
#ifndef SERVER_HUB_PARCEL_H
#define SERVER_HUB_PARCEL_H

#include "common/base/buf.h"
#include "server/hub/channel.h"

struct parcel {
	struct list link;	/* owned by its channel's list */
	struct rcbuf *frames;
	struct rcbuf *payload;	/* owned: of the only frame, whose header is all of `frames`; or NULL */
	uint32_t messages;
	uint8_t form;
	uint8_t wires;		/* bit per wire */
	bool is_filling;	/* it may take more */
};

struct parcels {
	struct ws_deflate_settings deflate;
	struct buf deflated;	/* one message */
};

void parcels_init(struct parcels *ps, const struct ws_deflate_settings *deflate);
void parcels_fini(struct parcels *ps);
/* A message for all who have the form now. `in`: the counted buffer that the payload lies in, or NULL; shared if that is large. False: no
 * memory, somebody does not get it. */
bool parcels_add(struct parcels *ps, struct channel *ch, uint8_t form, uint8_t opcode, struct slice payload, struct rcbuf *in) MUST_CHECK;
/* What comes next goes into new ones. */
void parcels_close(struct channel *ch);
/* Frees all. */
void parcels_discard(struct channel *ch);
/* Gives back what a large message has made large. */
void parcels_trim(struct parcels *ps);

#endif
