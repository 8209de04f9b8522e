/* test_redis_presence - what is asked of Redis for the members of a host, and what they are told */
#include "broker/redis_presence.h"

#include <stdlib.h>

#include "common/svc/stats.h"
#include "tests/unit/fake_redis.h"
#include "tests/unit/model.h"

enum { LEASE_MS = 15000, WAIT_MS = 2000, MEMBERS_MAX = 500000, BULK_CALLS = 512, MANY = 100000 };

static struct redis_presence *presence;
static struct fake_redis shard[2];
static struct buf told;
static uint64_t now;
static size_t nodes_heard;

static void member_result(void *arg UNUSED, struct ticket t, struct ipc_member_result *r) {
	static const char *const names[] = { "ok", "repeated", "taken", "unavailable", "uncertain", "full" };

	buf_addf(&told, "%u %s%s %u;", t.request, names[r->result], r->is_new ? " new" : "", r->member_count);
}

static struct redis_server *server_of(void *arg UNUSED, struct slice channel) {
	return fake_redis_server(&shard[slice_eq_text(channel, "elsewhere")]);
}

static void describe(void *arg UNUSED, struct buf *out) {
	buf_add_text(out, "{\"me\":1}");
}

static void nodes(void *arg UNUSED, const struct redis_server *s UNUSED, const struct redis_reply *list) {
	ck_assert_uint_eq(redis_reply_count(list), 1);
	ck_assert(slice_eq_text(redis_reply_text(redis_reply_at(list, 0)), "{}"));
	nodes_heard++;
}

static void pass(uint64_t ms) {
	for (uint64_t end = now + ms; now < end;) {
		now += end - now < 100 ? end - now : 100;
		redis_presence_tick(presence, now);
	}
}

/* Answers what is first, and says what it was; an arrival is "!" when it is announced, "?" when it needs a place. */
static void answer(int at, const char *wanted, enum redis_outcome outcome, long long a, long long b, long long c) {
	const long long reply[FAKE_REPLY] = { a, b, c };
	struct fake_call *call = fake_redis_first(&shard[at]);
	struct buf is;

	buf_init(&is, 10000);
	buf_addf(&is, "%s", redis_script_name(call->script));
	if (call->script != REDIS_SCRIPT_beat)
		buf_addf(&is, " %.*s/%.*s", SLICE_ARGS(call->arg[0]), SLICE_ARGS(call->arg[2]));
	if (call->script == REDIS_SCRIPT_enter)
		buf_addf(&is, " %u%s%s", call->arg[3].ptr[0], slice_eq_text(call->arg[5], "1") ? "!" : "",
		    slice_eq_text(call->arg[10], "500000") ? "?" : slice_eq_text(call->arg[10], "0") ? "" : " limited otherwise");
	ck_assert_msg(slice_eq_text(buf_slice(&is), wanted), "called %.*s, not %s", SLICE_ARGS(buf_slice(&is)), wanted);
	buf_fini(&is);
	fake_redis_answer(&shard[at], outcome, reply);
}

static void done(const char *wanted, long long a, long long b, long long c) {
	answer(0, wanted, REDIS_DONE, a, b, c);
}

static void up(int at, const char *generation) {
	shard[at].is_up = true;
	redis_presence_on_up(presence, fake_redis_server(&shard[at]), slice_text(generation));
}

static void down(int at) {
	shard[at].is_up = false;
	while (shard[at].call_count > 0)
		fake_redis_answer(&shard[at], REDIS_LOST, NULL);
}

static void open_presence_down(void) {
	static const struct redis_presence_ops ops = { member_result, server_of, describe, nodes, fake_redis_is_up, fake_redis_call };
	struct redis_presence_settings settings = { "p:", slice_text("node"), LEASE_MS, WAIT_MS, 1000, MEMBERS_MAX };

	now = 5000;
	nodes_heard = 0;
	buf_init(&told, 1 << 20);
	fake_redis_init(&shard[0]);
	fake_redis_init(&shard[1]);
	presence = redis_presence_new(&settings, &ops, NULL, now);
}

static void open_presence(void) {
	open_presence_down();
	up(0, "g1");
	done("beat", 0, 0, 0);
}

static void close_presence(void) {
	down(0);
	down(1);
	redis_presence_free(&presence);
	ck_assert(presence == NULL);
	fake_redis_fini(&shard[0]);
	fake_redis_fini(&shard[1]);
	buf_fini(&told);
}

