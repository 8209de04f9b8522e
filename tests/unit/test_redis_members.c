/* test_redis_members - the scripts enter, leave, members and channels in a real server */
#include <check.h>
#include <stdio.h>

#include "tests/unit/redis_script_world.h"

/* How the next calls are; reset before each test. */
static struct {
	const char *token, *life;
	uint64_t events, empty_ms, members_max;
	bool is_silent;
} wanted;

static void reset(void) {
	rw_reset();
	wanted.token = "token-0123456789";
	wanted.life = "life-1";
	wanted.events = 100;
	wanted.empty_ms = 30000;
	wanted.members_max = 0;
	wanted.is_silent = false;
}

/* "OUTCOME IS_NEW COUNT" */
static const char *enter(const char *node, const char *member) {
	static char text[64];
	const redisReply *r;

	rw.node = slice_text(node);
	call_begin(REDIS_SCRIPT_enter, "wzvhn");
	call_bytes(rw.channel);
	call_text(node);
	call_text(member);
	call_text(wanted.token);
	call_text("info");
	call_number(!wanted.is_silent);
	call_text(wanted.life);
	call_pubsub();
	call_number(wanted.events);
	call_number(wanted.empty_ms);
	call_number(wanted.members_max);
	r = call_end();
	ck_assert_uint_eq(r->elements, 3);
	snprintf(text, sizeof(text), "%d %d %d", (int)number_at(r, 0), (int)number_at(r, 1), (int)number_at(r, 2));
	return text;
}

/* "HAS_LEFT COUNT" */
static const char *leave(const char *node, const char *member) {
	static char text[64];
	const redisReply *r;

	rw.node = slice_text(node);
	call_begin(REDIS_SCRIPT_leave, "wzvh");
	call_bytes(rw.channel);
	call_text(node);
	call_text(member);
	call_pubsub();
	call_number(wanted.events);
	call_number(wanted.empty_ms);
	r = call_end();
	ck_assert_uint_eq(r->elements, 2);
	snprintf(text, sizeof(text), "%d %d", (int)number_at(r, 0), (int)number_at(r, 1));
	return text;
}

static int64_t last_number;	/* of the last list */

/* "COUNT MORE MEMBER=INFO .." */
static const char *list(int64_t after, uint64_t limit, uint64_t bytes) {
	static char text[8192];
	const redisReply *r;
	const redisReply *members;

	call_begin(REDIS_SCRIPT_members, "wz");
	call_number((uint64_t)after);
	call_text("");
	call_number(limit);
	call_number(bytes);
	r = call_end();
	ck_assert_uint_eq(r->elements, 3);
	snprintf(text, sizeof(text), "%d %d %s", (int)number_at(r, 0), (int)number_at(r, 1), members_at(r, 2));
	members = r->element[2];
	last_number = members->elements > 0 ? number_at(members, members->elements - 3) : 0;
	return text;
}

static const char *everybody(void) {
	return list(0, 1000, 1 << 20);
}

/* "LIFE NUMBER +NUMBER:MEMBER=INFO/COUNT .." of the events behind a position. */
static const char *events(const char *life, uint64_t number) {
	static char text[8192];
	const redisReply *r;

	call_begin(REDIS_SCRIPT_fill, "mswv");
	call_text("");
	call_number(0);
	call_number(0);
	call_text(life);
	call_number(number);
	call_number(1000);
	call_number(1 << 20);
	call_number(60000);
	r = call_end();
	snprintf(text, sizeof(text), "%s %d %s", text_at(r, 3), (int)number_at(r, 4), payloads_at(r, 5));
	return text;
}

/* "LIFE NUMBER COUNT MEMBER=INFO .." as who subscribes reads it. */
static const char *snapshot(uint64_t limit, uint64_t bytes) {
	static char text[8192];
	const redisReply *r;

	call_begin(REDIS_SCRIPT_read, "mswz");
	call_text("none");
	call_text("");
	call_number(0);
	call_number(0);
	call_number(0);
	call_number(60000);
	call_number(limit);
	call_number(bytes);
	r = call_end();
	snprintf(text, sizeof(text), "%s %d %d %s", text_at(r, 4), (int)number_at(r, 5), (int)number_at(r, 6), members_at(r, 7));
	return text;
}

