/* test_redis_read - the scripts read, fill and tops in a real server: what is behind a position, and where everybody is */
#include <check.h>
#include <stdio.h>

#include "tests/unit/redis_script_world.h"

/* Of one letter. Flags: 1 recovered, 2 more. */
enum { PAYLOAD_BYTES = 2 + sizeof("epoch-01.G1") - 1 + 8 + 8 + 1 + IPC_KEY_BYTES + 1 };

/* How the next reads and fills are; reset before each test. */
static struct {
	uint64_t limit, bytes, history_ms;
} wanted;

static void reset(void) {
	rw_reset();
	wanted.limit = 1000;
	wanted.bytes = 1 << 20;
	wanted.history_ms = 60000;
}

/* "EPOCH TOP FLAGS OFFSET:DATA .." */
static const char *read_channel(const char *how, const char *epoch, uint64_t offset) {
	static char text[4096];
	const redisReply *r;

	call_begin(REDIS_SCRIPT_read, "mswz");
	call_text(how);
	call_text(epoch);
	call_number(offset);
	call_number(wanted.limit);
	call_number(wanted.bytes);
	call_number(wanted.history_ms);
	call_number(0);
	call_number(0);
	r = call_end();
	ck_assert_uint_eq(r->elements, 8);
	snprintf(text, sizeof(text), "%s %d %d %s", text_at(r, 0), (int)number_at(r, 1), (int)number_at(r, 2), payloads_at(r, 3));
	return text;
}

static const char *since(uint64_t offset) {
	return read_channel("since", "epoch-01.G1", offset);
}

static const char *before(uint64_t offset) {
	return read_channel("before", "", offset);
}

/* "EPOCH TOP OFFSET:DATA .." */
static const char *fill(const char *epoch, uint64_t offset, uint64_t heard_ms) {
	static char text[4096];
	const redisReply *r;

	call_begin(REDIS_SCRIPT_fill, "mswv");
	call_text(epoch);
	call_number(offset);
	call_number(heard_ms);
	call_text("");
	call_number(0);
	call_number(wanted.limit);
	call_number(wanted.bytes);
	call_number(wanted.history_ms);
	r = call_end();
	ck_assert_uint_eq(r->elements, 6);
	snprintf(text, sizeof(text), "%s %d %s", text_at(r, 0), (int)number_at(r, 1), payloads_at(r, 2));
	return text;
}

/* Data "a", "b" .. */
static void publish_letters(int count) {
	for (int i = 0; i < count; i++)
		rw_publish((char[]){ (char)('a' + i), '\0' });
}

static void publish_unkept(void) {
	publishing.is_dropped = true;
	rw_publish("unkept");
	publishing.is_dropped = false;
}

START_TEST(no_such_channel) {
	ck_assert_str_eq(read_channel("none", "", 0), " 0 0 ");
	ck_assert_str_eq(since(0), " 0 0 ");
	ck_assert_str_eq(before(0), " 0 0 ");
	ck_assert_str_eq(fill("epoch-01.G1", 3, 0), " 0 ");
	/* What has no meta is nobody's. */
	rw_publish("a");
	rw_do("DEL t:m:room");
	ck_assert_str_eq(before(0), " 0 0 ");
	ck_assert_str_eq(fill("", 0, 0), " 0 ");
}
END_TEST

/* As whoever subscribes reads it. "EPOCH TOP" */
static const char *read_or_make(const char *epoch) {
	static char text[128];
	const redisReply *r;

	call_begin(REDIS_SCRIPT_read, "mswzn");
	call_text("none");
	call_text("");
	for (int i = 0; i < 6; i++)
		call_number(0);
	call_text(epoch);
	call_bytes(rw.channel);
	call_number(20000);
	r = call_end();
	snprintf(text, sizeof(text), "%s %d", text_at(r, 0), (int)number_at(r, 1));
	return text;
}

START_TEST(who_subscribes_makes_the_channel) {
	/* What an earlier life has left is nobody's. */
	rw_publish("old");
	rw_do("DEL t:m:room");
	ck_assert_str_eq(read_or_make("epoch-07"), "epoch-07.G1 0");
	rw_check_expiry("t:m:room", 15000, 20000);
	ck_assert_str_eq(read_or_make("epoch-08"), "epoch-07.G1 0");
	ck_assert_int_eq(rw_number("ZCARD t:n"), 1);
	publish_letters(2);
	ck_assert_str_eq(read_channel("since", "epoch-07.G1", 0), "epoch-07.G1 2 1 1:a 2:b");
	ck_assert_int_eq(rw_number("ZCARD t:n"), 1);
	/* Not when there is no room for it; it is read all the same. */
	rw_do("DEL t:m:room");
	rw_do("CONFIG SET maxmemory 1");
	ck_assert_str_eq(read_or_make("epoch-09"), " 0");
	rw_do("CONFIG SET maxmemory 0");
}
END_TEST

