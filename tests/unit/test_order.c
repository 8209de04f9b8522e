/* test_order - orders of moderation: there and back, and bytes that are none */
#include "server/moderation/order.h"

#include <check.h>

#include "common/svc/stats.h"

static char long_user[ORDER_USER_MAX + 1], long_reason[ORDER_REASON_MAX + 1];

static const struct order orders[] = {
	{ ORDER_KICK, 0, { (const uint8_t *)"u1", 2 }, { (const uint8_t *)"mod", 3 }, { NULL, 0 } },
	{ ORDER_BAN, 1, { (const uint8_t *)"u", 1 }, { NULL, 0 }, { (const uint8_t *)"spam", 4 } },
	{ ORDER_BAN, ORDER_SECONDS_MAX, { (const uint8_t *)long_user, ORDER_USER_MAX }, { (const uint8_t *)long_user, ORDER_USER_MAX },
	    { (const uint8_t *)long_reason, ORDER_REASON_MAX } },
	{ ORDER_MUTE, 0, { (const uint8_t *)"a\0b", 3 }, { NULL, 0 }, { NULL, 0 } },
};

static void setup(void) {
	memset(long_user, 'x', ORDER_USER_MAX);
	memset(long_reason, 'y', ORDER_REASON_MAX);
}

static struct slice slice_of_bytes(const struct order_bytes *b) {
	return slice_of(b->bytes, b->len);
}

START_TEST(there_and_back) {
	const struct order *o = &orders[_i];
	struct order_bytes bytes;
	struct order back;

	order_encode(o, &bytes);
	ck_assert_uint_le(bytes.len, ORDER_BYTES_MAX);
	ck_assert(order_decode(slice_of_bytes(&bytes), &back));
	ck_assert_int_eq(back.action, o->action);
	ck_assert_uint_eq(back.seconds, o->seconds);
	ck_assert(slice_eq(back.user, o->user) && slice_eq(back.by, o->by) && slice_eq(back.reason, o->reason));
}
END_TEST

/* No part of an order is one, nor one with something behind it. */
START_TEST(cut_and_overlong) {
	struct order_bytes bytes;
	struct order back;

	order_encode(&orders[_i], &bytes);
	for (size_t len = 0; len < bytes.len; len++)
		ck_assert(!order_decode(slice_of(bytes.bytes, len), &back));
	if (bytes.len < ORDER_BYTES_MAX) {
		bytes.bytes[bytes.len] = 0;
		ck_assert(!order_decode(slice_of(bytes.bytes, bytes.len + 1u), &back));
	}
}
END_TEST

static const struct {
	const char *bytes;
	size_t len;
} bad[] = {
#define BAD(text) { text, sizeof(text) - 1 }
	BAD("\2\1\0\0\0\0\1u\0\0"),	/* another version */
	BAD("\1\0\0\0\0\0\1u\0\0"),	/* no such action */
	BAD("\1\4\0\0\0\0\1u\0\0"),
	BAD("\1\2\0\x27\x8d\1\1u\0\0"),	/* 30 days and a second */
	BAD("\1\2\xff\xff\xff\xff\1u\0\0"),
	BAD("\1\1\0\0\0\0\0\0\0"),	/* nobody */
};

START_TEST(refused) {
	struct order back;

	ck_assert(!order_decode(slice_of(bad[_i].bytes, bad[_i].len), &back));
}
END_TEST

START_TEST(too_long) {
	uint8_t bytes[400] = { 1, 1, 0, 0, 0, 0, ORDER_USER_MAX + 1 };
	struct order back;

	ck_assert(!order_decode(slice_of(bytes, 7 + ORDER_USER_MAX + 1 + 2), &back));
	bytes[6] = 1;
	ck_assert(order_decode(slice_of(bytes, 10), &back));
	bytes[8] = ORDER_USER_MAX + 1;
	ck_assert(!order_decode(slice_of(bytes, 9 + ORDER_USER_MAX + 1 + 1), &back));
	bytes[8] = 0;
	bytes[9] = ORDER_REASON_MAX + 1;
	ck_assert(!order_decode(slice_of(bytes, 10 + ORDER_REASON_MAX + 1), &back));
}
END_TEST

START_TEST(reasons) {
	ck_assert(order_is_reason(SLICE_EMPTY) && order_is_reason(slice_text("not nice")));
	ck_assert(order_is_reason(slice_of(long_reason, ORDER_REASON_MAX)));
	ck_assert(!order_is_reason(slice_text(" ")) && !order_is_reason(slice_text("a\nb")) && !order_is_reason(slice_text("\xe2\x80\xae")));
	{
		char longer[ORDER_REASON_MAX + 1];

		memset(longer, 'z', sizeof(longer));
		ck_assert(!order_is_reason(slice_of(longer, sizeof(longer))));
	}
}
END_TEST

/* Only what is in the channel, or may be, is counted. */
START_TEST(counted_once) {
	uint64_t before = stat_get(stats_own, STAT_moderation_orders);
	struct order_bytes bytes;

	order_encode(&orders[1], &bytes);
	order_log(slice_of_bytes(&bytes), IPC_OK, 1000);
	order_log(slice_of_bytes(&bytes), IPC_REPEATED, 1000);
	order_log(slice_of_bytes(&bytes), IPC_UNAVAILABLE, 1000);
	ck_assert_uint_eq(stat_get(stats_own, STAT_moderation_orders), before + 1);
	order_log(slice_of_bytes(&bytes), IPC_UNCERTAIN, 1000);
	ck_assert_uint_eq(stat_get(stats_own, STAT_moderation_orders), before + 2);
}
END_TEST

Suite *suite_order(void);

Suite *suite_order(void) {
	Suite *s = suite_create("order");
	TCase *t = tcase_create("order");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_loop_test(t, there_and_back, 0, (int)ARRAY_LEN(orders));
	tcase_add_loop_test(t, cut_and_overlong, 0, (int)ARRAY_LEN(orders));
	tcase_add_loop_test(t, refused, 0, (int)ARRAY_LEN(bad));
	tcase_add_test(t, too_long);
	tcase_add_test(t, reasons);
	tcase_add_test(t, counted_once);
	suite_add_tcase(s, t);
	return s;
}