static void add_to(const char *channel, uint32_t request, uint64_t holder, const char *member, uint8_t token, uint8_t flags) {
	struct ipc_member_add m = { .channel = slice_text(channel), .flags = flags, .member = slice_text(member), .token = { token },
		.info = slice_text("i") };

	redis_presence_add(presence, (struct ticket){ holder, request }, holder, &m);
}

static void add(uint32_t request, uint64_t holder, const char *member, uint8_t token) {
	add_to("room", request, holder, member, token, 0);
}

static void remove_one(uint64_t holder, const char *member, uint32_t grace_ms) {
	redis_presence_remove(presence, holder, &(struct ipc_member_remove){ slice_text("room"), slice_text(member), grace_ms });
}

/* Since the last call. */
static void assert_told(const char *wanted) {
	ck_assert_msg(slice_eq_text(buf_slice(&told), wanted), "told %.*s, not %s", SLICE_ARGS(buf_slice(&told)), wanted);
	buf_reset(&told);
}

static void assert_quiet(void) {
	ck_assert_uint_eq(shard[0].call_count + shard[1].call_count, 0);
}

START_TEST(first_in_last_out) {
	size_t members, users;

	open_presence();
	add(1, 1, "anna", 7);
	add(2, 2, "anna", 7);
	assert_told("");
	ck_assert_uint_eq(shard[0].call_count, 1);
	done("enter room/anna 7!?", 0, 1, 30);
	assert_told("1 ok new 30;2 ok 30;");
	add(3, 2, "anna", 7);
	assert_told("3 ok 30;");
	add(4, 2, "anna", 8);
	assert_told("4 taken 30;");
	add_to("$users", 0, 1, "anna", 7, 0);
	done("enter $users/anna 7!", 0, 1, 1);
	redis_presence_count(presence, &members, &users);
	ck_assert(members == 1 && users == 1);
	remove_one(2, "anna", 0);
	remove_one(2, "anna", 0);
	remove_one(9, "anna", 0);
	remove_one(1, "bert", 0);
	assert_quiet();
	remove_one(1, "anna", 0);
	redis_presence_count(presence, &members, &users);
	ck_assert(members == 0 && users == 1);
	done("leave room/anna", 1, 29, 0);
	assert_quiet();
	close_presence();
}
END_TEST

START_TEST(what_cannot_be) {
	static char name[1100];
	struct ipc_member_add m = { .channel = slice_text("room"), .member = slice_text("anna"), .info = slice_of(name, 1001) };

	open_presence();
	memset(name, 'x', sizeof(name) - 1);
	add(1, 1, "", 1);
	add(2, 1, name, 1);
	redis_presence_add(presence, (struct ticket){ 1, 3 }, 1, &m);
	assert_told("1 unavailable 0;2 unavailable 0;3 unavailable 0;");
	remove_one(1, "", 0);
	remove_one(1, name, 0);
	assert_quiet();
	close_presence();
}
END_TEST

START_TEST(full) {
	size_t members, users;

	open_presence();
	add(1, 1, "anna", 7);
	add(2, 2, "anna", 7);
	done("enter room/anna 7!?", 2, 0, 5);
	assert_told("1 full 5;2 full 5;");
	redis_presence_count(presence, &members, &users);
	ck_assert(members == 0 && users == 0);
	assert_quiet();
	/* Nothing of it is left: it may come when somebody has left, and nobody who goes takes it along. */
	remove_one(1, "anna", 0);
	add(3, 1, "anna", 8);
	done("enter room/anna 8!?", 0, 1, 5);
	assert_told("3 ok new 5;");
	add(4, 2, "anna", 8);
	assert_told("4 ok 5;");
	assert_quiet();
	close_presence();
}
END_TEST

/* Redis had forgotten who was in, and others took the places: nobody is sent away for that. */
START_TEST(full_without_those_who_are_in) {
	open_presence();
	add(1, 1, "anna", 7);
	done("enter room/anna 7!?", 0, 1, 1);
	add(2, 1, "bert", 7);
	down(0);
	up(0, "g2");
	done("beat", 0, 0, 0);
	done("enter room/bert 7!?", 2, 0, 9);
	done("enter room/anna 7", 0, 1, 10);
	assert_told("1 ok new 1;2 full 9;");
	/* One that is back after its grace time on this host has never gone. */
	remove_one(1, "anna", 1000);
	pass(500);
	add(3, 2, "anna", 7);
	assert_told("3 ok 10;");
	assert_quiet();
	close_presence();
}
END_TEST