START_TEST(the_position_alone) {
	publish_letters(3);
	ck_assert_str_eq(read_channel("none", "epoch-01.G1", 1), "epoch-01.G1 3 0 ");
}
END_TEST

START_TEST(since_a_position) {
	publish_letters(3);
	ck_assert_str_eq(since(0), "epoch-01.G1 3 1 1:a 2:b 3:c");
	ck_assert_str_eq(since(2), "epoch-01.G1 3 1 3:c");
	ck_assert_str_eq(since(3), "epoch-01.G1 3 1 ");
	/* Of the future. */
	ck_assert_str_eq(since(4), "epoch-01.G1 3 0 ");
	ck_assert_str_eq(since(UINT64_MAX), "epoch-01.G1 3 0 ");
}
END_TEST

START_TEST(since_another_epoch) {
	publish_letters(3);
	ck_assert_str_eq(read_channel("since", "epoch-02.G1", 1), "epoch-01.G1 3 0 ");
	ck_assert_str_eq(read_channel("since", "epoch-01.G2", 1), "epoch-01.G1 3 0 ");
	ck_assert_str_eq(read_channel("since", "", 1), "epoch-01.G1 3 0 ");
	/* The same channel, after a failover. */
	rw_do("HSET t:g t G2");
	rw.generation = "G2";
	ck_assert_str_eq(read_channel("since", "epoch-01.G1", 1), "epoch-01.G2 3 0 ");
	ck_assert_str_eq(read_channel("since", "epoch-01.G2", 1), "epoch-01.G2 3 1 2:b 3:c");
}
END_TEST

START_TEST(since_with_limits) {
	publish_letters(6);
	wanted.limit = 2;
	ck_assert_str_eq(since(1), "epoch-01.G1 6 3 2:b 3:c");
	ck_assert_str_eq(since(4), "epoch-01.G1 6 1 5:e 6:f");
	wanted.limit = 0;
	ck_assert_str_eq(since(4), "epoch-01.G1 6 2 ");
	ck_assert_str_eq(since(6), "epoch-01.G1 6 1 ");
	wanted.limit = 100;
	wanted.bytes = 2 * PAYLOAD_BYTES;
	ck_assert_str_eq(since(1), "epoch-01.G1 6 3 2:b 3:c");
	wanted.bytes--;
	ck_assert_str_eq(since(1), "epoch-01.G1 6 3 2:b");
	wanted.bytes = 1;
	ck_assert_str_eq(since(1), "epoch-01.G1 6 2 ");
}
END_TEST

START_TEST(since_over_holes) {
	publish_letters(2);
	publish_unkept();
	rw_publish("d");
	publish_unkept();
	ck_assert_str_eq(since(0), "epoch-01.G1 5 0 1:a 2:b 4:d");
	ck_assert_str_eq(since(2), "epoch-01.G1 5 0 4:d");
	/* As far as that goes, and the hole is behind it. */
	wanted.limit = 2;
	ck_assert_str_eq(since(0), "epoch-01.G1 5 3 1:a 2:b");
	ck_assert_str_eq(since(3), "epoch-01.G1 5 1 4:d");
	ck_assert_str_eq(since(4), "epoch-01.G1 5 0 ");
	ck_assert_str_eq(since(5), "epoch-01.G1 5 1 ");
}
END_TEST

START_TEST(what_is_too_old_is_not_returned) {
	publish_letters(2);
	rw_age(30000);
	rw_publish("c");
	rw_publish("d");
	wanted.history_ms = 25000;
	ck_assert_str_eq(since(0), "epoch-01.G1 4 0 3:c 4:d");
	ck_assert_str_eq(since(2), "epoch-01.G1 4 1 3:c 4:d");
	ck_assert_str_eq(before(0), "epoch-01.G1 4 0 3:c 4:d");
	ck_assert_str_eq(fill("epoch-01.G1", 0, 0), "epoch-01.G1 4 3:c 4:d");
	rw_age(30000);
	ck_assert_str_eq(since(0), "epoch-01.G1 4 0 ");
	ck_assert_str_eq(since(4), "epoch-01.G1 4 1 ");
	ck_assert_str_eq(before(0), "epoch-01.G1 4 0 ");
	ck_assert_str_eq(fill("", 0, 0), "epoch-01.G1 4 ");
	wanted.history_ms = 90000;
	ck_assert_str_eq(since(0), "epoch-01.G1 4 1 1:a 2:b 3:c 4:d");
}
END_TEST

