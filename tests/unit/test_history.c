/* test_history - bounds by count, bytes, age and all channels together; positions */
#include "broker/history.h"

#include <check.h>

#include "common/base/mem.h"

static struct history_store store;
static struct history one, two;

enum { OWNER_BYTES = 30, RING_BYTES = 4 * sizeof(void *) };

static void open_store(size_t count, size_t bytes, size_t total, uint64_t age_ms) {
	history_store_init(&store, (struct history_bounds){ count, bytes, age_ms }, total);
	history_init(&one, OWNER_BYTES);
	history_init(&two, OWNER_BYTES);
}

static void close_store(void) {
	history_fini(&store, &one);
	history_fini(&store, &two);
	ck_assert_uint_eq(store.count, 0);
	ck_assert_uint_eq(store.bytes, 0);
}

static void add(struct history *h, uint64_t offset, size_t bytes, uint64_t now_ms) {
	static uint8_t data[5000];
	struct ipc_publication p = { .offset = offset, .time_ms = 7, .kind = 3, .key = { (uint8_t)offset }, .data = slice_of(data, bytes) };

	memset(data, (int)offset, bytes);
	history_add(&store, h, &p, now_ms);
}

static uint64_t first_offset(const struct history *h) {
	return h->count > 0 ? history_at(h, 0)->offset : 0;
}

START_TEST(count_drops_the_oldest) {
	open_store(10, 1 << 20, 1 << 20, 1000);
	for (uint64_t i = 1; i <= 25; i++)
		add(&one, i, 10, 0);
	ck_assert_uint_eq(one.count, 10);
	ck_assert_uint_eq(first_offset(&one), 16);
	close_store();
}
END_TEST

START_TEST(nothing_is_kept_when_the_count_is_zero) {
	open_store(0, 1 << 20, 1 << 20, 1000);
	add(&one, 1, 10, 0);
	ck_assert_uint_eq(one.count, 0);
	close_store();
}
END_TEST

START_TEST(bytes_drop_the_oldest_but_not_the_newest) {
	open_store(100, 3 * (100 + HISTORY_ENTRY_BYTES), 1 << 20, 1000);
	for (uint64_t i = 1; i <= 4; i++)
		add(&one, i, 100, 0);
	ck_assert_uint_eq(first_offset(&one), 2);
	add(&one, 5, 5000, 0);
	ck_assert_uint_eq(first_offset(&one), 5);
	ck_assert_uint_eq(one.count, 1);
	add(&one, 6, 1, 0);
	ck_assert_uint_eq(first_offset(&one), 6);
	close_store();
}
END_TEST

START_TEST(all_channels_share_one_bound) {
	open_store(100, 1 << 20, 4 * (100 + HISTORY_ENTRY_BYTES) + 2 * (OWNER_BYTES + RING_BYTES), 1000);
	add(&one, 1, 100, 0);
	add(&two, 1, 100, 1);
	add(&one, 2, 100, 2);
	add(&two, 2, 100, 3);
	add(&two, 3, 100, 4);
	ck_assert_uint_eq(first_offset(&one), 2);
	add(&two, 4, 100, 5);
	ck_assert_uint_eq(first_offset(&two), 2);
	/* Larger than all history may be: not kept, and nothing goes for it. */
	add(&one, 3, 5000, 6);
	ck_assert_uint_eq(one.count, 1);
	ck_assert_uint_eq(store.count, 4);
	close_store();
}
END_TEST

START_TEST(rings_and_owners_count) {
	open_store(100, 1 << 20, 6 * (1 + HISTORY_ENTRY_BYTES) + OWNER_BYTES + 2 * RING_BYTES, 1000);
	for (uint64_t i = 1; i <= 6; i++)
		add(&one, i, 1, 0);
	ck_assert_uint_eq(first_offset(&one), 1);
	ck_assert_uint_eq(store.bytes, store.total_max);
	/* The first of the other one takes more than the oldest of this one gives. */
	add(&two, 1, 1, 0);
	ck_assert_uint_eq(first_offset(&one), 3);
	ck_assert_uint_le(store.bytes, store.total_max);
	/* With the last of its entries all of it goes. */
	while (one.count > 0)
		add(&two, two.count + 1, 1, 0);
	ck_assert_uint_eq(store.bytes, two.bytes + OWNER_BYTES + two.cap * sizeof(void *));
	close_store();
}
END_TEST