START_TEST(in_and_out) {
	rw_listen();
	ck_assert_str_eq(enter("n1", "ann"), "0 1 1");
	ck_assert_str_eq(enter("n1", "bob"), "0 1 2");
	ck_assert_str_eq(everybody(), "2 0 ann=info bob=info");
	ck_assert_str_eq(leave("n1", "ann"), "1 1");
	ck_assert_str_eq(leave("n1", "ann"), "0 1");
	ck_assert_str_eq(everybody(), "1 0 bob=info");
	ck_assert_str_eq(rw_heard(), "+1:ann=info/1 +2:bob=info/2 -3:ann=info/1");
	ck_assert_str_eq(events("life-1", 0), "life-1 3 +1:ann=info/1 +2:bob=info/2 -3:ann=info/1");
	ck_assert_str_eq(events("life-1", 2), "life-1 3 -3:ann=info/1");
	ck_assert_str_eq(events("life-1", 3), "life-1 3 ");
	ck_assert_str_eq(events("life-0", 0), "life-1 3 ");
	/* Nobody was there: all who came since are news. */
	ck_assert_str_eq(events("", 0), "life-1 3 +1:ann=info/1 +2:bob=info/2 -3:ann=info/1");
	ck_assert_str_eq(snapshot(10, 1000), "life-1 3 1 bob=info");
}
END_TEST

START_TEST(nobody) {
	ck_assert_str_eq(everybody(), "0 0 ");
	ck_assert_str_eq(snapshot(10, 1000), " 0 0 ");
	ck_assert_str_eq(events("", 0), " 0 ");
	ck_assert_str_eq(leave("n1", "ann"), "0 0");
	ck_assert_int_eq(rw_number("DBSIZE"), 1);
}
END_TEST

START_TEST(twice_is_once) {
	rw_listen();
	enter("n1", "ann");
	wanted.life = "life-2";
	ck_assert_str_eq(enter("n1", "ann"), "0 0 1");
	ck_assert_str_eq(rw_heard(), "+1:ann=info/1");
	ck_assert_str_eq(snapshot(10, 1000), "life-1 1 1 ann=info");
	ck_assert_str_eq(leave("n1", "ann"), "1 0");
	ck_assert_str_eq(rw_heard(), "-2:ann=info/0");
}
END_TEST

START_TEST(over_two_nodes) {
	rw_listen();
	ck_assert_str_eq(enter("n1", "ann"), "0 1 1");
	ck_assert_str_eq(enter("n2", "ann"), "0 0 1");
	ck_assert_str_eq(leave("n1", "ann"), "0 1");
	/* Not this node's any more. */
	ck_assert_str_eq(leave("n1", "ann"), "0 1");
	ck_assert_str_eq(enter("n1", "ann"), "0 0 1");
	ck_assert_str_eq(leave("n2", "ann"), "0 1");
	ck_assert_str_eq(leave("n1", "ann"), "1 0");
	ck_assert_str_eq(rw_heard(), "+1:ann=info/1 -2:ann=info/0");
	ck_assert_int_eq(rw_number("EXISTS t:h:n1 t:h:n2"), 0);
}
END_TEST

START_TEST(tokens) {
	rw_listen();
	enter("n1", "ann");
	wanted.token = "other-0123456789";
	ck_assert_str_eq(enter("n1", "ann"), "1 0 1");
	ck_assert_str_eq(enter("n2", "ann"), "1 0 1");
	ck_assert_int_eq(rw_number("EXISTS t:h:n2"), 0);
	ck_assert_str_eq(leave("n1", "ann"), "1 0");
	ck_assert_str_eq(enter("n2", "ann"), "0 1 1");
	ck_assert_str_eq(rw_heard(), "+1:ann=info/1 -2:ann=info/0 +3:ann=info/1");
}
END_TEST

START_TEST(full) {
	rw_listen();
	wanted.members_max = 2;
	enter("n1", "ann");
	enter("n2", "bob");
	ck_assert_str_eq(enter("n1", "cid"), "2 0 2");
	ck_assert_str_eq(enter("n2", "cid"), "2 0 2");
	/* Who is there is there, on another host too; and whose the name is comes first. */
	ck_assert_str_eq(enter("n2", "ann"), "0 0 2");
	wanted.token = "other-0123456789";
	ck_assert_str_eq(enter("n2", "ann"), "1 0 2");
	wanted.token = "token-0123456789";
	/* Nothing of the refused one is left. */
	ck_assert_str_eq(everybody(), "2 0 ann=info bob=info");
	ck_assert_int_eq(rw_number("SCARD t:h:n1"), 1);
	ck_assert_str_eq(leave("n1", "cid"), "0 2");
	ck_assert_str_eq(leave("n2", "bob"), "1 1");
	ck_assert_str_eq(enter("n1", "cid"), "0 1 2");
	ck_assert_str_eq(rw_heard(), "+1:ann=info/1 +2:bob=info/2 -3:bob=info/1 +4:cid=info/2");
	/* Whom nobody may send away. */
	wanted.members_max = 0;
	ck_assert_str_eq(enter("n2", "dan"), "0 1 3");
	wanted.members_max = 2;
	ck_assert_str_eq(leave("n1", "cid"), "1 2");
	ck_assert_str_eq(enter("n1", "cid"), "2 0 2");
}
END_TEST