START_TEST(before_a_position) {
	publish_letters(5);
	ck_assert_str_eq(before(0), "epoch-01.G1 5 0 1:a 2:b 3:c 4:d 5:e");
	ck_assert_str_eq(before(3), "epoch-01.G1 5 0 1:a 2:b");
	ck_assert_str_eq(before(1), "epoch-01.G1 5 0 ");
	ck_assert_str_eq(before(UINT64_MAX), "epoch-01.G1 5 0 1:a 2:b 3:c 4:d 5:e");
	wanted.limit = 2;
	ck_assert_str_eq(before(0), "epoch-01.G1 5 2 4:d 5:e");
	ck_assert_str_eq(before(4), "epoch-01.G1 5 2 2:b 3:c");
	ck_assert_str_eq(before(2), "epoch-01.G1 5 0 1:a");
	ck_assert_str_eq(before(3), "epoch-01.G1 5 0 1:a 2:b");
	wanted.limit = 100;
	wanted.bytes = 100;
	ck_assert_str_eq(before(0), "epoch-01.G1 5 2 4:d 5:e");
}
END_TEST

START_TEST(before_in_another_epoch) {
	publish_letters(3);
	ck_assert_str_eq(read_channel("before", "epoch-01.G1", 3), "epoch-01.G1 3 0 1:a 2:b");
	ck_assert_str_eq(read_channel("before", "epoch-02.G1", 3), "epoch-01.G1 3 0 ");
	/* The end is the end, whatever was before. */
	ck_assert_str_eq(read_channel("before", "epoch-02.G1", 0), "epoch-01.G1 3 0 1:a 2:b 3:c");
}
END_TEST

/* More than is asked of the stream at once. */
START_TEST(many) {
	const char *text;

	for (int i = 1; i <= 100; i++) {
		if (i % 10 == 0)
			publish_unkept();
		else
			rw_publish("x");
	}
	text = before(0);
	ck_assert(strstr(text, "1 100 0 1:x 2:x") != NULL && strstr(text, " 31:x 32:x 33:x ") != NULL);
	ck_assert(strstr(text, " 89:x 91:x ") != NULL && strcmp(text + strlen(text) - 5, " 99:x") == 0);
	ck_assert_str_eq(strchr(fill("epoch-01.G1", 0, 0), ':'), strchr(text, ':'));
	wanted.limit = 64;
	ck_assert(strstr(before(0), "1 100 2 29:x 31:x ") != NULL);
	ck_assert(strstr(since(0), "1 100 2 1:x ") != NULL);
}
END_TEST

START_TEST(fills_what_is_behind) {
	publish_letters(5);
	ck_assert_str_eq(fill("epoch-01.G1", 3, 0), "epoch-01.G1 5 4:d 5:e");
	ck_assert_str_eq(fill("epoch-01.G1", 5, 0), "epoch-01.G1 5 ");
	ck_assert_str_eq(fill("epoch-01.G1", 6, 0), "epoch-01.G1 5 ");
	/* In the same epoch the time says nothing. */
	ck_assert_str_eq(fill("epoch-01.G1", 3, rw_now_ms() + 1000), "epoch-01.G1 5 4:d 5:e");
	wanted.limit = 1;
	ck_assert_str_eq(fill("epoch-01.G1", 3, 0), "epoch-01.G1 5 4:d");
	wanted.limit = 10;
	wanted.bytes = 1;
	ck_assert_str_eq(fill("epoch-01.G1", 3, 0), "epoch-01.G1 5 4:d");
	wanted.bytes = 100;
	ck_assert_str_eq(fill("epoch-01.G1", 0, 0), "epoch-01.G1 5 1:a 2:b");
}
END_TEST

START_TEST(fills_over_holes) {
	rw_publish("a");
	publish_unkept();
	rw_publish("c");
	publish_unkept();
	ck_assert_str_eq(fill("epoch-01.G1", 1, 0), "epoch-01.G1 4 3:c");
	ck_assert_str_eq(fill("epoch-01.G1", 3, 0), "epoch-01.G1 4 ");
}
END_TEST

/* The time of the last one heard. */
static uint64_t wait_after_publishing(void) {
	uint64_t now = rw_now_ms();

	rw_wait_ms(5);
	return now;
}

