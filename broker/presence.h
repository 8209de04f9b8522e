/*
 * presence - who is in a channel
 *
 * Does:      members of rooms in the order of their coming; which holders (links) have them and how often; a member whom nobody
 *            has any more stays for its grace, then on_left() is called.
 * Does not:  announce arrivals (the caller sees is_new), know names of channels, or the clock.
 * Lifetime:  struct presence_store is embedded by the engine, struct presence by each channel. A member whom nobody holds lives
 *            until its grace is over, holders until presence_holder_lost().
 */
#ifndef BROKER_PRESENCE_H
#define BROKER_PRESENCE_H

#include "common/base/htab.h"
#include "common/base/wheel.h"
#include "common/ipc/ipc_msg.h"

enum { PRESENCE_NAME_MAX = 1024 };

/* The members of one channel. */
struct presence {
	struct list members;	/* in the order of their coming */
	uint64_t channel_id;	/* never used again for another channel */
	uint32_t count;
};

/* Slices are borrowed until it returns; the member is no longer counted. */
typedef void (*presence_left_fn)(struct presence *p, struct slice member, struct slice info, void *arg);

struct presence_store {
	struct htab members;	/* of all channels */
	struct htab holders;
	struct wheel graces;
	uint64_t last_number;	/* of arrivals */
	size_t info_max_bytes;
	size_t most;		/* members, see mem_give_back_after() */
	presence_left_fn on_left;
	void *arg;
};

/* last_number: arrivals get higher ones; above those of an earlier life, so that nobody is left out who is listed in pages. */
void presence_store_init(struct presence_store *s, size_t info_max_bytes, uint64_t last_number, presence_left_fn on_left, void *arg,
    uint64_t now_ms);
/* After all channels. */
void presence_store_fini(struct presence_store *s);
void presence_init(struct presence *p, uint64_t channel_id);
/* Frees the members; nobody is told. */
void presence_fini(struct presence_store *s, struct presence *p);
/* One connection more: IPC_OK, IPC_TAKEN (there with another token), IPC_FULL (not there, and `max` others are; 0: any number), or
 * IPC_UNAVAILABLE (name or info is too long, no memory). */
enum ipc_result presence_add(struct presence_store *s, struct presence *p, uint64_t holder, const struct ipc_member_add *m,
    uint32_t max, bool *is_new) MUST_CHECK;
/* One less; what this holder does not have is ignored. May call on_left(). */
void presence_remove(struct presence_store *s, struct presence *p, uint64_t holder, struct slice member, uint32_t grace_ms,
    uint64_t now_ms);
void presence_holder_lost(struct presence_store *s, uint64_t holder, uint32_t grace_ms, uint64_t now_ms);
/* Who is there, in its grace too: token (IPC_KEY_BYTES) and info, borrowed while it is. False: nobody. */
bool presence_find(const struct presence_store *s, const struct presence *p, struct slice member, const uint8_t **token,
    struct slice *info) MUST_CHECK;
/* Ends the graces that are over. */
void presence_tick(struct presence_store *s, uint64_t now_ms);
/* Appends at most `limit` records, as far as `out` has room, behind the member `after` if it is there with this number, else from
 * the first with a higher number on. True: there are more. */
bool presence_list(const struct presence_store *s, const struct presence *p, uint64_t after_number, struct slice after,
    uint32_t limit, struct buf *out);

#endif
