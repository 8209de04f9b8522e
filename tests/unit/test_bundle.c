/* test_bundle - parts of secrets, and what is left of them */
#include <check.h>

#include "common/base/bundle.h"

START_TEST(parts_of_a_bundle) {
	struct slice rest, bytes;
	uint8_t part;
	struct buf b;

	buf_init(&b, 100);
	bundle_add(&b, 1, slice_text("one"));
	bundle_add(&b, 200, SLICE_EMPTY);
	rest = buf_slice(&b);
	ck_assert(bundle_next(&rest, &part, &bytes) && part == 1 && slice_eq_text(bytes, "one"));
	ck_assert(bundle_next(&rest, &part, &bytes) && part == 200 && bytes.len == 0);
	ck_assert(!bundle_next(&rest, &part, &bytes) && rest.len == 0);
	for (size_t len = 0; len < 8; len++) {
		rest = slice_of(b.data, len);
		ck_assert(!bundle_next(&rest, &part, &bytes));
	}
	bundle_add(&b, 200, slice_of(b.data, 10));
	while (!b.failed)
		bundle_add(&b, 200, slice_text("more than there is room for"));
	bundle_fini(&b);
}
END_TEST

Suite *suite_bundle(void);
Suite *suite_bundle(void) {
	Suite *s = suite_create("bundle");
	TCase *c = tcase_create("bundle");

	tcase_add_test(c, parts_of_a_bundle);
	suite_add_tcase(s, c);
	return s;
}
