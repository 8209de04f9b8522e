/* test_redis_publish - the scripts publish and generation in a real server */
#include <check.h>
#include <stdio.h>

#include "tests/unit/redis_script_world.h"

enum { MINUTE_MS = 60000 };

/* "EPOCH OFFSET", and whether it was a repeat. */
static const char *told(const redisReply *r) {
	static char text[128];

	snprintf(text, sizeof(text), "%s%s %d", number_at(r, 0) == 1 ? "repeat " : "", text_at(r, 1), (int)number_at(r, 2));
	return text;
}

static void publish_many(int count, const char *data) {
	for (int i = 0; i < count; i++)
		rw_publish(data);
}

/* Offsets of the stream's first and last entry, and how many there are. */
static const char *kept(void) {
	static char text[128];
	const redisReply *r;
	int count = (int)rw_number("XLEN t:s:room"), first = 0, last = 0;

	r = rw_do("XRANGE t:s:room - + COUNT 1");
	if (r->elements > 0)
		sscanf(r->element[0]->element[0]->str, "%d-0", &first);
	r = rw_do("XREVRANGE t:s:room + - COUNT 1");
	if (r->elements > 0)
		sscanf(r->element[0]->element[0]->str, "%d-0", &last);
	snprintf(text, sizeof(text), "%d-%d: %d", first, last, count);
	return text;
}

static struct slice key_of(int n) {
	static char key[IPC_KEY_BYTES + 1];

	snprintf(key, sizeof(key), "key%13d", n);
	return slice_of(key, IPC_KEY_BYTES);
}

START_TEST(offsets_rise) {
	ck_assert_str_eq(told(rw_publish("a")), "epoch-01.G1 1");
	ck_assert_str_eq(told(rw_publish("b")), "epoch-01.G1 2");
	rw.channel = slice_text("other");
	ck_assert_str_eq(told(rw_publish("c")), "epoch-01.G1 1");
	ck_assert_str_eq(kept(), "1-2: 2");
	ck_assert_str_eq(rw_text("HGET t:m:room o"), "2");
	ck_assert_int_eq(rw_number("ZCARD t:n"), 2);
}
END_TEST

START_TEST(what_is_published_is_what_is_kept) {
	struct redis_payload p;
	const redisReply *r;
	uint64_t before = rw_now_ms(), after;

	rw.key = slice_of("\xff\0key45678901234", IPC_KEY_BYTES);
	publishing.kind = 255;
	rw_listen();
	rw_publish("d\xc3\xa4ta");
	publishing.is_dropped = true;
	rw.key = key_of(1);
	rw_publish("unkept");
	ck_assert_str_eq(rw_heard(), "1:d\xc3\xa4ta 2:unkept");
	after = rw_now_ms();
	r = rw_do("XRANGE t:s:room - +");
	ck_assert_uint_eq(r->elements, 1);
	r = r->element[0]->element[1];
	ck_assert_str_eq(r->element[0]->str, "d");
	ck_assert(redis_payload_read(slice_of(r->element[1]->str, r->element[1]->len), &p));
	ck_assert(p.kind == 255 && p.time_ms >= before && p.time_ms <= after);
	ck_assert(slice_eq_text(p.epoch, "epoch-01.G1") && memcmp(p.key, "\xff\0key45678901234", IPC_KEY_BYTES) == 0);
}
END_TEST

START_TEST(repeats_are_told_the_first_one) {
	rw_listen();
	rw.key = key_of(1);
	rw_publish("a");
	rw.key = key_of(2);
	rw_publish("b");
	rw.key = key_of(1);
	ck_assert_str_eq(told(rw_publish("again")), "repeat epoch-01.G1 1");
	ck_assert_str_eq(rw_heard(), "1:a 2:b");
	ck_assert_str_eq(kept(), "1-2: 2");
	rw.channel = slice_text("room:key");
	ck_assert_str_eq(told(rw_publish("c")), "epoch-01.G1 1");
}
END_TEST

START_TEST(publications_without_a_key_are_never_repeats) {
	rw_publish("a");
	ck_assert_str_eq(told(rw_publish("a")), "epoch-01.G1 2");
	ck_assert_int_eq(rw_number("EXISTS t:i:room:%b", rw.key.ptr, rw.key.len), 0);
}
END_TEST