START_TEST(news_of_another_generation) {
	uint64_t heard_ms;

	publish_letters(2);
	heard_ms = wait_after_publishing();
	/* Promoted: it never had the second one, and has gone on since. */
	rw_do("XDEL t:s:room 2-0");
	rw_age(0);
	rw_do("HSET t:m:room o 1");
	rw_do("HSET t:g t G2");
	rw.generation = "G2";
	ck_assert_str_eq(fill("epoch-01.G1", 2, heard_ms), "epoch-01.G2 1 ");
	rw_publish("B");
	rw_publish("C");
	ck_assert_str_eq(fill("epoch-01.G1", 2, heard_ms), "epoch-01.G2 3 2:B 3:C");
	wanted.limit = 1;
	ck_assert_str_eq(fill("epoch-01.G1", 2, heard_ms), "epoch-01.G2 3 2:B");
	ck_assert_str_eq(fill("epoch-01.G1", 2, 0), "epoch-01.G2 3 1:a");
}
END_TEST

START_TEST(news_of_another_epoch) {
	uint64_t heard_ms;

	publish_letters(9);
	heard_ms = wait_after_publishing();
	rw_do("FLUSHALL");
	rw_do("HSET t:g t G1");
	publish_letters(3);
	ck_assert_str_eq(fill("epoch-00.G1", 9, heard_ms), "epoch-01.G1 3 1:a 2:b 3:c");
	ck_assert_str_eq(fill("epoch-00.G1", 9, wait_after_publishing()), "epoch-01.G1 3 ");
	ck_assert_str_eq(fill("", 0, 0), "epoch-01.G1 3 1:a 2:b 3:c");
}
END_TEST

/* "EPOCH TOP EPOCH TOP" of two channels. */
static const char *tops(uint64_t live_ms) {
	static char text[256];
	const redisReply *r;

	call_begin(REDIS_SCRIPT_tops, "mwmw");
	call_number(live_ms);
	r = call_end();
	ck_assert_uint_eq(r->elements, 8);
	snprintf(text, sizeof(text), "%s %d %s %d", text_at(r, 0), (int)number_at(r, 1), text_at(r, 4), (int)number_at(r, 5));
	return text;
}

START_TEST(tops_tell_and_prolong) {
	ck_assert_str_eq(tops(1000), " 0  0");
	publish_letters(3);
	ck_assert_str_eq(tops(1000), "epoch-01.G1 3 epoch-01.G1 3");
	rw_check_expiry("t:m:room", 110000, 120000);
	ck_assert_str_eq(tops(500000), "epoch-01.G1 3 epoch-01.G1 3");
	rw_check_expiry("t:m:room", 490000, 500000);
	rw_check_expiry("t:s:room", 80000, 90000);
	/* Whoever asks for less takes nothing away. */
	tops(1000);
	rw_check_expiry("t:m:room", 490000, 500000);
}
END_TEST

START_TEST(another_generation) {
	rw.generation = "G2";
	call_begin(REDIS_SCRIPT_read, "mswz");
	ck_assert(slice_starts_with(slice_text(call_end_error()), "STALE "));
	call_begin(REDIS_SCRIPT_fill, "mswv");
	ck_assert(slice_starts_with(slice_text(call_end_error()), "STALE "));
	call_begin(REDIS_SCRIPT_tops, "mw");
	ck_assert(slice_starts_with(slice_text(call_end_error()), "STALE "));
}
END_TEST

static void add_tests(TCase *t) {
	tcase_add_test(t, no_such_channel);
	tcase_add_test(t, who_subscribes_makes_the_channel);
	tcase_add_test(t, the_position_alone);
	tcase_add_test(t, since_a_position);
	tcase_add_test(t, since_another_epoch);
	tcase_add_test(t, since_with_limits);
	tcase_add_test(t, since_over_holes);
	tcase_add_test(t, what_is_too_old_is_not_returned);
	tcase_add_test(t, before_a_position);
	tcase_add_test(t, before_in_another_epoch);
	tcase_add_test(t, many);
	tcase_add_test(t, fills_what_is_behind);
	tcase_add_test(t, fills_over_holes);
	tcase_add_test(t, news_of_another_generation);
	tcase_add_test(t, news_of_another_epoch);
	tcase_add_test(t, tops_tell_and_prolong);
	tcase_add_test(t, another_generation);
}

Suite *suite_redis_read(void);
Suite *suite_redis_read(void) {
	Suite *s = suite_create("redis_read");
	TCase *t = tcase_create("redis_read");

	tcase_set_timeout(t, 60);
	tcase_add_unchecked_fixture(t, rw_setup, rw_teardown);
	tcase_add_checked_fixture(t, reset, NULL);
	add_tests(t);
	suite_add_tcase(s, t);
	return s;
}
