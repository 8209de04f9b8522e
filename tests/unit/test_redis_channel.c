/* test_redis_channel - a channel between a Redis that is played: messages lost and repeated, late answers, new epochs, trimmed streams */
#include "broker/redis_channel.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/svc/stats.h"
#include "tests/unit/quiet_check.h"

enum {
	ENTRIES_MAX = 640,	/* of a lane, over all its epochs */
	QUEUE_MAX = 640,
	CALLS_MAX = 64,
	FILL_LIMIT = 7,
	WALKS = 3000,
	STEPS = 1500,
};

/* What was ever published in a lane; `id` is its index and its data. */
struct entry {
	char epoch[16];	/* as it was published */
	uint64_t number, time_ms;
	bool is_in_stream, was_delivered;
};

/* One lane as Redis has it. stream: ids of entries by number, in the present epoch. */
struct truth {
	struct entry entry[ENTRIES_MAX];
	size_t count;
	char epoch[16];
	uint64_t top;
	size_t by_number[ENTRIES_MAX];	/* entry of a number in this life; SIZE_MAX: none */
	/* How far the subscribers are. */
	struct redis_position seen;
	uint64_t reached;	/* seen or given up */
	bool is_open;	/* no position yet */
};

enum call_kind { CALL_READ = 0, CALL_FILL, CALL_TOPS };
struct call {
	enum call_kind kind;
	bool is_executed;
	struct redis_fence fence;
	struct redis_fill question;
	struct redis_position top[REDIS_LANES];
	size_t found[REDIS_LANES][FILL_LIMIT];
	size_t found_count[REDIS_LANES];
};

static struct truth truth[REDIS_LANES];
static struct redis_hold hold;
static struct redis_channel channel;
static struct { int lane; size_t id; } heard[QUEUE_MAX];	/* on the way over pub/sub */
static size_t heard_count;
static struct call *calls[CALLS_MAX];	/* under way, oldest first */
static size_t call_count, executed_count;
static unsigned seed, walked, epochs_made;
static bool is_subscribed, is_confirmation_due, is_calm;
static unsigned delivered, released, fills_made, resets;

static unsigned any(unsigned n) {
	return (unsigned)rand_r(&seed) % n;
}

/* --- what comes up --- */

static void make_payload(int lane, size_t id, struct redis_payload *p) {
	static size_t ids[REDIS_LANES * FILL_LIMIT + 1];
	static size_t next;
	struct entry *e = &truth[lane].entry[id];
	size_t *data = &ids[next++ % ARRAY_LEN(ids)];

	*data = id;
	*p = (struct redis_payload){ .type = lane == REDIS_LANE_PUBLICATIONS ? REDIS_PUBLICATION : id % 2 ? REDIS_JOINED : REDIS_LEFT,
		.epoch = slice_text(e->epoch), .offset = e->number, .time_ms = e->time_ms, .member = slice_text("m"),
		.data = slice_of(data, sizeof(*data)) };
}

/* Whatever is in the stream now must not have been left out. */
static void check_hole(const struct truth *t, uint64_t from, uint64_t to) {
	if (strcmp(t->seen.epoch, t->epoch) != 0)
		return;
	for (uint64_t n = from + 1; n < to && n <= t->top; n++) {
		size_t id = t->by_number[n];

		ck_assert_msg(id == SIZE_MAX || !t->entry[id].is_in_stream, "walk %u: number %u was left out, but the stream has it", walked,
		    (unsigned)n);
	}
}

static void came_up(int lane, const struct redis_payload *p) {
	struct truth *t = &truth[lane];
	struct entry *e;
	size_t id;

	ck_assert_uint_eq(p->data.len, sizeof(id));
	memcpy(&id, p->data.ptr, sizeof(id));
	ck_assert_uint_lt(id, t->count);
	e = &t->entry[id];
	ck_assert(!t->is_open);
	ck_assert_uint_eq(e->number, p->offset);
	ck_assert_msg(!e->was_delivered, "number %u came twice", (unsigned)e->number);
	e->was_delivered = true;
	if (slice_eq(p->epoch, slice_text(t->seen.epoch))) {
		ck_assert_uint_gt(p->offset, t->reached);
		check_hole(t, t->reached, p->offset);
	} else {
		resets++;
		ck_assert(redis_position_set(&t->seen, p->epoch, p->offset));
	}
	t->seen.number = t->reached = p->offset;
	delivered++;
}

static void on_publication(void *arg UNUSED, struct redis_channel *ch UNUSED, const struct redis_payload *p) {
	came_up(REDIS_LANE_PUBLICATIONS, p);
}