/* The hub says of somebody that it is in, while the call for a newcomer's place is under way. */
START_TEST(full_and_yet_in) {
	open_presence();
	add(1, 1, "anna", 7);
	add_to("room", 0, 2, "anna", 7, IPC_RESYNC);
	done("enter room/anna 7!?", 2, 0, 5);
	assert_told("");
	done("enter room/anna 7!", 0, 1, 6);
	assert_told("1 ok new 6;");
	assert_quiet();
	close_presence();
}
END_TEST

/* Gone and back while the call for the first stay was under way. */
START_TEST(full_for_one_who_has_left) {
	open_presence();
	add(1, 1, "anna", 7);
	pass(2000);
	assert_told("1 unavailable 1;");
	add(2, 1, "anna", 7);
	done("enter room/anna 7!?", 2, 0, 5);
	assert_told("");
	done("enter room/anna 7!?", 0, 1, 5);
	assert_told("2 ok new 5;");
	assert_quiet();
	close_presence();
}
END_TEST

START_TEST(graces_are_the_hosts_own) {
	open_presence();
	add(0, 1, "anna", 7);
	done("enter room/anna 7!", 0, 1, 1);
	remove_one(1, "anna", 1000);
	pass(800);
	add(0, 2, "anna", 7);
	pass(1500);
	assert_quiet();
	redis_presence_holder_lost(presence, 2, 1000);
	pass(800);
	assert_quiet();
	pass(400);
	done("leave room/anna", 1, 0, 0);
	assert_quiet();
	close_presence();
}
END_TEST

START_TEST(taken_on_another_host) {
	open_presence();
	add(1, 1, "anna", 7);
	add(2, 2, "anna", 7);
	done("enter room/anna 7!?", 1, 0, 5);
	assert_told("1 taken 5;2 taken 5;");
	/* Nothing of it is left: another token is asked for, and no departure is told. */
	add(3, 1, "anna", 8);
	done("enter room/anna 8!?", 0, 1, 6);
	assert_told("3 ok new 6;");
	assert_quiet();
	close_presence();
}
END_TEST

/* Redis had forgotten it, and another host was faster: the member cannot be sent away, so it is tried with each beat. */
START_TEST(taken_from_one_who_is_in) {
	open_presence();
	add(1, 1, "anna", 7);
	done("enter room/anna 7!?", 0, 1, 1);
	down(0);
	up(0, "g2");
	done("beat", 0, 0, 0);
	done("enter room/anna 7", 1, 0, 1);
	assert_told("1 ok new 1;");
	pass(3700);
	assert_quiet();
	pass(50);
	done("beat", 1, 1, 0);
	done("enter room/anna 7", 0, 1, 1);
	pass(3700);
	assert_quiet();
	close_presence();
}
END_TEST

START_TEST(too_late_is_undone) {
	open_presence();
	add(1, 1, "anna", 7);
	pass(1000);
	add(2, 1, "anna", 7);
	pass(1000);
	assert_told("1 unavailable 1;");
	pass(1000);
	assert_told("2 unavailable 1;");
	done("enter room/anna 7!?", 0, 1, 1);
	done("leave room/anna", 1, 0, 0);
	assert_quiet();
	assert_told("");
	close_presence();
}
END_TEST

START_TEST(redis_away) {
	open_presence_down();
	add(1, 1, "anna", 7);
	pass(1900);
	add(2, 1, "bert", 7);
	pass(100);
	assert_told("1 unavailable 2;");
	up(0, "g1");
	/* Not without a lease. */
	ck_assert_uint_eq(shard[0].call_count, 1);
	done("beat", 0, 0, 0);
	done("enter room/bert 7!?", 0, 1, 1);
	assert_told("2 ok new 1;");
	assert_quiet();
	/* Who is in stays in, and finds company without Redis. */
	down(0);
	pass(60000);
	add(3, 2, "bert", 7);
	assert_told("3 ok 1;");
	up(0, "g1");
	done("beat", 1, 0, 0);
	assert_quiet();
	close_presence();
}
END_TEST

START_TEST(refusals_are_paced) {
	size_t calls;

	open_presence();
	add(1, 1, "anna", 7);
	add(0, 1, "bert", 7);
	for (int i = 0; i < 4; i++) {
		answer(0, i % 2 == 0 ? "enter room/anna 7!?" : "enter room/bert 7!", REDIS_REFUSED, 0, 0, 0);
		if (i % 2 == 1)
			pass(300);
	}
	assert_told("");
	done("enter room/anna 7!?", 0, 1, 1);
	assert_told("1 ok new 2;");
	calls = shard[0].calls_ever;
	for (int i = 0; i < 400; i++) {
		pass(100);
		while (shard[0].call_count > 0)
			fake_redis_answer(&shard[0], REDIS_REFUSED, NULL);
	}
	calls = shard[0].calls_ever - calls;
	ck_assert_msg(calls > 100 && calls < 40 * (4 + 1) + 10, "%zu calls in 40 s", calls);
	pass(1100);
	done("beat", 1, 0, 0);
	done("enter room/bert 7!", 0, 1, 2);
	assert_quiet();
	close_presence();
}
END_TEST

