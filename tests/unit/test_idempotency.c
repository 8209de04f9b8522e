/* test_idempotency - keys per channel, bounded by bytes and age */
#include "broker/idempotency.h"

#include <check.h>

static struct idempotency_store store;
static struct idempotency one = { .channel_id = 1 }, two = { .channel_id = 2 };

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

/* 0: not known. */
static uint64_t find(const struct idempotency *i, uint32_t n) {
	uint64_t offset;

	return idempotency_find(&store, i, key(n), &offset) ? offset : 0;
}

START_TEST(keys_belong_to_their_channel) {
	open_store(1 << 20);
	ck_assert(!idempotency_is_key(key(0)) && idempotency_is_key(key(1)));
	idempotency_add(&store, &one, key(1), 10, 0);
	idempotency_add(&store, &two, key(1), 20, 0);
	idempotency_add(&store, &two, key(2), 21, 0);
	ck_assert(find(&one, 1) == 10 && find(&two, 1) == 20 && find(&one, 2) == 0 && find(&two, 2) == 21);
	ck_assert(one.count == 1 && two.count == 2);
	close_store();
}
END_TEST

START_TEST(keys_age) {
	open_store(1 << 20);
	idempotency_add(&store, &one, key(1), 1, 0);
	idempotency_add(&store, &one, key(2), 2, 400);
	idempotency_expire(&store, 999);
	ck_assert(find(&one, 1) == 1);
	idempotency_expire(&store, 1000);
	ck_assert(find(&one, 1) == 0 && find(&one, 2) == 2 && one.count == 1);
	close_store();
}
END_TEST

START_TEST(bytes_are_bounded) {
	open_store(64 * 1024);
	for (uint32_t n = 1; n <= 10000; n++)
		idempotency_add(&store, &one, key(n), n, 0);
	ck_assert_uint_ge(one.count, 64 * 1024 / 200);
	ck_assert_uint_le(one.count, 64 * 1024 / 100);
	ck_assert(find(&one, 10000) == 10000 && find(&one, 10000 - one.count + 1) > 0 && find(&one, 10000 - one.count) == 0);
	close_store();
}
END_TEST

START_TEST(owners_count) {
	struct idempotency many[100];

	open_store(16 * 1024);
	for (uint32_t n = 0; n < ARRAY_LEN(many); n++) {
		many[n] = (struct idempotency){ .channel_id = n, .owner_bytes = 1000 };
		idempotency_add(&store, &many[n], key(1), n, 0);
	}
	ck_assert_uint_ge(store.keys.count, 16 * 1024 / 1200);
	ck_assert_uint_le(store.keys.count, 16 * 1024 / 1100);
	for (uint32_t n = 2; n <= 10; n++)
		idempotency_add(&store, &many[99], key(n), n, 0);
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
	tcase_add_test(t, keys_age);
	tcase_add_test(t, bytes_are_bounded);
	tcase_add_test(t, owners_count);
	suite_add_tcase(s, t);
	return s;
}
