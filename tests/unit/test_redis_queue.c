/* test_redis_queue - publications and a server that refuses, is lost, and answers late: each is answered once, and truly */
#include "broker/redis_queue.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/svc/stats.h"
#include "tests/unit/quiet_check.h"

enum { PUBLICATIONS = 400, CALLS_MAX = 2048, WAIT_MS = 2000, BYTES_MAX = 60000 };

/* A call under way, oldest first. */
struct call {
	redis_call_fn fn;
	void *arg;
	unsigned number;	/* of the publication: its data */
	char key[2 * IPC_KEY_BYTES + 1];
	bool is_known;	/* has been executed: its key was known */
	bool is_executed;
};

static struct call calls[CALLS_MAX];
static size_t call_count;
static struct redis_queue *queue;
static struct redis_epochs epochs;
static uint64_t now;
static unsigned seed, added, calls_ever, answered;
static unsigned published[PUBLICATIONS + 1], answers[PUBLICATIONS + 1], order[4 * PUBLICATIONS];
static size_t published_count;
static enum ipc_result result[PUBLICATIONS + 1];
static char keys[PUBLICATIONS + 1][2 * IPC_KEY_BYTES + 1];
static bool is_up;

static unsigned any(unsigned n) {
	return (unsigned)rand_r(&seed) % n;
}