START_TEST(a_lost_answer_costs_a_repetition) {
	open_presence();
	add(1, 1, "anna", 7);
	down(0);
	assert_told("");
	up(0, "g1");
	done("beat", 1, 0, 0);
	done("enter room/anna 7!?", 0, 0, 4);
	assert_told("1 ok 4;");
	remove_one(1, "anna", 0);
	down(0);
	pass(500);
	up(0, "g1");
	done("beat", 1, 0, 0);
	done("leave room/anna", 0, 3, 0);
	assert_quiet();
	close_presence();
}
END_TEST

/* An earlier stay ends before the next one begins, so that its token and info are not taken for the new one's. */
START_TEST(back_before_the_departure_is_told) {
	open_presence();
	add(1, 1, "anna", 7);
	done("enter room/anna 7!?", 0, 1, 1);
	down(0);
	remove_one(1, "anna", 0);
	add(2, 1, "anna", 8);
	up(0, "g1");
	done("beat", 1, 0, 0);
	done("leave room/anna", 1, 0, 0);
	done("enter room/anna 8!?", 0, 1, 1);
	assert_told("1 ok new 1;2 ok new 1;");
	/* And one that is about to begin. */
	add(3, 1, "bert", 7);
	remove_one(1, "bert", 0);
	add(4, 1, "bert", 9);
	assert_told("3 unavailable 1;");
	done("enter room/bert 7!?", 1, 0, 1);
	done("enter room/bert 9!?", 0, 1, 2);
	assert_told("4 ok new 2;");
	remove_one(1, "bert", 0);
	add(5, 1, "bert", 9);
	remove_one(1, "bert", 0);
	done("leave room/bert", 1, 1, 0);
	assert_told("5 unavailable 2;");
	add(6, 1, "carl", 7);
	remove_one(1, "carl", 0);
	add(7, 1, "carl", 9);
	assert_told("6 unavailable 1;");
	done("enter room/carl 7!?", 0, 1, 2);
	done("leave room/carl", 1, 1, 0);
	assert_told("");
	done("enter room/carl 9!?", 0, 1, 2);
	assert_told("7 ok new 2;");
	assert_quiet();
	close_presence();
}
END_TEST

/* Lost with its answer: that the lease had run out. */
START_TEST(a_beat_is_lost) {
	open_presence();
	add(0, 1, "anna", 7);
	done("enter room/anna 7!", 0, 1, 1);
	pass(5000);
	down(0);
	up(0, "g1");
	done("beat", 1, 0, 0);
	done("enter room/anna 7!", 0, 0, 1);
	assert_quiet();
	close_presence();
}
END_TEST

START_TEST(said_again_by_the_hub) {
	open_presence_down();
	add_to("room", 1, 1, "anna", 7, IPC_RESYNC);
	assert_told("1 ok 1;");
	pass(10000);
	up(0, "g1");
	done("beat", 0, 0, 0);
	done("enter room/anna 7", 0, 1, 1);
	remove_one(1, "anna", 0);
	add(0, 1, "anna", 7);
	done("leave room/anna", 1, 0, 0);
	done("enter room/anna 7!", 0, 1, 1);
	assert_quiet();
	close_presence();
}
END_TEST

START_TEST(beats) {
	open_presence();
	ck_assert_uint_eq(nodes_heard, 1);
	pass(3700);
	assert_quiet();
	pass(50);
	ck_assert(slice_eq_text(fake_redis_first(&shard[0])->arg[0], "node"));
	ck_assert(slice_eq_text(fake_redis_first(&shard[0])->arg[1], "15000"));
	ck_assert(slice_eq_text(fake_redis_first(&shard[0])->arg[2], "{\"me\":1}"));
	pass(20000);
	ck_assert_uint_eq(shard[0].call_count, 1);
	answer(0, "beat", REDIS_REFUSED, 0, 0, 0);
	pass(1000);
	ck_assert_uint_eq(stat_get(stats_own, STAT_redis_reaped), 0);
	done("beat", 1, 200, 0);
	/* There may be more of it. */
	pass(100);
	done("beat", 1, 7, 0);
	ck_assert_uint_eq(stat_get(stats_own, STAT_redis_reaped), 207);
	ck_assert_uint_eq(nodes_heard, 3);
	up(1, "h1");
	answer(1, "beat", REDIS_DONE, 0, 0, 0);
	assert_quiet();
	close_presence();
}
END_TEST

