/* test_recent - keys of publications: known under another epoch, in their channel, for their time, as many as fit */
#include "server/hub/recent.h"

#include <check.h>

static struct recent recent;

static bool is_repeated(const char *channel, const char *epoch, uint32_t key, uint64_t now_ms) {
	uint8_t bytes[IPC_KEY_BYTES] = { (uint8_t)(key >> 16), (uint8_t)(key >> 8), (uint8_t)key, 0 };

	return recent_is_repeated(&recent, slice_text(channel), slice_text(epoch), bytes, now_ms);
}

START_TEST(known_under_another_epoch_alone) {
	recent_init(&recent);
	ck_assert(!is_repeated("c", "e1", 1, 1));
	ck_assert(!is_repeated("c", "e1", 1, 2));
	ck_assert(!is_repeated("d", "e2", 1, 2));
	ck_assert(is_repeated("c", "e2", 1, 3));
	ck_assert(!is_repeated("c", "e2", 1, 4));
	ck_assert(is_repeated("c", "e3", 1, 5));
	/* No key. */
	ck_assert(!is_repeated("c", "e1", 0, 1));
	ck_assert(!is_repeated("c", "e2", 0, 1));
	recent_fini(&recent);
}
END_TEST

START_TEST(forgotten_in_time) {
	recent_init(&recent);
	ck_assert(!is_repeated("c", "e1", 1, 1000));
	ck_assert(!is_repeated("c", "e1", 2, 1000));
	ck_assert(is_repeated("c", "e2", 1, 1000 + RECENT_MS - 1));
	ck_assert(!is_repeated("c", "e2", 2, 1000 + RECENT_MS));
	recent_fini(&recent);
}
END_TEST

START_TEST(oldest_go_first) {
	recent_init(&recent);
	for (uint32_t key = 1; key <= 3 * RECENT_MAX; key++)
		ck_assert(!is_repeated("c", "e1", key, 1));
	for (uint32_t key = 2 * RECENT_MAX + 1; key <= 3 * RECENT_MAX; key++)
		ck_assert(is_repeated("c", "e2", key, 2));
	ck_assert(!is_repeated("c", "e2", 2 * RECENT_MAX, 2));
	ck_assert_uint_eq(recent.table.count, RECENT_MAX);
	recent_fini(&recent);
}
END_TEST

Suite *suite_recent(void);

Suite *suite_recent(void) {
	Suite *s = suite_create("recent");
	TCase *t = tcase_create("keys");

	tcase_add_test(t, known_under_another_epoch_alone);
	tcase_add_test(t, forgotten_in_time);
	tcase_add_test(t, oldest_go_first);
	suite_add_tcase(s, t);
	return s;
}
