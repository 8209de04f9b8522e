/* feed - cutting the input of a parser in every way */
#include "tests/unit/feed.h"

#include <check.h>

#include "common/base/mem.h"

static bool feed_part(const struct feed_parser *p, void *parser, struct slice part, struct buf *log) {
	uint8_t *copy = mem_dup(part.ptr, part.len);
	bool wants_more = p->part(parser, slice_of(copy, part.len), log);

	memset(copy, 0xdb, part.len);
	mem_free(copy);
	return wants_more;
}

void feed_cut(const struct feed_parser *p, struct slice input, const size_t *cuts, size_t cut_count, struct buf *log) {
	void *parser = p->start(p->arg);
	size_t at = 0;

	for (size_t i = 0; i <= cut_count; i++) {
		size_t end = i < cut_count ? cuts[i] : input.len;

		if (!feed_part(p, parser, slice_of(input.ptr + at, end - at), log))
			break;
		at = end;
	}
	p->stop(parser);
}

static char *log_of(const struct feed_parser *p, struct slice input, const size_t *cuts, size_t cut_count) {
	struct buf log;
	char *text;

	buf_init(&log, 64U << 20);
	feed_cut(p, input, cuts, cut_count, &log);
	text = slice_dup_text(buf_slice(&log));
	buf_fini(&log);
	return text;
}

static void same(const char *name, const char *how, size_t at, const char *whole, char *cut) {
	ck_assert_msg(strcmp(whole, cut) == 0, "%s, %s %zu: whole says\n%s\nbut this way\n%s", name, how, at, whole, cut);
	mem_free(cut);
}

char *feed_all(const struct feed_parser *p, const char *name, struct slice input) {
	char *whole = log_of(p, input, NULL, 0);
	size_t *every = mem_alloc((input.len + 1) * sizeof(*every));

	for (size_t i = 0; i < input.len; i++)
		every[i] = i + 1;
	if (input.len > 0)
		same(name, "byte by byte", input.len, whole, log_of(p, input, every, input.len - 1));
	for (size_t at = 0; at <= input.len; at++)
		same(name, "cut at", at, whole, log_of(p, input, &at, 1));
	mem_free(every);
	return whole;
}

uint32_t feed_random(uint64_t *seed, uint32_t limit) {
	/* xorshift64*: one seed, the same numbers everywhere */
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return (uint32_t)((*seed * 0x2545f4914f6cdd1d) >> 32) % limit;
}