/* The lease had run out: others were told that they left. In another generation nobody was told of anything. */
START_TEST(redis_has_forgotten_us) {
	open_presence();
	up(1, "h1");
	answer(1, "beat", REDIS_DONE, 0, 0, 0);
	add(0, 1, "anna", 7);
	done("enter room/anna 7!", 0, 1, 1);
	add_to("elsewhere", 0, 1, "anna", 7, 0);
	answer(1, "enter elsewhere/anna 7!", REDIS_DONE, 0, 1, 1);
	pass(5000);
	done("beat", 0, 0, 0);
	answer(1, "beat", REDIS_DONE, 1, 0, 0);
	done("enter room/anna 7!", 0, 1, 1);
	assert_quiet();
	up(0, "g2");
	done("beat", 0, 0, 0);
	done("enter room/anna 7", 0, 1, 1);
	assert_quiet();
	up(0, "g2");
	done("beat", 1, 0, 0);
	assert_quiet();
	close_presence();
}
END_TEST

START_TEST(many_are_said_again_and_nobody_starves) {
	char name[16];

	open_presence();
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "m%d", i);
		add_to("room", 0, 1, name, 7, 0);
		if (shard[0].call_count == BULK_CALLS) {
			while (shard[0].call_count > 0)
				fake_redis_answer(&shard[0], REDIS_DONE, (const long long[]){ 0, 1, i });
		}
	}
	while (shard[0].call_count > 0)
		fake_redis_answer(&shard[0], REDIS_DONE, (const long long[]){ 0, 1, MANY });
	ck_assert_uint_eq(shard[0].calls_ever, MANY + 1);
	for (int i = 0; i < 37; i++)
		pass(100);
	assert_quiet();
	down(0);
	up(0, "g2");
	done("beat", 0, 0, 0);
	ck_assert_uint_eq(shard[0].call_count, BULK_CALLS);
	add(1, 1, "newcomer", 7);
	ck_assert_uint_eq(shard[0].call_count, BULK_CALLS + 1);
	for (int i = 0; i < BULK_CALLS; i++)
		fake_redis_answer(&shard[0], REDIS_DONE, (const long long[]){ 0, 1, 9 });
	done("enter room/newcomer 7!?", 0, 1, 9);
	assert_told("1 ok new 100001;");
	while (shard[0].call_count > 0)
		fake_redis_answer(&shard[0], REDIS_DONE, (const long long[]){ 0, 1, 9 });
	ck_assert_uint_eq(shard[0].calls_ever, 2 * MANY + 3);
	redis_presence_holder_lost(presence, 1, 0);
	while (shard[0].call_count > 0)
		fake_redis_answer(&shard[0], REDIS_DONE, (const long long[]){ 1, 9, 0 });
	ck_assert_uint_eq(shard[0].calls_ever, 3 * MANY + 4);
	close_presence();
}
END_TEST

Suite *suite_redis_presence(void);

Suite *suite_redis_presence(void) {
	Suite *s = suite_create("redis_presence");
	TCase *t = tcase_create("members");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, first_in_last_out);
	tcase_add_test(t, what_cannot_be);
	tcase_add_test(t, full);
	tcase_add_test(t, full_without_those_who_are_in);
	tcase_add_test(t, full_and_yet_in);
	tcase_add_test(t, full_for_one_who_has_left);
	tcase_add_test(t, graces_are_the_hosts_own);
	tcase_add_test(t, taken_on_another_host);
	tcase_add_test(t, taken_from_one_who_is_in);
	tcase_add_test(t, too_late_is_undone);
	tcase_add_test(t, redis_away);
	tcase_add_test(t, refusals_are_paced);
	tcase_add_test(t, a_lost_answer_costs_a_repetition);
	tcase_add_test(t, back_before_the_departure_is_told);
	tcase_add_test(t, a_beat_is_lost);
	tcase_add_test(t, said_again_by_the_hub);
	tcase_add_test(t, beats);
	tcase_add_test(t, redis_has_forgotten_us);
	tcase_add_test(t, many_are_said_again_and_nobody_starves);
	suite_add_tcase(s, t);
	return s;
}