static void on_member(void *arg UNUSED, struct redis_channel *ch UNUSED, const struct redis_payload *p) {
	came_up(REDIS_LANE_WHO, p);
}

/* Stands behind what it contains, and what it does not contain has not come. */
static void on_released(void *arg UNUSED, struct redis_fence *f) {
	struct call *c = container_of(f, struct call, fence);

	for (int i = 0; i < REDIS_LANES; i++) {
		struct truth *t = &truth[i];

		if (t->is_open || strcmp(t->seen.epoch, f->top[i].epoch) != 0) {
			t->seen = f->top[i];
		} else {
			ck_assert_uint_le(t->reached, f->top[i].number);
			check_hole(t, t->reached, f->top[i].number + 1);
		}
		t->reached = f->top[i].number;
		t->is_open = false;
	}
	released++;
	mem_free(c);
}

static const struct redis_channel_ops ops = { on_publication, on_member, on_member, on_released };

/* --- Redis --- */

static void new_epoch(struct truth *t) {
	snprintf(t->epoch, sizeof(t->epoch), "e%u", epochs_made++);
}

static void publish(int lane, bool is_kept) {
	struct truth *t = &truth[lane];
	struct entry *e = &t->entry[t->count];

	if (t->count == ENTRIES_MAX || heard_count == QUEUE_MAX)
		return;
	if (t->epoch[0] == '\0')
		new_epoch(t);
	memcpy(e->epoch, t->epoch, sizeof(e->epoch));
	e->number = ++t->top;
	/* Distinct, as what is young enough to be news is told by it. */
	e->time_ms = ++hold.wall_ms;
	e->is_in_stream = is_kept;
	t->by_number[e->number] = t->count;
	if (is_subscribed) {
		heard[heard_count].lane = lane;
		heard[heard_count++].id = t->count;
	}
	t->count++;
}

static void stream_forget(struct truth *t, uint64_t above) {
	for (uint64_t n = above + 1; n <= t->top; n++) {
		if (t->by_number[n] != SIZE_MAX)
			t->entry[t->by_number[n]].is_in_stream = false;
		t->by_number[n] = SIZE_MAX;
	}
	t->top = above;
}

static void trim(struct truth *t) {
	for (uint64_t n = 1; n <= t->top; n++) {
		size_t id = t->by_number[n];

		if (id != SIZE_MAX && t->entry[id].is_in_stream) {
			t->entry[id].is_in_stream = false;
			return;
		}
	}
}

/* The data are gone, or a replica without the newest took over. Of who is there a list of another life has none of the events. */
static void lose_data(void) {
	bool is_flush = any(2) == 0;

	for (int i = 0; i < REDIS_LANES; i++) {
		struct truth *t = &truth[i];

		stream_forget(t, is_flush || i == REDIS_LANE_WHO ? 0 : t->top - (t->top > 0 ? any((unsigned)t->top + 1) : 0));
		if (is_flush)
			t->epoch[0] = '\0';
		else if (t->epoch[0] != '\0')
			new_epoch(t);
	}
}

/* --- the command link --- */

static struct call *ask(enum call_kind kind) {
	struct call *c;

	if (call_count == CALLS_MAX)
		return NULL;
	c = mem_zalloc(sizeof(*c));
	c->kind = kind;
	redis_fence_init(&c->fence);
	calls[call_count++] = c;
	return c;
}

static void ask_read(void) {
	struct call *c = ask(CALL_READ);

	if (c != NULL)
		redis_channel_fence(&channel, &c->fence);
}

static void ask_fill(void) {
	struct call *c = redis_channel_needs_fill(&channel) ? ask(CALL_FILL) : NULL;

	if (c != NULL)
		redis_channel_fill_begin(&channel, &c->question);
}

static void find(struct call *c, int lane) {
	struct truth *t = &truth[lane];
	const struct redis_position *from = &c->question.from[lane];
	bool is_same = strcmp(from->epoch, t->epoch) == 0;

	if (!is_same && lane == REDIS_LANE_WHO)
		return;
	for (uint64_t n = is_same ? from->number + 1 : 1; n <= t->top && c->found_count[lane] < FILL_LIMIT; n++) {
		size_t id = t->by_number[n];

		if (id != SIZE_MAX && t->entry[id].is_in_stream && (is_same || t->entry[id].time_ms > c->question.time_ms))
			c->found[lane][c->found_count[lane]++] = id;
	}
}

static void execute(void) {
	struct call *c;

	if (executed_count == call_count)
		return;
	c = calls[executed_count++];
	for (int i = 0; i < REDIS_LANES; i++) {
		ck_assert(redis_position_set(&c->top[i], slice_text(truth[i].epoch), truth[i].top));
		if (c->kind == CALL_FILL)
			find(c, i);
	}
}