START_TEST(keys_expire) {
	rw.key = key_of(1);
	rw_publish("a");
	ck_assert_str_eq(told(rw_publish("a")), "repeat epoch-01.G1 1");
	publishing.key_ms = 5;
	rw.key = key_of(2);
	rw_publish("b");
	rw_wait_ms(6);
	ck_assert_str_eq(told(rw_publish("b")), "epoch-01.G1 3");
	rw_do("PEXPIRE t:i:room:%b 1", key_of(1).ptr, (size_t)IPC_KEY_BYTES);
	rw_wait_ms(2);
	rw.key = key_of(1);
	ck_assert_str_eq(told(rw_publish("a")), "epoch-01.G1 4");
}
END_TEST

/* A repeat after a failover: the first one was not lost with it, and its position is one of the new generation. */
START_TEST(repeats_of_an_earlier_generation) {
	rw.key = key_of(1);
	rw_publish("a");
	rw_do("HSET t:g t G2");
	rw.generation = "G2";
	ck_assert_str_eq(told(rw_publish("a")), "repeat epoch-01.G2 1");
}
END_TEST

START_TEST(exact_beyond_what_doubles_print) {
	rw_publish("a");
	rw_do("HSET t:m:room o 9007199254740989");
	rw.key = key_of(1);
	ck_assert(number_at(rw_publish("b"), 2) == 9007199254740990);
	ck_assert(number_at(rw_publish("b"), 2) == 9007199254740990);
	ck_assert_str_eq(rw_text("HGET t:m:room o"), "9007199254740990");
	ck_assert_str_eq(rw_do("XREVRANGE t:s:room + - COUNT 1")->element[0]->element[0]->str, "9007199254740990-0");
}
END_TEST

START_TEST(a_new_epoch_has_no_old_history) {
	publish_many(3, "a");
	rw_do("DEL t:m:room");
	ck_assert_str_eq(told(rw_publish("b")), "epoch-01.G1 1");
	ck_assert_str_eq(kept(), "1-1: 1");
}
END_TEST

START_TEST(another_generation) {
	rw_publish("a");
	rw.generation = "G2";
	call_begin(REDIS_SCRIPT_publish, "msin");
	ck_assert(slice_starts_with(slice_text(call_end_error()), "STALE "));
	rw_do("DEL t:g");
	call_begin(REDIS_SCRIPT_publish, "msin");
	ck_assert(slice_starts_with(slice_text(call_end_error()), "STALE "));
	ck_assert_str_eq(kept(), "1-1: 1");
}
END_TEST

/* An eighth more than the count may be there. */
START_TEST(trimmed_by_count) {
	publishing.count = 5;
	publish_many(12, "a");
	ck_assert_str_eq(kept(), "8-12: 5");
	publishing.count = 100;
	for (int i = 0; i < 300; i++) {
		rw_publish("a");
		ck_assert_int_le(rw_number("XLEN t:s:room"), 112);
	}
	ck_assert_int_ge(rw_number("XLEN t:s:room"), 100);
	publishing.count = 1;
	rw_publish("a");
	ck_assert_str_eq(kept(), "313-313: 1");
}
END_TEST

START_TEST(nothing_is_kept) {
	publishing.count = 0;
	rw_publish("a");
	publishing.count = 10;
	publishing.is_dropped = true;
	rw_publish("b");
	ck_assert_str_eq(kept(), "0-0: 0");
	publishing.is_dropped = false;
	ck_assert_str_eq(told(rw_publish("c")), "epoch-01.G1 3");
	ck_assert_str_eq(kept(), "3-3: 1");
	/* Made later than meta, and yet it goes with it. */
	rw_check_expiry("t:s:room", 1, 2 * MINUTE_MS);
}
END_TEST

/* Bytes of what is kept, by the entries themselves. */
static size_t kept_bytes(void) {
	const redisReply *r = rw_do("XRANGE t:s:room - +");
	size_t bytes = 0;

	for (size_t i = 0; i < r->elements; i++)
		bytes += r->element[i]->element[1]->element[1]->len;
	return bytes;
}