/* What an earlier life of the list has left is nobody. */
START_TEST(full_of_nobody) {
	enter("n1", "ann");
	rw_do("DEL t:w:room");
	wanted.members_max = 1;
	ck_assert_str_eq(enter("n1", "bob"), "0 1 1");
	ck_assert_str_eq(enter("n1", "ann"), "2 0 1");
}
END_TEST

/* After a loss of Redis's memory, say: in the list, but nobody is told, and event numbers have no gap. */
START_TEST(said_again) {
	rw_listen();
	enter("n1", "ann");
	wanted.is_silent = true;
	ck_assert_str_eq(enter("n1", "ann"), "0 0 1");
	ck_assert_str_eq(enter("n1", "bob"), "0 1 2");
	ck_assert_str_eq(enter("n1", "cid"), "0 1 3");
	wanted.is_silent = false;
	enter("n1", "dan");
	ck_assert_str_eq(everybody(), "4 0 ann=info bob=info cid=info dan=info");
	ck_assert_str_eq(leave("n1", "bob"), "1 3");
	ck_assert_str_eq(rw_heard(), "+1:ann=info/1 +2:dan=info/4 -3:bob=info/3");
	ck_assert_str_eq(list(0, 2, 1000), "3 1 ann=info cid=info");
	ck_assert_str_eq(list(last_number, 2, 1000), "3 0 dan=info");
}
END_TEST

START_TEST(empty_lists_live_on_for_a_while) {
	enter("n1", "ann");
	rw_check_expiry("t:w:room", -1, -1);
	leave("n1", "ann");
	rw_check_expiry("t:w:room", 1, 30000);
	rw_check_expiry("t:v:room", 1, 30000);
	ck_assert_str_eq(snapshot(10, 1000), "life-1 2 0 ");
	wanted.life = "life-2";
	ck_assert_str_eq(enter("n1", "bob"), "0 1 1");
	rw_check_expiry("t:w:room", -1, -1);
	rw_check_expiry("t:v:room", -1, -1);
	ck_assert_str_eq(events("life-1", 1), "life-1 3 -2:ann=info/0 +3:bob=info/1");
	wanted.empty_ms = 1;
	leave("n1", "bob");
	rw_wait_ms(3);
	ck_assert_str_eq(snapshot(10, 1000), " 0 0 ");
	ck_assert_int_eq(rw_number("EXISTS t:w:room t:v:room t:z:room"), 0);
	ck_assert_str_eq(enter("n1", "cid"), "0 1 1");
	ck_assert_str_eq(events("life-1", 3), "life-2 1 ");
	ck_assert_str_eq(events("life-2", 0), "life-2 1 +1:cid=info/1");
}
END_TEST

/* Whoever lists in pages while the list begins a new life leaves nobody out. */
START_TEST(arrivals_rise_over_lives) {
	int64_t first;

	enter("n1", "ann");
	everybody();
	first = last_number;
	rw_do("DEL t:w:room");
	enter("n1", "bob");
	ck_assert_str_eq(everybody(), "1 0 bob=info");
	ck_assert_int_gt(last_number, first);
	/* What the earlier life had left is gone. */
	ck_assert_int_eq(rw_number("ZCARD t:z:room"), 1);
	ck_assert_int_eq(rw_number("XLEN t:v:room"), 1);
}
END_TEST

START_TEST(events_are_bounded) {
	wanted.events = 3;
	for (int i = 0; i < 4; i++) {
		enter("n1", "ann");
		leave("n1", "ann");
	}
	ck_assert_str_eq(events("life-1", 0), "life-1 8 -6:ann=info/0 +7:ann=info/1 -8:ann=info/0");
}
END_TEST