static struct call *take_call(void) {
	struct call *c = calls[0];

	memmove(calls, calls + 1, --call_count * sizeof(*calls));
	if (executed_count > 0)
		executed_count--;
	return c;
}

static void answer(void) {
	struct redis_payload found[FILL_LIMIT];
	struct call *c;

	if (executed_count == 0)
		return;
	c = take_call();
	if (c->kind == CALL_READ) {
		memcpy(c->fence.top, c->top, sizeof(c->top));
		redis_channel_fence_answered(&channel, &c->fence);
		return;
	}
	if (c->kind == CALL_TOPS) {
		redis_channel_tops(&channel, c->top);
	} else {
		for (int i = 0; i < REDIS_LANES; i++) {
			for (size_t k = 0; k < c->found_count[i]; k++)
				make_payload(i, c->found[i][k], &found[k]);
			redis_channel_filled(&channel, i, &c->top[i], found, c->found_count[i]);
		}
		fills_made++;
		redis_channel_fill_end(&channel);
	}
	mem_free(c);
}

static void lose_command_link(void) {
	while (call_count > 0) {
		struct call *c = take_call();

		if (c->kind == CALL_READ)
			redis_channel_fence_lost(&channel, &c->fence);
		else if (c->kind == CALL_FILL)
			redis_channel_fill_failed(&channel);
		mem_free(c);
	}
}

/* --- pub/sub --- */

static void hear(void) {
	struct redis_payload p;
	unsigned times = is_calm || any(12) > 0 ? 1 : 2;

	if (heard_count == 0) {
		if (is_confirmation_due)
			redis_channel_confirmed(&channel);
		is_confirmation_due = false;
		return;
	}
	make_payload(heard[0].lane, heard[0].id, &p);
	memmove(heard, heard + 1, --heard_count * sizeof(*heard));
	if (!is_calm && any(20) == 0)
		return;
	while (times-- > 0)
		redis_channel_heard(&channel, &p);
}

static void subscribe_again(void) {
	heard_count = 0;
	is_subscribed = any(3) > 0;
	is_confirmation_due = is_subscribed;
}

/* --- the walk --- */

static void pass(uint64_t ms) {
	hold.now_ms += ms;
	hold.wall_ms += ms;
	if (redis_channel_due_ms(&channel) <= hold.now_ms)
		redis_channel_tick(&channel);
}

static void step(void) {
	unsigned n = any(1000);

	if (n < 250)
		publish(any(4) == 0 ? REDIS_LANE_WHO : REDIS_LANE_PUBLICATIONS, any(10) > 0);
	else if (n < 480)
		hear();
	else if (n < 600)
		execute();
	else if (n < 720)
		answer();
	else if (n < 770)
		ask_read();
	else if (n < 860)
		ask_fill();
	else if (n < 890)
		(void)ask(CALL_TOPS);
	else if (n < 960)
		pass(any(40));
	else if (n < 975)
		trim(&truth[any(REDIS_LANES)]);
	else if (n < 985)
		subscribe_again();
	else if (n < 990)
		lose_command_link();
	else if (n < 993)
		lose_data();
	else if (!is_subscribed)
		subscribe_again();
}

static void begin(unsigned walk) {
	seed = walked = walk;
	memset(truth, 0, sizeof(truth));
	for (int i = 0; i < REDIS_LANES; i++) {
		truth[i].is_open = true;
		for (size_t n = 0; n < ENTRIES_MAX; n++)
			truth[i].by_number[n] = SIZE_MAX;
	}
	heard_count = call_count = executed_count = epochs_made = 0;
	is_calm = is_subscribed = is_confirmation_due = false;
	hold = (struct redis_hold){ .ops = &ops, .now_ms = 1000, .wall_ms = 1000000,
		.bytes_max = 20000, .channel_bytes_max = walk % 3 == 0 ? 1500 : 10000 };
	redis_channel_init(&channel, &hold);
}

