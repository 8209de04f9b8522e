/* test_idempotency - keys per channel, bounded by bytes and age */
#include "broker/idempotency.h"

#include <check.h>

static struct idempotency_store store;
static struct idempotency one, two;

static void open_store(size_t bytes) {
	struct engine_limits limits = { .idempotency_total_bytes = bytes, .idempotency_ms = 1000 };

	idempotency_store_init(&store, &limits);
}

static void close_store(void) {
	idempotency_store_fini(&store);
	ck_assert(one.count == 0 && two.count == 0);
}

static const uint8_t *key(uint32_t n) {
	static uint8_t bytes[IPC_KEY_BYTES];

	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes + 12, &n, sizeof(n));
	return bytes;
}

/* Of the test's channels, whose names have no hashes. */
static uint64_t hash(const struct idempotency *i, uint32_t n) {
	return idempotency_hash((uintptr_t)i, key(n));
}

static void add(struct idempotency *i, uint32_t n, uint64_t offset, uint64_t now_ms) {
	uint64_t first = offset;

	idempotency_prefetch(&store, hash(i, n));
	ck_assert(idempotency_add(&store, i, hash(i, n), key(n), &offset, now_ms));
	ck_assert_uint_eq(offset, first);
}

/* The key is known; with which offset? */
static uint64_t again(struct idempotency *i, uint32_t n) {
	uint32_t count = i->count;
	uint64_t offset = 999999;

	ck_assert(!idempotency_add(&store, i, hash(i, n), key(n), &offset, 0));
	ck_assert_uint_eq(i->count, count);
	return offset;
}

START_TEST(keys_belong_to_their_channel) {
	open_store(1 << 20);
	ck_assert(!idempotency_is_key(key(0)) && idempotency_is_key(key(1)));
	add(&one, 1, 10, 0);
	add(&two, 1, 20, 0);
	add(&two, 2, 21, 0);
	ck_assert(again(&one, 1) == 10 && again(&two, 1) == 20 && again(&two, 2) == 21);
	ck_assert(one.count == 1 && two.count == 2);
	close_store();
}
END_TEST

/* Even if all of them are looked for in the same place. */
START_TEST(hashes_may_be_the_same) {
	uint64_t offsets[] = { 1, 2, 3 };

	open_store(1 << 20);
	ck_assert(idempotency_add(&store, &one, 7, key(1), &offsets[0], 0));
	ck_assert(idempotency_add(&store, &one, 7, key(2), &offsets[1], 0));
	ck_assert(idempotency_add(&store, &two, 7, key(1), &offsets[2], 0));
	for (int i = 0; i < 3; i++) {
		uint64_t offset = 0;

		ck_assert(!idempotency_add(&store, i == 2 ? &two : &one, 7, key(i == 1 ? 2 : 1), &offset, 0));
		ck_assert_uint_eq(offset, offsets[i]);
	}
	close_store();
}
END_TEST

START_TEST(keys_age) {
	open_store(1 << 20);
	add(&one, 1, 1, 0);
	add(&one, 2, 2, 400);
	idempotency_expire(&store, 999);
	ck_assert(again(&one, 1) == 1);
	idempotency_expire(&store, 1000);
	ck_assert(again(&one, 2) == 2 && one.count == 1);
	add(&one, 1, 3, 1000);
	ck_assert(again(&one, 1) == 3);
	close_store();
}
END_TEST

START_TEST(bytes_are_bounded) {
	open_store(64 * 1024);
	for (uint32_t n = 1; n <= 10000; n++)
		add(&one, n, n, 0);
	ck_assert_uint_ge(one.count, 64 * 1024 / 100);
	ck_assert_uint_le(one.count, 64 * 1024 / 60);
	ck_assert(again(&one, 10000) == 10000 && again(&one, 10000 - one.count + 1) > 0);
	add(&one, 10000 - one.count, 1, 0);
	close_store();
}
END_TEST

/* The first one comes and goes again and again, while others do, so that the queue is empty, and long. */
START_TEST(what_was_forgotten_may_come_again) {
	uint64_t now = 0;

	open_store(1 << 20);
	for (uint32_t round = 1; round <= 10; round++, now += 2000) {
		for (uint32_t n = 1; n <= round * 100; n++)
			add(n % 2 == 0 ? &one : &two, n, round, now + n);
		for (uint32_t n = 1; n <= round * 100; n++)
			ck_assert_uint_eq(again(n % 2 == 0 ? &one : &two, n), round);
		idempotency_expire(&store, now + round * 100 - 1 + 1000);
		ck_assert_uint_eq(one.count + two.count, 1);
		idempotency_expire(&store, now + round * 100 + 1000);
		ck_assert(one.count == 0 && two.count == 0 && store.bytes == 0);
	}
	close_store();
}
END_TEST

START_TEST(owners_count) {
	struct idempotency many[100];

	open_store(16 * 1024);
	for (uint32_t n = 0; n < ARRAY_LEN(many); n++) {
		many[n] = (struct idempotency){ .owner_bytes = 1000 };
		add(&many[n], 1, n, 0);
	}
	ck_assert_uint_ge(store.keys.count, 16 * 1024 / 1200);
	ck_assert_uint_le(store.keys.count, 16 * 1024 / 1060);
	for (uint32_t n = 2; n <= 10; n++)
		add(&many[99], n, n, 0);
	ck_assert_uint_eq(many[99].count, 10);
	close_store();
	ck_assert_uint_eq(store.bytes, 0);
}
END_TEST

Suite *suite_idempotency(void);

Suite *suite_idempotency(void) {
	Suite *s = suite_create("idempotency");
	TCase *t = tcase_create("keys");

	tcase_add_test(t, keys_belong_to_their_channel);
	tcase_add_test(t, hashes_may_be_the_same);
	tcase_add_test(t, keys_age);
	tcase_add_test(t, bytes_are_bounded);
	tcase_add_test(t, what_was_forgotten_may_come_again);
	tcase_add_test(t, owners_count);
	suite_add_tcase(s, t);
	return s;
}
