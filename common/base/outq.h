/*
 * outq - bytes waiting to be sent: a queue of counted buffers
 *
 * Holds pointers, never copies. Empty queues own no memory. Chunks of pointers come from a process-wide free list, so a queue
 * that fills and drains allocates nothing. Whoever adds checks outq.bytes first: there is
 * room for 4 GiB, twice what any option allows.
 */
#ifndef COMMON_BASE_OUTQ_H
#define COMMON_BASE_OUTQ_H

#include <sys/uio.h>

#include "common/base/rcbuf.h"

struct outq_chunk;

struct outq {
	struct outq_chunk *first, *last;
	uint32_t bytes;		/* not yet consumed, over all buffers */
	uint32_t front_sent;	/* bytes of the first buffer that are consumed: < its length */
};

void outq_init(struct outq *q);
/* Gives all references back. */
void outq_fini(struct outq *q);
/* Shares: the queue takes a reference of its own. Empty buffers are ignored. */
void outq_add(struct outq *q, struct rcbuf *r);
/* Takes the caller's reference. */
void outq_take(struct outq *q, struct rcbuf *r);
/* Fills at most `max` entries from the front; returns how many. Borrows until the queue changes. */
size_t outq_iovec(const struct outq *q, struct iovec *iov, size_t max);
/* The first n bytes are sent (n <= bytes): gives back what is done with. */
void outq_consume(struct outq *q, size_t n);
/* Drops everything but the rest of a first buffer that is partly sent (whose end the peer needs to stay in step), with its tails. */
void outq_drop_unstarted(struct outq *q);
/* The same, as if the first n bytes of the queue were sent, too. */
void outq_drop_behind(struct outq *q, size_t n);
/* Moves all of `from` behind `to`; `from` is empty afterwards. */
void outq_append(struct outq *to, struct outq *from);
/* Frees the chunks kept for reuse, at exit. */
void outq_free_spare(void);

static inline bool outq_is_empty(const struct outq *q) {
	return q->bytes == 0;
}

#endif
