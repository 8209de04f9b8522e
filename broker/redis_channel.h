/*
 * redis_channel - one channel as this host hears it: from pub/sub, streams and snapshots to one order
 *
 * Does:      merges what was heard over pub/sub (fast, may be lost) with what was read from the streams (the truth) and hands up
 *            publications and arrivals each in the order of their numbers, without repeats; says when a stream has to be read;
 *            lets a snapshot out exactly behind what it contains and before all else.
 * Does not:  talk to Redis, know its own name, or read a clock (times are in struct redis_hold).
 * Lifetime:  struct redis_channel is embedded by its user, struct redis_hold is shared by all channels of an engine.
 *
 * Two lanes of one kind: publications (epoch, offset) and who comes and goes (life, number). What has the next number goes up, what
 * is known is dropped. A gap or another epoch waits for a `fill`: the question for what lies behind the position, one at a time.
 * What a fill does not have and pub/sub does not bring within REDIS_LATE_MS is lost: the lane goes on behind the hole, which
 * the subscribers see in the numbers.
 *
 * Fences: while a snapshot is being read, what is heard waits. Its answer says up to where it reaches: that goes up (filled if
 * pub/sub is late), then the snapshot, then the rest. Fences are answered in the order in which they were asked.
 */
#ifndef BROKER_REDIS_CHANNEL_H
#define BROKER_REDIS_CHANNEL_H

#include "broker/redis/redis_scripts.h"
#include "common/base/ids.h"
#include "common/base/list.h"

enum {
	REDIS_LATE_MS = 50,	/* pub/sub may be so much later than what the command link says */
	REDIS_TOP_LATE_MS = 250,	/* of tops, which are asked for under load too and nobody waits for */
};

enum redis_lane_kind { REDIS_LANE_PUBLICATIONS = 0, REDIS_LANE_WHO, REDIS_LANES };

/* epoch: "" when there is no such channel (or nobody ever in it). */
struct redis_position {
	char epoch[EPOCH_TEXT_MAX + 1];
	uint64_t number;
};

struct redis_lane {
	struct redis_position at;	/* all up to here went up, or is in the first snapshot */
	uint64_t time_ms;	/* of the last publication */
	uint64_t covered;	/* what is missing up to here is not in the stream; above at.number, or without meaning */
	uint64_t skip_ms;	/* from then on it will not come over pub/sub either */
	uint64_t want;		/* is known to be there; above at.number, or without meaning */
	uint64_t want_ms;	/* from then on it is asked for */
	struct list held;	/* of this epoch, above at.number, rising */
	struct list strange;	/* heard of other epochs, in the order of hearing */
	bool had_epoch;	/* before this one, other than "" */
	bool is_asked;	/* the fill was asked for in this epoch */
};

struct redis_channel {
	struct redis_hold *hold;
	struct redis_lane lane[REDIS_LANES];
	struct list fences;	/* struct redis_fence, in the order of asking */
	uint64_t stale_ms;	/* from then on a fill is needed, whatever is known */
	uint64_t news_from;	/* offset behind which this epoch's publications went up as news */
	size_t held_bytes;
	uint32_t fills_asked, fills_answered;	/* number of the last one */
	char old_epoch[EPOCH_TEXT_MAX + 1];	/* before this one; "": this is the first */
	bool is_known;	/* the lanes have positions */
	bool is_filling;
};

/* A snapshot on its way; embedded by its user. */
struct redis_fence {
	struct list in_channel;	/* pointing to itself: on none */
	struct redis_position top[REDIS_LANES];
	uint32_t fills;		/* asked before it was answered */
	bool is_answered;
};

struct redis_channel_ops {
	/* p->epoch is the lane's; borrowed until it returns. */
	void (*publication)(void *arg, struct redis_channel *ch, const struct redis_payload *p);
	void (*joined)(void *arg, struct redis_channel *ch, const struct redis_payload *p);
	void (*left)(void *arg, struct redis_channel *ch, const struct redis_payload *p);
	/* The fence is on no channel any more and may be freed. */
	void (*released)(void *arg, struct redis_fence *f);
};

/* What all channels share. Beyond the bounds what a channel holds is dropped, and read again. */
struct redis_hold {
	const struct redis_channel_ops *ops;
	void *arg;
	uint64_t now_ms, wall_ms;	/* set by the user */
	size_t bytes, bytes_max, channel_bytes_max;
};

/* What a fill has to ask for. */
struct redis_fill {
	struct redis_position from[REDIS_LANES];
	uint64_t time_ms;
};

void redis_fence_init(struct redis_fence *f);
void redis_channel_init(struct redis_channel *ch, struct redis_hold *hold);
/* There are no fences. */
void redis_channel_fini(struct redis_channel *ch);

/* Over pub/sub. */
void redis_channel_heard(struct redis_channel *ch, const struct redis_payload *p);
/* The subscription has come to stand: what was published before was not heard. */
void redis_channel_confirmed(struct redis_channel *ch);
/* Where Redis stands, as read without a fence. */
void redis_channel_tops(struct redis_channel *ch, const struct redis_position top[REDIS_LANES]);
/* Time has passed. */
void redis_channel_tick(struct redis_channel *ch);
/* When redis_channel_tick() is due; UINT64_MAX: never. */
uint64_t redis_channel_due_ms(const struct redis_channel *ch);

/* Never while one is under way. */
bool redis_channel_needs_fill(const struct redis_channel *ch);
/* It needs one, which is asked for now; then either redis_channel_filled() for each lane and redis_channel_fill_end(), or
 * redis_channel_fill_failed(). */
void redis_channel_fill_begin(struct redis_channel *ch, struct redis_fill *out);
/* top: where Redis stands. payloads: behind `from`, rising, as many as there was room for; whatever epoch they carry, they are the
 * top's. */
void redis_channel_filled(struct redis_channel *ch, enum redis_lane_kind kind, const struct redis_position *top,
    const struct redis_payload *payloads, size_t count);
void redis_channel_fill_end(struct redis_channel *ch);
void redis_channel_fill_failed(struct redis_channel *ch);

/* A snapshot is asked for now. Borrows f until it is released or lost. */
void redis_channel_fence(struct redis_channel *ch, struct redis_fence *f);
/* It says that Redis stood at f->top, which the caller has filled in. May release it at once. */
void redis_channel_fence_answered(struct redis_channel *ch, struct redis_fence *f);
/* No answer comes; f is on no channel any more. */
void redis_channel_fence_lost(struct redis_channel *ch, struct redis_fence *f);

/* Too long for an epoch: false. */
bool redis_position_set(struct redis_position *p, struct slice epoch, uint64_t number) MUST_CHECK;

#endif