/* Nothing fails any more: then the channel comes to stand where Redis stands, and asks no more. */
static void come_to_rest(void) {
	unsigned fills;

	is_calm = true;
	lose_command_link();
	if (!is_subscribed) {
		is_subscribed = is_confirmation_due = true;
		heard_count = 0;
	}
	ask_read();
	for (int round = 0; round < 400; round++) {
		if (round == 100) {
			publish(REDIS_LANE_PUBLICATIONS, true);
			publish(REDIS_LANE_WHO, true);
		}
		if (round == 200)
			(void)ask(CALL_TOPS);
		hear();
		ask_fill();
		execute();
		answer();
		pass(heard_count > 0 ? 0 : 10);
	}
	fills = fills_made;
	publish(REDIS_LANE_PUBLICATIONS, true);
	publish(REDIS_LANE_WHO, true);
	while (heard_count > 0)
		hear();
	for (int i = 0; i < REDIS_LANES; i++) {
		ck_assert_str_eq(truth[i].seen.epoch, truth[i].epoch);
		ck_assert_uint_eq(truth[i].seen.number, truth[i].top);
		ck_assert_uint_eq(channel.lane[i].at.number, truth[i].top);
	}
	ck_assert_uint_eq(call_count, 0);
	ck_assert(list_is_empty(&channel.fences) && !redis_channel_needs_fill(&channel));
	ck_assert_uint_eq(redis_channel_due_ms(&channel), UINT64_MAX);
	ck_assert_uint_eq(fills_made, fills);
	ck_assert_uint_eq(hold.bytes, 0);
	ck_assert_uint_eq(channel.held_bytes, 0);
}

START_TEST(random_walks) {
	for (unsigned walk = 1; walk <= WALKS; walk++) {
		begin(walk + (unsigned)_i * WALKS);
		for (int i = 0; i < STEPS; i++) {
			step();
			ck_assert_uint_eq(hold.bytes, channel.held_bytes);
		}
		come_to_rest();
		redis_channel_fini(&channel);
	}
	/* The walks went where the trouble is. */
	ck_assert_uint_gt(delivered, WALKS * 50);
	ck_assert_uint_gt(released, WALKS * 5);
	ck_assert_uint_gt(fills_made, WALKS * 5);
	ck_assert_uint_gt(resets, WALKS);
	ck_assert_uint_gt(stat_get(stats_own, STAT_redis_gaps_filled), WALKS);
	ck_assert_uint_gt(stat_get(stats_own, STAT_redis_gaps_lost), WALKS);
}
END_TEST

/* --- one by one --- */

/* Live at number 0 of e0, with a history of `count`. */
static void open_at(unsigned count) {
	begin(1);
	is_calm = is_subscribed = true;
	while (count-- > 0)
		publish(REDIS_LANE_PUBLICATIONS, true);
	heard_count = 0;
	ask_read();
	execute();
	answer();
	ck_assert(!redis_channel_needs_fill(&channel));
	delivered = released = fills_made = 0;
}

static void fill_now(void) {
	ck_assert(redis_channel_needs_fill(&channel));
	ask_fill();
	ck_assert(!redis_channel_needs_fill(&channel));
	execute();
	answer();
}

START_TEST(a_subscription_that_stands_again_is_filled) {
	open_at(3);
	is_subscribed = false;
	publish(REDIS_LANE_PUBLICATIONS, true);
	redis_channel_confirmed(&channel);
	fill_now();
	ck_assert_uint_eq(delivered, 1);
	ck_assert(!redis_channel_needs_fill(&channel));
	/* One that nobody has asked for yet has nothing to be filled. */
	redis_channel_fini(&channel);
	begin(1);
	redis_channel_confirmed(&channel);
	ck_assert(!redis_channel_needs_fill(&channel));
	ck_assert_uint_eq(redis_channel_due_ms(&channel), UINT64_MAX);
	redis_channel_fini(&channel);
}
END_TEST

START_TEST(a_gap_is_filled_at_once) {
	open_at(3);
	publish(REDIS_LANE_PUBLICATIONS, true);
	publish(REDIS_LANE_PUBLICATIONS, true);
	memmove(heard, heard + 1, --heard_count * sizeof(*heard));
	hear();
	ck_assert_uint_eq(delivered, 0);
	fill_now();
	ck_assert_uint_eq(delivered, 2);
	redis_channel_fini(&channel);
}
END_TEST

START_TEST(a_late_pubsub_is_waited_for_a_while) {
	open_at(3);
	publish(REDIS_LANE_PUBLICATIONS, true);
	ask_read();
	execute();
	answer();
	ck_assert_uint_eq(redis_channel_due_ms(&channel), hold.now_ms + REDIS_LATE_MS);
	pass(REDIS_LATE_MS - 1);
	ck_assert(!redis_channel_needs_fill(&channel) && released == 0);
	pass(1);
	fill_now();
	ck_assert(delivered == 1 && released == 1);
	publish(REDIS_LANE_PUBLICATIONS, true);
	ask(CALL_TOPS);
	execute();
	answer();
	pass(REDIS_TOP_LATE_MS - 1);
	ck_assert(!redis_channel_needs_fill(&channel));
	pass(1);
	ck_assert(redis_channel_needs_fill(&channel));
	hear();
	hear();
	ck_assert(!redis_channel_needs_fill(&channel) && delivered == 2);
	redis_channel_fini(&channel);
}
END_TEST

