/* mem - blocks that come and go at random keep what is in them; what is kept for later is bounded */
#include <check.h>

#include "common/base/mem.h"
#include "tests/unit/feed.h"

enum { BLOCKS = 300, LARGEST = 150 << 10 };

struct block {
	uint8_t *at;
	size_t bytes;
	uint8_t mark;
};

static void mark(struct block *b, size_t from, uint8_t value) {
	b->mark = value;
	for (size_t i = from; i < b->bytes; i++)
		b->at[i] = value;
}

static bool is_marked(const struct block *b) {
	for (size_t i = 0; i < b->bytes; i++) {
		if (b->at[i] != b->mark)
			return false;
	}
	return true;
}

/* Small ones mostly, and the edges of the sizes in which blocks are kept. */
static size_t random_size(uint64_t *seed) {
	static const size_t edges[] = { 0, 1, 24, 25, 40, 41, 1032, 1033, 1280, 1281, 2048, 2049, 65536, 65537 };
	uint32_t kind = feed_random(seed, 10);

	if (kind < 2)
		return edges[feed_random(seed, ARRAY_LEN(edges))];
	return feed_random(seed, kind < 8 ? 700 : kind < 9 ? 8000 : LARGEST);
}

static void renew(struct block *b, uint64_t *seed) {
	size_t bytes = random_size(seed), kept = bytes < b->bytes ? bytes : b->bytes;
	uint8_t value = (uint8_t)(1 + feed_random(seed, 255));

	switch (feed_random(seed, 4)) {
	case 0:
		mem_free(b->at);
		b->at = mem_zalloc(bytes);
		*b = (struct block){ b->at, bytes, 0 };
		ck_assert(is_marked(b));
		break;
	case 1:
		b->at = mem_realloc(b->at, bytes);
		b->bytes = kept;
		ck_assert(is_marked(b));
		b->bytes = bytes;
		break;
	default:
		mem_free(b->at);
		b->at = mem_alloc(bytes);
		b->bytes = bytes;
		break;
	}
	mark(b, 0, value);
}

START_TEST(come_and_go) {
	static struct block blocks[BLOCKS];
	size_t before = mem_in_use();
	uint64_t seed = 5;

	for (int i = 0; i < 60000; i++) {
		struct block *b = &blocks[feed_random(&seed, BLOCKS)];

		ck_assert(is_marked(b));
		renew(b, &seed);
		ck_assert_uint_le(mem_in_stock(), MEM_STOCK_BYTES);
	}
	for (int i = 0; i < BLOCKS; i++) {
		ck_assert(is_marked(&blocks[i]));
		mem_free(blocks[i].at);
	}
	ck_assert_uint_eq(mem_in_use(), before);
	mem_give_back();
	ck_assert_uint_eq(mem_in_stock(), 0);
}
END_TEST

START_TEST(a_peak_is_not_kept) {
	static void *blocks[4096];

	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		blocks[i] = mem_alloc(1000);
	ck_assert_uint_ge(mem_in_use(), 1000 * ARRAY_LEN(blocks));
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		mem_free(blocks[i]);
	ck_assert_uint_le(mem_in_stock(), MEM_STOCK_BYTES);
	mem_give_back();
}
END_TEST

START_TEST(a_crowd_has_gone) {
	static const struct {
		size_t count, most;
		bool is_given_back;
	} steps[] = { { 100, 100, false }, { 0, 100, false }, { 1000, 1000, false }, { 501, 1000, false }, { 500, 500, true }, { 250, 500, false },
		{ 244, 244, true }, { 0, 244, false } };
	size_t most = 0;

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		bool was_kept;

		mem_free(mem_alloc(100));
		was_kept = mem_in_stock() > 0;
		mem_give_back_after(&most, steps[i].count);
		ck_assert_uint_eq(most, steps[i].most);
		ck_assert((mem_in_stock() > 0) == (was_kept && !steps[i].is_given_back));
	}
}
END_TEST

Suite *suite_mem(void);
Suite *suite_mem(void) {
	Suite *s = suite_create("mem");
	TCase *tc = tcase_create("mem");

	tcase_add_test(tc, come_and_go);
	tcase_add_test(tc, a_peak_is_not_kept);
	tcase_add_test(tc, a_crowd_has_gone);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	return s;
}