static void enter_many(int count) {
	for (int i = 0; i < count; i++) {
		char name[16];

		snprintf(name, sizeof(name), "m%d", i);
		enter(i % 2 == 0 ? "n1" : "n2", name);
	}
}

START_TEST(lists_by_pages) {
	int seen = 0;

	enter_many(250);
	ck_assert_str_eq(list(0, 2, 1000), "250 1 m0=info m1=info");
	ck_assert_str_eq(list(last_number, 3, 1000), "250 1 m2=info m3=info m4=info");
	/* By bytes of names and infos. */
	ck_assert_str_eq(list(0, 10, 18), "250 1 m0=info m1=info m2=info");
	ck_assert_str_eq(list(0, 10, 17), "250 1 m0=info m1=info");
	ck_assert_str_eq(snapshot(2, 1000), "life-1 250 250 m0=info m1=info");
	ck_assert_str_eq(snapshot(0, 1000), "life-1 250 250 ");
	ck_assert(strstr(everybody(), " m99=info m100=info m101=info ") != NULL);
	/* Whoever leaves meanwhile is no hindrance. */
	last_number = 0;
	do {
		const char *page = list(last_number, 7, 1000);
		const char *name = strrchr(page, 'm');

		for (const char *at = page; (at = strchr(at, '=')) != NULL; at++)
			seen++;
		if (name != NULL) {
			char last[16] = "";

			snprintf(last, sizeof(last), "%.*s", (int)strcspn(name, "="), name);
			leave("n1", last);
		}
	} while (last_number > 0);
	ck_assert_int_eq(seen, 250);
}
END_TEST

START_TEST(any_bytes) {
	char channel[] = "a\0:\xff", member[] = "m\xc3\xa4:\n \"";

	rw.channel = slice_of(channel, 4);
	rw_listen();
	ck_assert_str_eq(enter("n:1", member), "0 1 1");
	ck_assert_str_eq(enter("n:2", member), "0 0 1");
	ck_assert_str_eq(leave("n:1", member), "0 1");
	ck_assert_str_eq(leave("n:2", member), "1 0");
	ck_assert_str_eq(rw_heard(), "+1:m\xc3\xa4:\n \"=info/1 -2:m\xc3\xa4:\n \"=info/0");
}
END_TEST

START_TEST(refused) {
	rw.generation = "G2";
	for (int i = 0; i < 4; i++) {
		call_begin((enum redis_script[]){ REDIS_SCRIPT_enter, REDIS_SCRIPT_leave, REDIS_SCRIPT_members, REDIS_SCRIPT_channels }[i], "wzvhn");
		ck_assert(slice_starts_with(slice_text(call_end_error()), "STALE "));
	}
	rw.generation = "G1";
	call_begin(REDIS_SCRIPT_enter, "wzvhn");
	for (int i = 0; i < 11; i++)
		call_text(i == 2 ? "" : "1");
	ck_assert(slice_starts_with(slice_text(call_end_error()), "ERR a member has a name"));
	ck_assert_int_eq(rw_number("DBSIZE"), 1);
}
END_TEST

/* Nobody comes in any more, but whoever leaves has left. */
START_TEST(memory_is_full) {
	enter("n1", "ann");
	enter("n1", "bob");
	enter("n2", "bob");
	rw_do("CONFIG SET maxmemory 1");
	call_begin(REDIS_SCRIPT_enter, "wzvhn");
	for (int i = 0; i < 11; i++)
		call_text(i < 10 ? "1" : "0");
	ck_assert(slice_starts_with(slice_text(call_end_error()), "OOM "));
	ck_assert_str_eq(leave("n1", "bob"), "0 2");
	ck_assert_str_eq(leave("n1", "ann"), "1 1");
	rw_do("CONFIG SET maxmemory 0");
	ck_assert_str_eq(everybody(), "1 0 bob=info");
}
END_TEST

/* "MORE NAME EPOCH OFFSET COUNT, .." */
static const char *channels(const char *prefix, const char *after, uint64_t limit) {
	static char text[8192];
	const redisReply *r, *found;
	size_t len;

	call_begin(REDIS_SCRIPT_channels, "n");
	call_text(prefix);
	call_text(after);
	call_number(limit);
	call_text("t:");
	r = call_end();
	ck_assert_uint_eq(r->elements, 2);
	found = r->element[1];
	ck_assert_uint_eq(found->elements % 4, 0);
	len = (size_t)snprintf(text, sizeof(text), "%d", (int)number_at(r, 0));
	for (size_t i = 0; i < found->elements; i += 4)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s %s %s %d %d", i > 0 ? "," : "", text_at(found, i), text_at(found, i + 1),
		    (int)number_at(found, i + 2), (int)number_at(found, i + 3));
	return text;
}