START_TEST(a_snapshot_holds_what_is_heard) {
	open_at(3);
	ask_read();
	publish(REDIS_LANE_PUBLICATIONS, true);
	hear();
	execute();
	publish(REDIS_LANE_PUBLICATIONS, true);
	hear();
	ck_assert(delivered == 0 && hold.bytes > 0);
	answer();
	/* The first before it, the second behind it: on_released() has looked. */
	ck_assert(delivered == 2 && released == 1 && hold.bytes == 0);
	redis_channel_fini(&channel);
}
END_TEST

START_TEST(what_is_held_is_bounded) {
	open_at(3);
	hold.bytes_max = 1000;
	ask_read();
	while (redis_channel_due_ms(&channel) == UINT64_MAX) {
		publish(REDIS_LANE_PUBLICATIONS, true);
		hear();
		ck_assert_uint_le(hold.bytes, hold.bytes_max);
		ck_assert_uint_lt(truth[REDIS_LANE_PUBLICATIONS].top, 100);
	}
	ck_assert_uint_gt(truth[REDIS_LANE_PUBLICATIONS].top, 6);
	execute();
	answer();
	/* As many fills as it takes for what was dropped. */
	while (truth[REDIS_LANE_PUBLICATIONS].reached < truth[REDIS_LANE_PUBLICATIONS].top)
		fill_now();
	ck_assert(released == 1 && hold.bytes == 0);
	redis_channel_fini(&channel);
}
END_TEST

START_TEST(what_is_gone_is_given_up) {
	open_at(3);
	publish(REDIS_LANE_PUBLICATIONS, false);
	publish(REDIS_LANE_PUBLICATIONS, false);
	publish(REDIS_LANE_PUBLICATIONS, true);
	heard_count = 0;
	redis_channel_confirmed(&channel);
	fill_now();
	ck_assert_uint_eq(delivered, 0);
	pass(REDIS_LATE_MS);
	ck_assert_uint_eq(delivered, 1);
	ck_assert_uint_eq(truth[REDIS_LANE_PUBLICATIONS].reached, 6);
	ck_assert(!redis_channel_needs_fill(&channel));
	redis_channel_fini(&channel);
}
END_TEST

START_TEST(news_of_another_epoch_are_known) {
	struct redis_channel *ch = &channel;

	open_at(5);
	ck_assert_str_eq(ch->old_epoch, "");
	/* A replica without the last one takes over, and two come. */
	stream_forget(&truth[REDIS_LANE_PUBLICATIONS], 4);
	new_epoch(&truth[REDIS_LANE_PUBLICATIONS]);
	publish(REDIS_LANE_PUBLICATIONS, true);
	publish(REDIS_LANE_PUBLICATIONS, true);
	hear();
	fill_now();
	ck_assert_uint_eq(delivered, 2);
	ck_assert_str_eq(ch->old_epoch, "e0");
	ck_assert_uint_eq(ch->news_from, 4);
	hear();
	ck_assert(!redis_channel_needs_fill(ch));
	redis_channel_fini(ch);
}
END_TEST

START_TEST(a_failed_fill_is_asked_for_again) {
	open_at(3);
	redis_channel_confirmed(&channel);
	ask_fill();
	lose_command_link();
	ck_assert(redis_channel_needs_fill(&channel));
	redis_channel_fini(&channel);
}
END_TEST

Suite *suite_redis_channel(void);

Suite *suite_redis_channel(void) {
	Suite *s = suite_create("redis_channel");
	TCase *walks = tcase_create("walks"), *steps = tcase_create("steps");

	tcase_set_timeout(walks, 120);
	tcase_add_loop_test(walks, random_walks, 0, 2);
	suite_add_tcase(s, walks);
	tcase_add_test(steps, a_subscription_that_stands_again_is_filled);
	tcase_add_test(steps, a_gap_is_filled_at_once);
	tcase_add_test(steps, a_late_pubsub_is_waited_for_a_while);
	tcase_add_test(steps, a_snapshot_holds_what_is_heard);
	tcase_add_test(steps, what_is_held_is_bounded);
	tcase_add_test(steps, what_is_gone_is_given_up);
	tcase_add_test(steps, news_of_another_epoch_are_known);
	tcase_add_test(steps, a_failed_fill_is_asked_for_again);
	suite_add_tcase(s, steps);
	return s;
}
