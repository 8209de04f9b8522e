/* test_loop_memory - small blocks in pages of their own */
#include <check.h>
#include <stdint.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/svc/loop_memory.h"

enum { SMALL = 32, COUNT = 1000 };

START_TEST(small_ones_are_apart) {
	uint8_t *block[COUNT];
	size_t before = mem_in_use();
	uintptr_t least = UINTPTR_MAX, most = 0;

	for (int i = 0; i < COUNT; i++) {
		uintptr_t at;

		block[i] = loop_memory_alloc(SMALL);
		memset(block[i], i & 0xff, SMALL);
		at = (uintptr_t)block[i];
		least = at < least ? at : least;
		most = at > most ? at : most;
	}
	ck_assert_uint_eq(mem_in_use(), before);
	ck_assert_uint_eq(most - least, (COUNT - 1) * SMALL);
	for (int i = 0; i < COUNT; i++) {
		for (int at = 0; at < SMALL; at++)
			ck_assert_uint_eq(block[i][at], i & 0xff);
		loop_memory_free(block[i]);
	}
	/* They are used again. */
	block[0] = loop_memory_alloc(1);
	ck_assert_uint_ge((uintptr_t)block[0], least);
	ck_assert_uint_le((uintptr_t)block[0], most);
	loop_memory_free(block[0]);
}
END_TEST

START_TEST(large_ones_are_not) {
	size_t before = mem_in_use();
	char *block = loop_memory_alloc(SMALL + 1);

	ck_assert_uint_gt(mem_in_use(), before);
	memset(block, 'x', SMALL + 1);
	block = loop_memory_realloc(block, 1000);
	ck_assert_int_eq(block[SMALL], 'x');
	loop_memory_free(block);
	ck_assert_uint_eq(mem_in_use(), before);
	loop_memory_free(NULL);
}
END_TEST

START_TEST(growing) {
	size_t before = mem_in_use();
	char *block = loop_memory_realloc(NULL, 4);

	memcpy(block, "abc", 4);
	ck_assert_ptr_eq(loop_memory_realloc(block, SMALL), block);
	block = loop_memory_realloc(block, 500);
	ck_assert_str_eq(block, "abc");
	ck_assert_uint_gt(mem_in_use(), before);
	loop_memory_free(block);
	ck_assert_uint_eq(mem_in_use(), before);
}
END_TEST

Suite *suite_loop_memory(void);
Suite *suite_loop_memory(void) {
	TCase *t = tcase_create("loop_memory");
	Suite *s = suite_create("loop_memory");

	tcase_add_test(t, small_ones_are_apart);
	tcase_add_test(t, large_ones_are_not);
	tcase_add_test(t, growing);
	suite_add_tcase(s, t);
	return s;
}
