/* test_htab - the table against an array that says which keys are in it */
#include <check.h>
#include <stdio.h>

#include "common/base/htab.h"
#include "tests/unit/model.h"

enum { KEYS = 3000, STEPS = 60000 };

struct word {
	struct htab_node node;
	char text[16];
	bool in, seen;
};

static struct word words[KEYS];

static struct slice word_key(const struct htab_node *node) {
	return slice_text(htab_entry(node, const struct word, node)->text);
}

static void words_init(void) {
	for (int i = 0; i < KEYS; i++) {
		words[i] = (struct word){ .in = false };
		snprintf(words[i].text, sizeof(words[i].text), "word%d", i);
	}
}

static void check_walk(const struct htab *h) {
	size_t met = 0;

	for (int i = 0; i < KEYS; i++)
		words[i].seen = false;
	for (struct htab_node *node = htab_next(h, NULL); node != NULL; node = htab_next(h, node)) {
		struct word *w = htab_entry(node, struct word, node);

		MUST(w->in && !w->seen);
		w->seen = true;
		met++;
	}
	MUST(met == h->count);
}

static void check_shape(const struct htab *h) {
	MUST(h->bucket_count == h->base + h->split);
	MUST(h->bucket_count <= h->allocated);
	MUST(h->base == 0 || h->split < h->base);
}

START_TEST(model) {
	uint64_t seed = 0x1234567 + (uint64_t)_i;
	struct htab h;
	size_t count = 0;

	words_init();
	htab_init(&h, word_key);
	for (int step = 0; step < STEPS; step++) {
		struct word *w = &words[random_below(&seed, KEYS)];
		struct htab_node *found = htab_find(&h, slice_text(w->text));

		MUST(found == (w->in ? &w->node : NULL));
		/* More come than go, then the other way round. */
		if (!w->in && random_below(&seed, 3) > (step < STEPS / 2 ? 0 : 1)) {
			htab_add(&h, &w->node);
			w->in = true;
			count++;
		} else if (w->in && random_below(&seed, 3) > (step < STEPS / 2 ? 1 : 0)) {
			htab_remove(&h, &w->node);
			w->in = false;
			count--;
		}
		MUST(h.count == count);
		check_shape(&h);
		if (step % 5000 == 0)
			check_walk(&h);
	}
	check_walk(&h);
	htab_fini(&h);
}
END_TEST

START_TEST(empty) {
	struct htab h;

	htab_init(&h, word_key);
	ck_assert_ptr_null(htab_find(&h, slice_text("")));
	ck_assert_ptr_null(htab_next(&h, NULL));
	htab_fini(&h);
	ck_assert_uint_eq(h.allocated, 0);
}
END_TEST

/* Seven hashes for all: of those that share one, the key decides. Looking ahead changes nothing, in an empty table neither. */
START_TEST(hashes_of_ones_own) {
	struct htab h;

	words_init();
	htab_init(&h, word_key);
	htab_prefetch(&h, 1);
	htab_prefetch_node(&h, 1);
	ck_assert_ptr_null(htab_find_hashed(&h, 1, slice_text("word1")));
	for (int i = 0; i < 200; i++) {
		htab_prefetch(&h, (uint64_t)i % 7);
		htab_prefetch_node(&h, (uint64_t)i % 7);
		htab_add_hashed(&h, &words[i].node, (uint64_t)i % 7);
		words[i].in = true;
	}
	check_walk(&h);
	for (int i = 0; i < 200; i++) {
		ck_assert_ptr_eq(htab_find_hashed(&h, (uint64_t)i % 7, slice_text(words[i].text)), &words[i].node);
		ck_assert_ptr_null(htab_find_hashed(&h, (uint64_t)i % 7 + 1, slice_text(words[i].text)));
		htab_remove(&h, &words[i].node);
		ck_assert_ptr_null(htab_find_hashed(&h, (uint64_t)i % 7, slice_text(words[i].text)));
	}
	ck_assert_uint_eq(h.count, 0);
	htab_fini(&h);
}
END_TEST

START_TEST(remove_while_walking) {
	struct htab h;
	struct htab_node *node, *following;
	size_t met = 0;

	words_init();
	htab_init(&h, word_key);
	for (int i = 0; i < KEYS; i++)
		htab_add(&h, &words[i].node);
	for (node = htab_next(&h, NULL); node != NULL; node = following) {
		following = htab_next(&h, node);
		htab_remove(&h, node);
		met++;
	}
	ck_assert_uint_eq(met, KEYS);
	ck_assert_uint_eq(h.count, 0);
	htab_fini(&h);
}
END_TEST

START_TEST(keys_are_bytes) {
	ck_assert_uint_eq(htab_hash(slice_of("ab\0c", 4)), htab_hash(slice_of("ab\0c", 4)));
	ck_assert_uint_ne(htab_hash(slice_of("ab\0c", 4)), htab_hash(slice_of("ab\0d", 4)));
	/* A trailing zero byte is part of the key. */
	ck_assert_uint_ne(htab_hash(slice_of("ab", 2)), htab_hash(slice_of("ab\0", 3)));
	ck_assert_uint_ne(htab_hash(slice_of("12345678", 8)), htab_hash(slice_of("12345678\0", 9)));
	ck_assert_uint_eq(htab_hash(SLICE_EMPTY), htab_hash(slice_text("")));
}
END_TEST

/* No bucket of a table of some thousand alike keys is long: the hash spreads them. */
START_TEST(spread) {
	struct htab h;
	size_t longest = 0;

	words_init();
	htab_init(&h, word_key);
	for (int i = 0; i < KEYS; i++)
		htab_add(&h, &words[i].node);
	for (size_t i = 0; i < h.bucket_count; i++) {
		size_t length = 0;

		for (struct htab_node *node = h.buckets[i]; node != NULL; node = node->next)
			length++;
		longest = length > longest ? length : longest;
	}
	ck_assert_uint_lt(longest, 24);
	htab_fini(&h);
}
END_TEST

Suite *suite_htab(void);
Suite *suite_htab(void) {
	Suite *s = suite_create("htab");
	TCase *tc = tcase_create("htab");

	tcase_add_loop_test(tc, model, 0, 3);
	tcase_add_test(tc, empty);
	tcase_add_test(tc, hashes_of_ones_own);
	tcase_add_test(tc, remove_while_walking);
	tcase_add_test(tc, keys_are_bytes);
	tcase_add_test(tc, spread);
	suite_add_tcase(s, tc);
	return s;
}