static void publish_in(const char *channel) {
	rw.channel = slice_text(channel);
	rw_publish("x");
}

START_TEST(channels_by_name) {
	static const char epoch[] = "epoch-01.G1";
	char wanted_text[256];

	publish_in("b:2");
	publish_in("b:1");
	publish_in("b:1");
	publish_in("a");
	publish_in("b");
	publish_in("c\xff");
	rw.channel = slice_text("b:3");
	enter("n1", "ann");
	rw.channel = slice_text("b:1");
	enter("n1", "bob");
	snprintf(wanted_text, sizeof(wanted_text), "0 b:1 %s 2 1, b:2 %s 1 0, b:3  0 1", epoch, epoch);
	ck_assert_str_eq(channels("b:", "", 10), wanted_text);
	snprintf(wanted_text, sizeof(wanted_text), "1 a %s 1 0, b %s 1 0", epoch, epoch);
	ck_assert_str_eq(channels("", "", 2), wanted_text);
	snprintf(wanted_text, sizeof(wanted_text), "1 b:1 %s 2 1, b:2 %s 1 0", epoch, epoch);
	ck_assert_str_eq(channels("", "b", 2), wanted_text);
	snprintf(wanted_text, sizeof(wanted_text), "0 b:3  0 1, c\xff %s 1 0", epoch);
	ck_assert_str_eq(channels("", "b:2", 2), wanted_text);
	ck_assert_str_eq(channels("b:", "b:2", 2), "0 b:3  0 1");
	/* After what is before the prefix, or behind all that has it. */
	ck_assert_str_eq(channels("b:3", "a", 2), "0 b:3  0 1");
	ck_assert_str_eq(channels("b:3", "b:3", 2), "0");
	ck_assert_str_eq(channels("b:3", "c", 2), "0");
	ck_assert_str_eq(channels("b:3", "b:", 2), "0 b:3  0 1");
	ck_assert_str_eq(channels("zz", "", 2), "0");
	ck_assert_str_eq(channels("", "", 0), "1");
}
END_TEST

START_TEST(expired_channels_go) {
	for (int i = 0; i < 300; i++)
		rw_do("ZADD t:n 0 old-%03d", i);
	publish_in("young");
	ck_assert_str_eq(channels("", "", 5), "0 young epoch-01.G1 1 0");
	ck_assert_int_eq(rw_number("ZCARD t:n"), 1);
	/* Only all is in one answer, or there is more: however much has to be cleared. */
	rw_do("EVAL %s 1 t:n", "for i = 1, 12000 do redis.call('ZADD', KEYS[1], 0, 'old-' .. i) end");
	ck_assert_str_eq(channels("", "", 5), "1");
	ck_assert_str_eq(channels("", "", 5), "0 young epoch-01.G1 1 0");
}
END_TEST

static void add_tests(TCase *t) {
	tcase_add_test(t, in_and_out);
	tcase_add_test(t, nobody);
	tcase_add_test(t, twice_is_once);
	tcase_add_test(t, over_two_nodes);
	tcase_add_test(t, tokens);
	tcase_add_test(t, full);
	tcase_add_test(t, full_of_nobody);
	tcase_add_test(t, said_again);
	tcase_add_test(t, empty_lists_live_on_for_a_while);
	tcase_add_test(t, arrivals_rise_over_lives);
	tcase_add_test(t, events_are_bounded);
	tcase_add_test(t, lists_by_pages);
	tcase_add_test(t, any_bytes);
	tcase_add_test(t, refused);
	tcase_add_test(t, memory_is_full);
	tcase_add_test(t, channels_by_name);
	tcase_add_test(t, expired_channels_go);
}

Suite *suite_redis_members(void);
Suite *suite_redis_members(void) {
	Suite *s = suite_create("redis_members");
	TCase *t = tcase_create("redis_members");

	tcase_set_timeout(t, 60);
	tcase_add_unchecked_fixture(t, rw_setup, rw_teardown);
	tcase_add_checked_fixture(t, reset, NULL);
	add_tests(t);
	suite_add_tcase(s, t);
	return s;
}
