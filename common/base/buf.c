/* buf - growing bytes up to their cap */
#include "common/base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/mem.h"

enum { BUF_FIRST_CAP = 64 };

void buf_init(struct buf *b, size_t max) {
	*b = (struct buf){ .max = max };
}

void buf_fini(struct buf *b) {
	mem_free(b->data);
	buf_init(b, b->max);
}

void buf_reset(struct buf *b) {
	b->len = 0;
	b->failed = false;
}

static bool grow_to(struct buf *b, size_t need) {
	size_t cap = b->cap < BUF_FIRST_CAP / 2 ? BUF_FIRST_CAP : b->cap;
	uint8_t *data;

	while (cap < need && cap <= b->max / 2)
		cap *= 2;
	if (cap < need || cap > b->max)
		cap = b->max;
	data = mem_try_realloc(b->data, cap);
	if (data == NULL)
		return false;
	b->data = data;
	b->cap = cap;
	return true;
}

uint8_t *buf_reserve(struct buf *b, size_t len) {
	if (b->failed)
		return NULL;
	if (len > b->max - b->len) {
		b->failed = true;
		return NULL;
	}
	if ((b->data == NULL || len > b->cap - b->len) && !grow_to(b, b->len + len)) {
		b->failed = true;
		return NULL;
	}
	return b->data + b->len;
}

void buf_add(struct buf *b, struct slice s) {
	uint8_t *at;

	if (s.len == 0)
		return;
	at = !b->failed && s.len <= b->cap - b->len ? b->data + b->len : buf_reserve(b, s.len);
	if (at == NULL)
		return;
	memcpy(at, s.ptr, s.len);
	b->len += s.len;
}

void buf_add_u64_text(struct buf *b, uint64_t value) {
	uint8_t digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (uint8_t)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	buf_add(b, slice_of(digits + at, sizeof(digits) - at));
}

void buf_addf(struct buf *b, const char *format, ...) {
	char small[256], *text = small;
	size_t len;
	va_list args;
	int wrote;

	va_start(args, format);
	wrote = vsnprintf(small, sizeof(small), format, args);
	va_end(args);
	len = wrote < 0 ? SIZE_MAX : (size_t)wrote;
	if (b->failed || len > b->max - b->len) {
		b->failed = true;
		return;
	}
	if (len >= sizeof(small)) {
		text = mem_alloc(len + 1);
		va_start(args, format);
		vsnprintf(text, len + 1, format, args);
		va_end(args);
	}
	buf_add(b, slice_of(text, len));
	if (text != small)
		mem_free(text);
}

void buf_drop_front(struct buf *b, size_t n) {
	BUG_ON(n > b->len);
	b->len -= n;
	if (n > 0 && b->len > 0)
		memmove(b->data, b->data + n, b->len);
}
