/* outq - a queue of counted buffers in chunks of pointers */
#include "common/base/outq.h"

#include "common/base/mem.h"

/* 14 pointers make a chunk of 128 bytes. */
enum { CHUNK_SLOTS = 14, SPARE_CHUNKS_MAX = 4096 };

struct outq_chunk {
	struct outq_chunk *next;
	uint32_t begin, end;	/* slots in use: begin < end <= CHUNK_SLOTS */
	struct rcbuf *slot[CHUNK_SLOTS];
};

static struct outq_chunk *spare;
static size_t spare_count;

static struct outq_chunk *chunk_new(void) {
	struct outq_chunk *c = spare;

	if (c != NULL) {
		spare = c->next;
		spare_count--;
	} else {
		c = mem_alloc(sizeof(*c));
	}
	c->next = NULL;
	c->begin = c->end = 0;
	return c;
}

static void chunk_free(struct outq_chunk *c) {
	if (spare_count >= SPARE_CHUNKS_MAX) {
		mem_free(c);
		return;
	}
	c->next = spare;
	spare = c;
	spare_count++;
}

void outq_free_spare(void) {
	while (spare != NULL) {
		struct outq_chunk *c = spare;

		spare = c->next;
		mem_free(c);
	}
	spare_count = 0;
}

void outq_init(struct outq *q) {
	*q = (struct outq){ 0 };
}

void outq_fini(struct outq *q) {
	outq_consume(q, q->bytes);
}

static void push(struct outq *q, struct rcbuf *r) {
	if (q->last == NULL || q->last->end == CHUNK_SLOTS) {
		struct outq_chunk *c = chunk_new();

		if (q->last == NULL)
			q->first = c;
		else
			q->last->next = c;
		q->last = c;
	}
	q->last->slot[q->last->end++] = r;
}

void outq_add(struct outq *q, struct rcbuf *r) {
	if (r->len > 0)
		outq_take(q, rcbuf_ref(r));
}

void outq_take(struct outq *q, struct rcbuf *r) {
	if (r->len == 0) {
		rcbuf_unref(&r);
		return;
	}
	push(q, r);
	BUG_ON(q->bytes > UINT32_MAX - r->len);
	q->bytes += r->len;
}

size_t outq_iovec(const struct outq *q, struct iovec *iov, size_t max) {
	size_t n = 0;

	for (const struct outq_chunk *c = q->first; c != NULL; c = c->next) {
		for (uint32_t i = c->begin; i < c->end; i++) {
			size_t skip = n == 0 ? q->front_sent : 0;

			if (n == max)
				return n;
			iov[n].iov_base = c->slot[i]->data + skip;
			iov[n].iov_len = c->slot[i]->len - skip;
			n++;
		}
	}
	return n;
}

/* The first chunk has no buffers left. */
static void drop_first_chunk(struct outq *q) {
	struct outq_chunk *c = q->first;

	q->first = c->next;
	if (q->first == NULL)
		q->last = NULL;
	chunk_free(c);
}

void outq_consume(struct outq *q, size_t n) {
	BUG_ON(n > q->bytes);
	q->bytes -= (uint32_t)n;
	while (n > 0) {
		struct outq_chunk *c = q->first;
		size_t left = c->slot[c->begin]->len - q->front_sent;

		if (n < left) {
			q->front_sent += (uint32_t)n;
			return;
		}
		n -= left;
		q->front_sent = 0;
		rcbuf_unref(&c->slot[c->begin++]);
		if (c->begin == c->end)
			drop_first_chunk(q);
	}
}

void outq_drop_behind(struct outq *q, size_t n) {
	struct outq old = *q, kept = { 0 };
	size_t begun = old.front_sent + n, passed = 0;
	bool is_kept = true;

	/* Each buffer that begins before the line is kept whole, and so is a tail of what was kept or is sent. */
	for (const struct outq_chunk *c = old.first; c != NULL && is_kept; c = c->next) {
		for (uint32_t i = c->begin; i < c->end; i++) {
			is_kept = passed < begun || c->slot[i]->is_tail;
			if (!is_kept)
				break;
			passed += c->slot[i]->len;
			outq_add(&kept, c->slot[i]);
		}
	}
	kept.front_sent = old.front_sent;
	kept.bytes -= old.front_sent;
	outq_fini(q);
	*q = kept;
}

void outq_drop_unstarted(struct outq *q) {
	outq_drop_behind(q, 0);
}

void outq_append(struct outq *to, struct outq *from) {
	struct outq_chunk *c = from->first;

	if (c == NULL)
		return;
	if (to->last == NULL) {
		*to = *from;
		outq_init(from);
		return;
	}
	BUG_ON(from->front_sent > 0);
	if (c->next == NULL && c->end - c->begin <= CHUNK_SLOTS - to->last->end) {
		while (c->begin < c->end)
			push(to, c->slot[c->begin++]);
		chunk_free(c);
	} else {
		to->last->next = c;
		to->last = from->last;
	}
	to->bytes += from->bytes;
	outq_init(from);
}
