/* test_order - orders of moderation: there and back, and bytes that are none */
#include "server/moderation/order.h"

#include <check.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/svc/log.h"
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

/* By whom and under which name, the action, for whom, how long. Not why. */
START_TEST(same_order) {
	struct order o = orders[1];
	uint8_t given[IPC_KEY_BYTES] = "a", key[7][IPC_KEY_BYTES];

	order_key(given, &o, key[0]);
	o.reason = slice_text("another");
	order_key(given, &o, key[1]);
	ck_assert_mem_eq(key[0], key[1], IPC_KEY_BYTES);
	o.action = ORDER_MUTE;
	order_key(given, &o, key[2]);
	o = orders[1];
	o.seconds++;
	order_key(given, &o, key[3]);
	o = orders[1];
	o.user = slice_text("v");
	order_key(given, &o, key[4]);
	o.user = slice_text("uu");
	order_key(given, &o, key[5]);
	given[0] = 'b';
	order_key(given, &orders[1], key[6]);
	for (size_t i = 1; i < ARRAY_LEN(key); i++) {
		for (size_t j = i + 1; j < ARRAY_LEN(key); j++)
			ck_assert_mem_ne(key[i], key[j], IPC_KEY_BYTES);
	}
}
END_TEST

/* The lines of the log that this writes. */
static const char *logged(void (*write_lines)(void)) {
	static char got[4096];
	int saved = dup(STDERR_FILENO), file = memfd_create("lines", MFD_CLOEXEC);
	ssize_t len;

	log_set_level(LOG_INFO);
	dup2(file, STDERR_FILENO);
	write_lines();
	dup2(saved, STDERR_FILENO);
	log_set_level(LOG_ERROR);
	len = pread(file, got, sizeof(got) - 1, 0);
	ck_assert_int_ge(len, 0);
	got[len] = '\0';
	close(saved);
	close(file);
	return got;
}

static void give_all(void) {
	order_log(&orders[0], "c1", 1000);
	order_log(&orders[1], "c2", 1000);
}

static void hear_of_all(void) {
	struct order_bytes bytes;

	order_encode(&orders[1], &bytes);
	order_log_doubt(slice_of_bytes(&bytes), IPC_OK);
	order_log_doubt(slice_of_bytes(&bytes), IPC_REPEATED);
	order_log_doubt(slice_of_bytes(&bytes), IPC_UNAVAILABLE);
	order_encode(&orders[0], &bytes);
	order_log_doubt(slice_of_bytes(&bytes), IPC_UNCERTAIN);
}

/* An order has its line and is counted when it is given; a doubt has another line, and counts nothing. */
START_TEST(audited) {
	uint64_t before = stat_get(stats_own, STAT_moderation_orders);
	const char *first, *got = logged(give_all);

	ck_assert_ptr_nonnull(strstr(got, "message=\"moderation ordered\" action=kick user=u1 by=mod conn=c1 audit=moderation\n"));
	ck_assert_ptr_nonnull(strstr(got, "message=\"moderation ordered\" action=ban user=u through=\"the server API\" until=2 reason=spam conn=c2 audit=moderation\n"));
	ck_assert_uint_eq(stat_get(stats_own, STAT_moderation_orders), before + 2);
	got = logged(hear_of_all);
	first = strstr(got, "message=\"moderation not confirmed\" action=ban user=u through=\"the server API\" outcome=\"not done\" audit=moderation\n");
	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_nonnull(strstr(first, "message=\"moderation not confirmed\" action=kick user=u1 by=mod outcome=uncertain audit=moderation\n"));
	ck_assert_ptr_eq(strstr(got, "message="), first);
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
	tcase_add_test(t, same_order);
	tcase_add_test(t, audited);
	suite_add_tcase(s, t);
	return s;
}