static void on_call(struct redis_server *s UNUSED, enum redis_script script, const struct slice *key, size_t key_count,
    const struct slice *arg, size_t arg_count, redis_call_fn fn, void *user) {
	struct call *c = &calls[call_count++];
	char hex[2 * IPC_KEY_BYTES + 1] = "";

	ck_assert_uint_le(call_count, REDIS_QUEUE_CALLS);
	ck_assert(is_up);
	ck_assert_int_eq(script, REDIS_SCRIPT_publish);
	ck_assert_uint_eq(key_count, 4);
	ck_assert_uint_eq(arg_count, 11);
	ck_assert_uint_eq(arg[0].len, REDIS_EPOCH_LEN);
	ck_assert_uint_eq(arg[2].len, IPC_KEY_BYTES);
	if (slice_eq_text(arg[1], IPC_MODERATION_CHANNEL)) {
		ck_assert(slice_eq_text(arg[6], "10000") && slice_eq_text(arg[7], "4194304") && slice_eq_text(arg[8], "2592000000"));
	} else {
		ck_assert(slice_eq_text(key[0], "p:m:room") && slice_eq_text(key[1], "p:s:room") && slice_eq_text(key[3], "p:n"));
		ck_assert(slice_eq_text(arg[1], "room") && slice_eq_text(arg[10], "p:c:room"));
		ck_assert(slice_starts_with(key[2], "p:i:room:") && slice_eq(slice_skip(key[2], 9), arg[2]));
		ck_assert(slice_eq_text(arg[6], "100") && slice_eq_text(arg[7], "1000") && slice_eq_text(arg[8], "60000"));
	}
	ck_assert(slice_eq_text(arg[9], "30000"));
	*c = (struct call){ .fn = fn, .arg = user };
	memcpy(&c->number, arg[4].ptr, sizeof(c->number));
	ck_assert(slice_eq_text(arg[5], c->number % 3 == 0 ? "0" : "1"));
	for (size_t i = 0; i < IPC_KEY_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", arg[2].ptr[i]);
	memcpy(c->key, hex, sizeof(hex));
	if (keys[c->number][0] != '\0')
		ck_assert_str_eq(keys[c->number], hex);
	memcpy(keys[c->number], hex, sizeof(hex));
	calls_ever++;
}

static void on_published(void *arg UNUSED, struct ticket t, enum ipc_result r, struct slice epoch, uint64_t offset) {
	ck_assert_uint_eq(t.link, 9);
	answers[t.request]++;
	result[t.request] = r;
	answered++;
	if (r == IPC_OK || r == IPC_REPEATED) {
		ck_assert(slice_eq_text(epoch, "E.G"));
		ck_assert_uint_eq(offset, t.request);
	}
}

static void setup(void) {
	struct redis_queue_settings settings = { .prefix = "p:", .epochs = &epochs, .bytes_max = BYTES_MAX, .wait_ms = WAIT_MS,
		.published = on_published, .call = on_call };

	settings.limits = (struct engine_limits){ .history_count = 100, .history_bytes = 1000, .history_ms = 60000, .idempotency_ms = 30000 };
	redis_epochs_init(&epochs);
	now = 1000;
	call_count = published_count = 0;
	added = calls_ever = answered = 0;
	memset(published, 0, sizeof(published));
	memset(answers, 0, sizeof(answers));
	memset(keys, 0, sizeof(keys));
	queue = redis_queue_new(&settings);
	is_up = true;
	redis_queue_set_up(queue, true);
}

static void teardown(void) {
	ck_assert_uint_eq(call_count, 0);
	redis_queue_free(&queue);
	ck_assert_uint_eq(stat_get(stats_own, STAT_redis_waiting), 0);
	ck_assert_uint_eq(stat_get(stats_own, STAT_redis_queue_bytes), 0);
}

static void add_to(const char *channel, size_t bytes) {
	unsigned char data[4000] = { 0 };
	struct ipc_publish p = { .channel = slice_text(channel), .kind = 7 };

	added++;
	memcpy(data, &added, sizeof(added));
	p.data = slice_of(data, bytes);
	p.flags = added % 3 == 0 ? IPC_NO_HISTORY : 0;
	if (added % 2 == 0)
		memcpy(p.key, &added, sizeof(added));
	redis_queue_add(queue, (struct ticket){ 9, added }, &p, now);
}

static void add_of(size_t bytes) {
	add_to("room", bytes);
}

static void add(void) {
	add_of(sizeof(added));
}

/* In Redis: once per key. */
static void execute(struct call *c) {
	if (c->is_executed)
		return;
	c->is_executed = true;
	c->is_known = published[c->number] > 0;
	if (!c->is_known)
		order[published_count++] = c->number;
	published[c->number] = 1;
}

static void come_back(enum redis_outcome outcome) {
	struct call c = calls[0];
	redisReply parts[3] = { { .type = REDIS_REPLY_INTEGER, .integer = c.is_known },
		{ .type = REDIS_REPLY_STRING, .str = (char[]){ "E.G" }, .len = 3 }, { .type = REDIS_REPLY_INTEGER, .integer = c.number } };
	redisReply *list[3] = { &parts[0], &parts[1], &parts[2] };
	redisReply reply = { .type = REDIS_REPLY_ARRAY, .elements = 3, .element = list };

	memmove(calls, calls + 1, --call_count * sizeof(*calls));
	c.fn(c.arg, outcome, outcome == REDIS_DONE ? (const struct redis_reply *)(void *)&reply : NULL);
}

static void done(void) {
	execute(&calls[0]);
	come_back(REDIS_DONE);
}

static void lose(void) {
	is_up = false;
	while (call_count > 0)
		come_back(REDIS_LOST);
	redis_queue_set_up(queue, false);
}

static void go_up(void) {
	is_up = true;
	redis_queue_set_up(queue, true);
}

static void pass(uint64_t ms) {
	now += ms;
	redis_queue_tick(queue, now);
	redis_queue_send(queue, now);
}

static void expect(unsigned number, enum ipc_result r) {
	ck_assert_uint_eq(answers[number], 1);
	ck_assert_int_eq(result[number], r);
}

START_TEST(plain) {
	add();
	ck_assert_uint_eq(call_count, 0);
	pass(0);
	add();
	pass(0);
	ck_assert_uint_eq(call_count, 2);
	done();
	done();
	expect(1, IPC_OK);
	expect(2, IPC_OK);
	/* A key that its sender has used before. */
	add();
	published[3] = 1;
	pass(0);
	done();
	expect(3, IPC_REPEATED);
}
END_TEST

START_TEST(moderation_has_bounds_of_its_own) {
	add_to(IPC_MODERATION_CHANNEL, sizeof(added));
	pass(0);
	done();
	expect(1, IPC_OK);
}
END_TEST

START_TEST(lost_is_sent_again_in_order) {
	for (int i = 0; i < 4; i++)
		add();
	pass(0);
	execute(&calls[0]);
	execute(&calls[1]);
	lose();
	add();
	pass(10);
	ck_assert_uint_eq(call_count, 0);
	go_up();
	pass(10);
	ck_assert_uint_eq(call_count, 5);
	for (unsigned i = 1; i <= 5; i++) {
		ck_assert_uint_eq(calls[0].number, i);
		done();
		/* Its own repeat is none. */
		expect(i, IPC_OK);
	}
	ck_assert_uint_eq(stat_get(stats_own, STAT_redis_retries), 4);
	ck_assert_uint_eq(stat_get(stats_own, STAT_idempotency_hits), 0);
}
END_TEST

START_TEST(refused_waits_for_those_under_way) {
	for (int i = 0; i < 3; i++)
		add();
	pass(0);
	come_back(REDIS_REFUSED);
	add();
	pass(1);
	ck_assert_uint_eq(call_count, 2);
	come_back(REDIS_REFUSED);
	come_back(REDIS_REFUSED);
	/* At once, as before that all was well; then with pauses. */
	pass(1);
	ck_assert_uint_eq(call_count, 4);
	for (unsigned i = 1; i <= 4; i++) {
		ck_assert_uint_eq(calls[0].number, i);
		come_back(REDIS_REFUSED);
	}
	pass(0);
	ck_assert_uint_eq(call_count, 0);
	ck_assert_uint_eq(redis_queue_due_ms(queue), now + REDIS_QUEUE_PAUSE_MS);
	pass(REDIS_QUEUE_PAUSE_MS - 1);
	ck_assert_uint_eq(call_count, 0);
	pass(1);
	ck_assert_uint_eq(call_count, 4);
	ck_assert_uint_eq(redis_queue_due_ms(queue), UINT64_MAX);
	while (call_count > 0)
		done();
	for (unsigned i = 1; i <= 4; i++)
		expect(i, IPC_OK);
}
END_TEST

START_TEST(deadlines) {
	add();	/* lost, perhaps done */
	pass(0);
	lose();
	add();	/* never sent */
	pass(WAIT_MS - 1);
	ck_assert_uint_eq(answered, 0);
	pass(1);
	expect(1, IPC_UNCERTAIN);
	expect(2, IPC_UNAVAILABLE);
	go_up();
	add();	/* surely refused */
	pass(0);
	come_back(REDIS_REFUSED);
	pass(0);
	come_back(REDIS_REFUSED);
	pass(WAIT_MS);
	expect(3, IPC_UNAVAILABLE);
	add();	/* under way; the late answer changes nothing */
	pass(REDIS_QUEUE_PAUSE_MS);
	ck_assert_uint_eq(call_count, 1);
	pass(WAIT_MS);
	expect(4, IPC_UNCERTAIN);
	done();
	expect(4, IPC_UNCERTAIN);
	add();	/* refused later than its deadline: not sent again */
	pass(0);
	pass(WAIT_MS);
	come_back(REDIS_REFUSED);
	pass(1000);
	expect(5, IPC_UNCERTAIN);
	ck_assert_uint_eq(call_count, 0);
}
END_TEST

START_TEST(bounded) {
	lose();
	while (answered == 0)
		add_of(4000);
	ck_assert_uint_le(added, BYTES_MAX / 4000 + 1);
	ck_assert_uint_gt(added, BYTES_MAX / 4500);
	expect(added, IPC_UNAVAILABLE);
	ck_assert_uint_le(stat_get(stats_own, STAT_redis_queue_bytes), BYTES_MAX);
	ck_assert_uint_eq(stat_get(stats_own, STAT_redis_waiting), added - 1);
	pass(WAIT_MS);
	ck_assert_uint_eq(answered, added);
}
END_TEST

START_TEST(answers_that_are_none) {
	add();
	pass(0);
	published[1] = 1;
	calls[0].fn(calls[0].arg, REDIS_DONE, NULL);
	call_count = 0;
	expect(1, IPC_UNCERTAIN);
}
END_TEST

/* --- walks --- */

static void walk_step(void) {
	unsigned n = any(100);

	if (n < 35 && added < PUBLICATIONS)
		add();
	else if (n < 70 && call_count > 0)
		done();
	else if (n < 75 && call_count > 0 && !calls[0].is_executed)
		come_back(REDIS_REFUSED);
	else if (n < 80 && call_count > 0)
		execute(&calls[0]);
	else if (n < 82)
		lose();
	else if (n < 90 && !is_up)
		go_up();
	else
		pass(any(100));
}

static void check_books(void) {
	for (unsigned i = 1; i <= added; i++) {
		ck_assert_msg(answers[i] == 1, "walk %u: %u has %u answers", seed, i, answers[i]);
		if (result[i] == IPC_OK)
			ck_assert_uint_eq(published[i], 1);
		else if (result[i] == IPC_UNAVAILABLE)
			ck_assert_uint_eq(published[i], 0);
		else
			ck_assert_int_eq(result[i], IPC_UNCERTAIN);
	}
}

START_TEST(walks) {
	for (unsigned walk = 1; walk <= 300; walk++) {
		redis_queue_free(&queue);
		setup();
		seed = walk;
		for (int i = 0; i < 2000; i++)
			walk_step();
		go_up();
		while (answered < added) {
			pass(10);
			while (call_count > 0)
				done();
		}
		check_books();
		while (call_count > 0)
			done();
	}
}
END_TEST

/* Without refusals of single ones nobody overtakes anybody. */
START_TEST(order_holds) {
	for (unsigned walk = 1; walk <= 200; walk++) {
		redis_queue_free(&queue);
		setup();
		seed = walk;
		for (int i = 0; i < 1500; i++) {
			unsigned n = any(100);

			if (n < 40 && added < PUBLICATIONS)
				add();
			else if (n < 70 && call_count > 0)
				execute(&calls[0]);
			else if (n < 90 && call_count > 0)
				done();
			else if (n < 92)
				lose();
			else
				is_up ? pass(1) : go_up();
		}
		lose();
		for (size_t i = 1; i < published_count; i++)
			ck_assert_uint_gt(order[i], order[i - 1]);
	}
}
END_TEST

START_TEST(epochs_differ) {
	static char seen[1000][REDIS_EPOCH_LEN];

	redis_epochs_init(&epochs);
	for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
		memcpy(seen[i], redis_epochs_next(&epochs).ptr, REDIS_EPOCH_LEN);
		for (size_t k = 0; k < i; k++)
			ck_assert(memcmp(seen[i], seen[k], REDIS_EPOCH_LEN) != 0);
		for (size_t k = 0; k < REDIS_EPOCH_LEN; k++)
			ck_assert((seen[i][k] >= '0' && seen[i][k] <= '9') || (seen[i][k] >= 'A' && seen[i][k] <= 'Z') ||
			    (seen[i][k] >= 'a' && seen[i][k] <= 'z'));
	}
}
END_TEST

Suite *suite_redis_queue(void);

Suite *suite_redis_queue(void) {
	Suite *s = suite_create("redis_queue");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, setup, teardown);
	tcase_set_timeout(all, 60);
	tcase_add_test(all, plain);
	tcase_add_test(all, moderation_has_bounds_of_its_own);
	tcase_add_test(all, lost_is_sent_again_in_order);
	tcase_add_test(all, refused_waits_for_those_under_way);
	tcase_add_test(all, deadlines);
	tcase_add_test(all, bounded);
	tcase_add_test(all, answers_that_are_none);
	tcase_add_test(all, walks);
	tcase_add_test(all, order_holds);
	tcase_add_test(all, epochs_differ);
	suite_add_tcase(s, all);
	return s;
}
