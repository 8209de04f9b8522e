/* rcbuf - counted bytes */
#include "common/base/rcbuf.h"

#include "common/base/mem.h"

static struct rcbuf *resized(struct rcbuf *r, size_t cap) {
	if (cap > UINT32_MAX)
		return NULL;
	r = mem_try_realloc(r, sizeof(*r) + cap);
	if (r == NULL)
		return NULL;
	r->cap = (uint32_t)cap;
	r->data = (uint8_t *)(r + 1);
	return r;
}

struct rcbuf *rcbuf_try_new(size_t cap) {
	struct rcbuf *r = resized(NULL, cap);

	if (r == NULL)
		return NULL;
	r->refs = 1;
	r->len = 0;
	r->is_tail = false;
	r->whole = NULL;
	return r;
}

struct rcbuf *rcbuf_copy(struct slice s) {
	struct rcbuf *r;

	BUG_ON(s.len > UINT32_MAX);
	r = rcbuf_try_new(s.len);
	if (r == NULL)
		mem_exhausted(s.len);
	rcbuf_add(r, s);
	return r;
}

void rcbuf_make_room(struct buf *b) {
	BUG_ON(b->len > 0);
	if (buf_reserve(b, RCBUF_ROOM) != NULL)
		b->len = RCBUF_ROOM;
}

struct rcbuf *rcbuf_of(struct buf *b) {
	struct rcbuf *r = (struct rcbuf *)b->data;

	BUG_ON(b->len < RCBUF_ROOM || b->cap - RCBUF_ROOM > UINT32_MAX);
	r->refs = 1;
	r->len = (uint32_t)(b->len - RCBUF_ROOM);
	r->cap = (uint32_t)(b->cap - RCBUF_ROOM);
	r->data = b->data + RCBUF_ROOM;
	r->is_tail = false;
	r->whole = NULL;
	b->data = NULL;
	buf_fini(b);
	return r;
}

struct rcbuf *rcbuf_part(struct rcbuf *r, struct slice part) {
	struct rcbuf *p;

	BUG_ON(part.ptr < r->data || part.len > r->len || (size_t)(part.ptr - r->data) > r->len - part.len);
	if (part.len == r->len)
		return rcbuf_ref(r);
	p = mem_alloc(sizeof(*p));
	*p = (struct rcbuf){ .refs = 1,
		.len = (uint32_t)part.len,
		.cap = (uint32_t)part.len,
		.data = r->data + (part.ptr - r->data),
		.whole = rcbuf_ref(r->whole != NULL ? r->whole : r) };
	return p;
}

bool rcbuf_try_grow(struct rcbuf **r, size_t more) {
	struct rcbuf *grown;
	size_t need, cap;

	BUG_ON((*r)->refs != 1 || (*r)->whole != NULL);
	if (more <= (*r)->cap - (*r)->len)
		return true;
	if (more > UINT32_MAX - (*r)->len)
		return false;
	need = (*r)->len + more;
	cap = (size_t)(*r)->cap + (*r)->cap / 2;
	if (cap < need || cap > UINT32_MAX)
		cap = need;
	grown = resized(*r, cap);
	if (grown == NULL)
		return false;
	*r = grown;
	return true;
}

void rcbuf_add(struct rcbuf *r, struct slice s) {
	BUG_ON(s.len > r->cap - r->len);
	if (s.len > 0)
		memcpy(r->data + r->len, s.ptr, s.len);
	r->len += (uint32_t)s.len;
}

/* Apart, so that giving back one reference of many, which each subscriber does for each parcel, saves no registers. */
__attribute__((noinline)) static void last_unref(struct rcbuf *r) {
	struct rcbuf *whole = r->whole;

	mem_free(r);
	rcbuf_unref(&whole);
}

void rcbuf_unref(struct rcbuf **r) {
	struct rcbuf *was = *r;

	*r = NULL;
	if (was == NULL)
		return;
	BUG_ON(was->refs == 0);
	if (--was->refs == 0)
		last_unref(was);
}
