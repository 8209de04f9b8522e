/*
 * rcbuf - counted bytes: one message, many receivers
 *
 * Made with one reference; whoever stores a pointer takes one with rcbuf_ref() and gives it back with rcbuf_unref(). The
 * bytes may change only while there is exactly one reference. Not for use across processes.
 *
 * A part is an rcbuf without bytes of its own: it shares those of another one, from which it was cut. So a large message goes on in
 * the buffer in which it came, without what stood before it.
 */
#ifndef COMMON_BASE_RCBUF_H
#define COMMON_BASE_RCBUF_H

#include "common/base/buf.h"

struct rcbuf {
	uint32_t refs;
	uint32_t len;		/* len <= cap */
	uint32_t cap;		/* a part: len */
	bool is_tail;		/* the rest of what stands before it in a queue: see outq_drop_unstarted() */
	uint8_t *data;		/* behind this struct, or in `whole` */
	struct rcbuf *whole;	/* shared; NULL: this is no part */
};

/* Returns owned: empty, with room for `cap` bytes; NULL when memory is out. cap < 4 GiB. */
struct rcbuf *rcbuf_try_new(size_t cap) MUST_CHECK;
/* Returns owned: a copy. Ends the process when memory is out. */
struct rcbuf *rcbuf_copy(struct slice s) MUST_CHECK;
/* What rcbuf_make_room() adds. */
enum { RCBUF_ROOM = sizeof(struct rcbuf) };
/* Room for the head of an rcbuf at the beginning of an empty buf, so that it can become one. */
void rcbuf_make_room(struct buf *b);
/* Returns owned: what b has behind that room, without a copy. b is empty afterwards. */
struct rcbuf *rcbuf_of(struct buf *b) MUST_CHECK;
/* Returns owned: these bytes of r, which it shares; r itself if they are all of it. */
struct rcbuf *rcbuf_part(struct rcbuf *r, struct slice part) MUST_CHECK;
/* Makes room for `more` bytes behind the present ones; takes *r (one reference only, no part) and replaces it. False, and *r
 * unchanged, when memory is out. */
bool rcbuf_try_grow(struct rcbuf **r, size_t more) MUST_CHECK;
/* Appends; there must be room, which a part never has. */
void rcbuf_add(struct rcbuf *r, struct slice s);
/* Gives *r back and leaves NULL; accepts NULL. */
void rcbuf_unref(struct rcbuf **r);

static inline struct rcbuf *rcbuf_ref(struct rcbuf *r) {
	r->refs++;
	return r;
}

static inline struct slice rcbuf_slice(const struct rcbuf *r) {
	return slice_of(r->data, r->len);
}

#endif
