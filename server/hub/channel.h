/*
 * channel - the channels that somebody of this process wants: who is on them and where they stand
 *
 * Does:      find and make channels, put subscribers on and off, keep a channel for a while after its last one.
 * Does not:  talk to the broker (its user is told when a channel is given up), encode or send.
 * Lifetime:  a channel is freed only by the timer that ends its idle time, so a pointer to it holds for a whole turn.
 */
#ifndef SERVER_HUB_CHANNEL_H
#define SERVER_HUB_CHANNEL_H

#include "server/hub/hub.h"
#include "common/base/htab.h"

/*
 *   NEW --snapshot--> LIVE --gap, link loss--> BEHIND --snapshot--> LIVE
 *    ^                                            |
 *    +------- link loss with no subscriber -------+
 */
enum channel_state {
	CHANNEL_NEW = 0,	/* no position yet: the first snapshot gives it */
	CHANNEL_LIVE,		/* every publication up to the position was handed out, and the next one will come */
	CHANNEL_BEHIND,		/* the position holds, but something after it is missing: resync asks for it */
};

/* Which bytes a subscriber's connection takes (conn_wire): plain ones, or deflated for a window of 9 to 15 bits. */
enum { HUB_WIRE_PLAIN = 0, HUB_WIRES = 8 };

static inline uint8_t hub_wire_bits(uint8_t wire) {
	return (uint8_t)(WS_DEFLATE_BITS_MIN - 1 + wire);
}

/* Of a channel that is too large to announce each member, who are told now and then how many there are. */
struct member_counting {
	struct list link;	/* on delivery's list while it is owed */
	struct channel *channel;
	uint64_t told_ms;	/* when it was told last; 0: not yet */
	uint32_t member_count;
	uint8_t forms;		/* bit per form that wants it */
};

/* In small rooms nearly every member has one of its own, so its size counts. */
struct channel {
	struct htab_node node;
	struct list subs;	/* live ones */
	struct list waiting;	/* those whose snapshot is under way */
	struct list idle;	/* on channels.idle while nobody is on it */
	struct list behind;	/* on resync's queue while it waits to be asked for */
	struct list gathered;	/* on delivery's list while parcels are filled */
	struct member_counting *counting;	/* owned; NULL until a count was owed */
	struct list parcels;	/* struct parcel, oldest first */
	uint64_t offset;
	uint64_t idle_since_ms;
	uint32_t said_on;	/* the link on which `subscribe` was sent last; 0: on none */
	uint8_t wires[HUB_FORMS_MAX];	/* bit per wire that a live subscriber has; with are_wires_old: had */
	bool are_wires_old;	/* a live subscriber has left: see channel_wires() */
	uint8_t name_len;
	uint8_t state;		/* enum channel_state */
	uint8_t epoch_len;
	bool is_asked;		/* resync's question is under way */
	char epoch[EPOCH_TEXT_MAX];
	char name[];
};
STATIC_ASSERT(IPC_CHANNEL_MAX <= UINT8_MAX, "name_len");

struct channels {
	struct htab table;
	struct list idle;	/* by idle_since_ms */
	struct evloop *loop;
	struct evloop_timer timer;
	uint64_t linger_ms;
	size_t most;		/* see mem_give_back_after() */
	/* The channel is about to be freed. */
	void (*on_drop)(struct channel *ch, void *arg);
	void *arg;
};

void channels_init(struct channels *cs, struct evloop *loop, uint64_t linger_ms,
    void (*on_drop)(struct channel *ch, void *arg), void *arg);
/* Frees all channels without on_drop; there must be no subs. */
void channels_fini(struct channels *cs);
/* Borrowed, or NULL. */
struct channel *channels_find(const struct channels *cs, struct slice name);
/* Borrowed; made if there was none. Somebody must be put on it in the same turn. */
struct channel *channels_get(struct channels *cs, struct slice name);
/* NULL begins, NULL ends. */
struct channel *channels_next(const struct channels *cs, const struct channel *ch);

struct slice channel_name(const struct channel *ch);
struct slice channel_epoch(const struct channel *ch);
struct hub_position channel_position(const struct channel *ch);
/* False: an epoch of this length is none. */
bool channel_set_position(struct channel *ch, struct slice epoch, uint64_t offset) MUST_CHECK;
bool channel_is_at(const struct channel *ch, struct slice epoch, uint64_t offset);
static inline bool channel_is_used(const struct channel *ch) {
	return !list_is_empty(&ch->subs) || !list_is_empty(&ch->waiting);
}

/* Bit per wire that a live subscriber of this form has. */
uint8_t channel_wires(struct channel *ch, uint8_t form);

/* Returns owned by the client's list: waiting. */
struct sub *sub_new(struct channel *ch, struct hub_client *c);
/* From now on it gets what is gathered: hand out first. */
void sub_go_live(struct sub *s);
void sub_free(struct channels *cs, struct sub *s);
/* Borrowed, or NULL. */
struct sub *sub_find(const struct channels *cs, const struct hub_client *c, struct slice name);

#endif