START_TEST(trimmed_by_bytes) {
	char data[601];

	memset(data, 'x', sizeof(data) - 1);
	publishing.bytes = 10000;
	for (int i = 0; i < 200; i++) {
		data[50 + (i * 37) % 550] = '\0';
		rw_publish(data);
		data[50 + (i * 37) % 550] = 'x';
		ck_assert_uint_le(kept_bytes(), 10000);
		/* An eighth less, and not more than one entry beyond that. */
		if (i > 60)
			ck_assert_uint_ge(kept_bytes(), 10000 - 1250 - 700);
	}
	ck_assert(strstr(kept(), "-200: ") != NULL);
}
END_TEST

START_TEST(trimmed_by_count_and_bytes) {
	publishing.count = 4;
	publishing.bytes = 1000;
	publish_many(100, "little");
	/* What went by count counts no more. */
	ck_assert_str_eq(kept(), "97-100: 4");
	publishing.bytes = 200;
	rw_publish("little");
	ck_assert_uint_le(kept_bytes(), 200);
	ck_assert(strstr(kept(), "-101: ") != NULL);
}
END_TEST

START_TEST(what_is_too_large_is_a_hole) {
	char data[201] = "";

	memset(data, 'x', sizeof(data) - 1);
	publishing.bytes = 200;
	rw_publish("a");
	rw_listen();
	ck_assert_str_eq(told(rw_publish(data)), "epoch-01.G1 2");
	rw_publish("b");
	ck_assert(strncmp(rw_heard(), "2:xxx", 5) == 0);
	ck_assert_str_eq(kept(), "1-3: 2");
}
END_TEST

/* Looked at when expiries are renewed; as if that had been long ago. */
START_TEST(trimmed_by_age) {
	publish_many(3, "a");
	publishing.history_ms = 20000;
	rw_age(20001);
	rw_publish("b");
	ck_assert_str_eq(kept(), "1-4: 4");
	rw_do("HSET t:m:room x 1");
	rw_publish("c");
	ck_assert_str_eq(kept(), "4-5: 2");
	rw_age(20001);
	rw_do("HSET t:m:room x 1");
	publishing.is_dropped = true;
	rw_publish("d");
	ck_assert_str_eq(kept(), "0-0: 0");
	/* And from there on it goes on. */
	publishing.is_dropped = false;
	rw_publish("e");
	ck_assert_str_eq(kept(), "7-7: 1");
}
END_TEST

START_TEST(expiries) {
	publishing.history_ms = 5000;
	publishing.key_ms = 40000;
	rw.key = key_of(1);
	rw_publish("a");
	rw_check_expiry("t:m:room", 99000, 100000);
	rw_check_expiry("t:s:room", 34000, 35000);
	ck_assert_int_gt(rw_number("PTTL t:i:room:%b", rw.key.ptr, rw.key.len), 39000);
	publishing.history_ms = 90000;
	rw.key = key_of(2);
	rw_publish("a");
	rw_check_expiry("t:m:room", 99000, 100000);
	/* Renewed every half minute; a clock that went back is not waited for. */
	rw_do("HSET t:m:room x 99999999999999");
	rw.key = key_of(3);
	rw_publish("a");
	rw_check_expiry("t:m:room", 149000, 150000);
	rw_check_expiry("t:s:room", 119000, 120000);
	/* What others wanted longer stays. */
	rw_do("PEXPIRE t:m:room 900000");
	rw_do("HSET t:m:room x 1");
	rw.key = key_of(4);
	rw_publish("a");
	rw_check_expiry("t:m:room", 890000, 900000);
}
END_TEST

START_TEST(names_of_expired_channels_go) {
	for (int i = 0; i < 200; i++)
		rw_do("ZADD t:n 0 old-%d", i);
	rw_do("ZADD t:n 0 with-members");
	rw_do("HSET t:w:with-members %s x", "");
	for (int i = 0; i < 200; i++) {
		char name[16];

		snprintf(name, sizeof(name), "new-%d", i);
		rw.channel = slice_text(name);
		rw_publish("a");
	}
	ck_assert_int_lt(rw_number("ZCARD t:n"), 300);
	ck_assert_int_ge(rw_number("ZCARD t:n"), 201);
	ck_assert_str_eq(rw_text("ZSCORE t:n with-members"), "0");
}
END_TEST