START_TEST(age_drops) {
	open_store(100, 1 << 20, 1 << 20, 1000);
	add(&one, 1, 1, 0);
	add(&two, 1, 1, 500);
	history_expire(&store, 999);
	ck_assert_uint_eq(store.count, 2);
	history_expire(&store, 1000);
	ck_assert(one.count == 0 && two.count == 1);
	history_expire(&store, 1500);
	ck_assert_uint_eq(store.count, 0);
	close_store();
}
END_TEST

START_TEST(positions_and_records) {
	struct ipc_publication p;
	struct slice rest;
	struct buf out;

	open_store(5, 1 << 20, 1 << 20, 1000);
	ck_assert_uint_eq(history_index_after(&one, 0), 0);
	for (uint64_t i = 10; i <= 40; i += 3)
		add(&one, i, (size_t)i, 0);
	/* 28 31 34 37 40 */
	ck_assert_uint_eq(history_index_after(&one, 0), 0);
	ck_assert_uint_eq(history_index_after(&one, 27), 0);
	ck_assert_uint_eq(history_index_after(&one, 28), 1);
	ck_assert_uint_eq(history_index_after(&one, 39), 4);
	ck_assert_uint_eq(history_index_after(&one, 40), 5);
	ck_assert_uint_eq(history_index_after(&one, UINT64_MAX), 5);
	buf_init(&out, 1000);
	history_put(&one, 1, &out);
	rest = buf_slice(&out);
	ck_assert(ipc_next_publication(&rest, &p) && rest.len == 0);
	ck_assert(p.offset == 31 && p.time_ms == 7 && p.kind == 3 && p.key[0] == 31 && p.data.len == 31 && p.data.ptr[30] == 31);
	ck_assert_uint_le(out.len, 31 + (size_t)HISTORY_ENTRY_BYTES);
	buf_fini(&out);
	close_store();
}
END_TEST

/* What a large one lies in is kept instead of a copy, and counts as a whole. */
START_TEST(large_ones_are_shared) {
	enum { BYTES = 100000, AROUND = 60 };
	struct rcbuf *message = rcbuf_try_new(AROUND + BYTES);
	struct ipc_publication p = { .offset = 1, .data_in = message }, read;
	size_t before = mem_in_use();
	struct slice rest;
	struct buf out;

	memset(message->data, 'x', message->cap);
	message->len = message->cap;
	p.data = slice_skip(rcbuf_slice(message), AROUND);
	open_store(3, 1 << 20, 1 << 20, 1000);
	history_add(&store, &one, &p, 0);
	ck_assert_uint_lt(mem_in_use(), before + 1000);
	ck_assert_uint_eq(one.bytes, AROUND + BYTES + HISTORY_ENTRY_BYTES);
	ck_assert_uint_eq(message->refs, 2);
	buf_init(&out, 2 * BYTES);
	history_put(&one, 0, &out);
	rest = buf_slice(&out);
	ck_assert(ipc_next_publication(&rest, &read) && rest.len == 0 && slice_eq(read.data, p.data));
	buf_fini(&out);
	/* Not for a few bytes of it. */
	p.offset = 2;
	p.data.len = 10;
	history_add(&store, &one, &p, 0);
	ck_assert_uint_eq(message->refs, 2);
	ck_assert_uint_eq(one.bytes, AROUND + BYTES + 10 + 2 * HISTORY_ENTRY_BYTES);
	for (uint64_t i = 3; i <= 4; i++)
		add(&one, i, 10, 0);
	ck_assert_uint_eq(one.bytes, 3 * (10 + HISTORY_ENTRY_BYTES));
	ck_assert_uint_eq(message->refs, 1);
	rcbuf_unref(&message);
	close_store();
}
END_TEST

Suite *suite_history(void);

Suite *suite_history(void) {
	Suite *s = suite_create("history");
	TCase *t = tcase_create("bounds");

	tcase_add_test(t, count_drops_the_oldest);
	tcase_add_test(t, nothing_is_kept_when_the_count_is_zero);
	tcase_add_test(t, bytes_drop_the_oldest_but_not_the_newest);
	tcase_add_test(t, all_channels_share_one_bound);
	tcase_add_test(t, rings_and_owners_count);
	tcase_add_test(t, age_drops);
	tcase_add_test(t, positions_and_records);
	tcase_add_test(t, large_ones_are_shared);
	suite_add_tcase(s, t);
	return s;
}