/* Refused before anything is done, and what is there can be read. */
START_TEST(memory_is_full) {
	rw.key = key_of(1);
	rw_publish("a");
	rw_do("CONFIG SET maxmemory 1");
	call_begin(REDIS_SCRIPT_publish, "msin");
	call_text("epoch-02");
	for (const char *const *arg = (const char *[]){ "new", "0123456789abcdef", "3", "x", "1", "9", "999", "9999", "9999", "t:c:x", NULL };
	    *arg != NULL; arg++)
		call_text(*arg);
	rw.channel = slice_text("new");
	ck_assert(slice_starts_with(slice_text(call_end_error()), "OOM "));
	rw_do("CONFIG SET maxmemory 0");
	ck_assert_int_eq(rw_number("DBSIZE"), 5);
	ck_assert_str_eq(kept(), "1-1: 1");
}
END_TEST

START_TEST(any_bytes) {
	char name[] = "a:\n\r \"'\xff\xfe:";

	rw.channel = slice_of(name, sizeof(name));
	rw_listen();
	rw_publish("a");
	rw_publish("b");
	ck_assert_str_eq(rw_heard(), "1:a 2:b");
	ck_assert_int_eq(rw_number("ZLEXCOUNT t:n [%b [%b", name, sizeof(name), name, sizeof(name)), 1);
}
END_TEST

static const char *generation(const char *id, const char *address, bool is_proven, const char *fresh) {
	call_begin(REDIS_SCRIPT_generation, "");
	call_text(id);
	call_text(address);
	call_number(is_proven);
	call_text(fresh);
	return call_end()->str;
}

START_TEST(generations) {
	rw_do("DEL t:g");
	ck_assert_str_eq(generation("R1", "A1", true, "first"), "first");
	ck_assert_str_eq(generation("R1", "A1", false, "x"), "first");
	/* The same server by another name. */
	ck_assert_str_eq(generation("R1", "A2", false, "x"), "first");
	ck_assert_str_eq(rw_text("HGET t:g a"), "A2");
	/* Restarted, and nothing was lost; the next host sees that it is known. */
	ck_assert_str_eq(generation("R1", "A2", true, "x"), "first");
	ck_assert_str_eq(generation("R2", "A2", true, "x"), "first");
	ck_assert_str_eq(generation("R2", "A2", false, "x"), "first");
	/* Promoted. */
	ck_assert_str_eq(generation("R3", "A2", false, "second"), "second");
	ck_assert_str_eq(generation("R3", "A2", false, "x"), "second");
	/* Proven for what comes, not for what was. */
	ck_assert_str_eq(generation("R4", "A2", true, "third"), "third");
	/* The proof is about another server. */
	ck_assert_str_eq(generation("R5", "A3", true, "other"), "other");
	rw_do("FLUSHALL");
	ck_assert_str_eq(generation("R4", "A3", true, "fourth"), "fourth");
}
END_TEST

static void add_tests(TCase *t) {
	tcase_add_test(t, offsets_rise);
	tcase_add_test(t, what_is_published_is_what_is_kept);
	tcase_add_test(t, repeats_are_told_the_first_one);
	tcase_add_test(t, publications_without_a_key_are_never_repeats);
	tcase_add_test(t, keys_expire);
	tcase_add_test(t, repeats_of_an_earlier_generation);
	tcase_add_test(t, exact_beyond_what_doubles_print);
	tcase_add_test(t, a_new_epoch_has_no_old_history);
	tcase_add_test(t, another_generation);
	tcase_add_test(t, trimmed_by_count);
	tcase_add_test(t, nothing_is_kept);
	tcase_add_test(t, trimmed_by_bytes);
	tcase_add_test(t, trimmed_by_count_and_bytes);
	tcase_add_test(t, what_is_too_large_is_a_hole);
	tcase_add_test(t, trimmed_by_age);
	tcase_add_test(t, expiries);
	tcase_add_test(t, names_of_expired_channels_go);
	tcase_add_test(t, memory_is_full);
	tcase_add_test(t, any_bytes);
	tcase_add_test(t, generations);
}

Suite *suite_redis_publish(void);
Suite *suite_redis_publish(void) {
	Suite *s = suite_create("redis_publish");
	TCase *t = tcase_create("redis_publish");

	tcase_set_timeout(t, 60);
	tcase_add_unchecked_fixture(t, rw_setup, rw_teardown);
	tcase_add_checked_fixture(t, rw_reset, NULL);
	add_tests(t);
	suite_add_tcase(s, t);
	return s;
}
