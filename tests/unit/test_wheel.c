/* test_wheel - deadlines against a list of times: never early, never late by more than a tick */
#include <check.h>

#include "common/base/wheel.h"
#include "tests/unit/model.h"

enum { OBJECTS = 300, STEPS = 20000, START_MS = 123456 };

struct object {
	struct deadline deadline;
	uint64_t due_ms;	/* 0: not set */
	int fired;
};

struct world {
	struct wheel wheel;
	struct object object[OBJECTS];
	uint64_t now_ms;
	uint64_t seed;
	size_t fired;
	bool busy;	/* what fires sets and clears others */
};

static struct world world;

static void world_init(uint64_t seed) {
	world = (struct world){ .now_ms = START_MS, .seed = seed };
	wheel_init(&world.wheel, START_MS);
	for (int i = 0; i < OBJECTS; i++)
		deadline_init(&world.object[i].deadline);
}

static void set(struct object *o, uint64_t at_ms) {
	o->due_ms = at_ms;
	deadline_set(&world.wheel, &o->deadline, at_ms);
	MUST(deadline_is_set(&o->deadline));
}

static void clear(struct object *o) {
	o->due_ms = 0;
	deadline_clear(&o->deadline);
	MUST(!deadline_is_set(&o->deadline));
}

static uint64_t some_time(void) {
	static const uint32_t spans[] = { 50, 500, 5000, 60000, 200000 };

	return world.now_ms + random_below(&world.seed, spans[random_below(&world.seed, ARRAY_LEN(spans))]);
}

static void change_one(void) {
	struct object *o = &world.object[random_below(&world.seed, OBJECTS)];

	if (random_below(&world.seed, 4) == 0)
		clear(o);
	else
		set(o, some_time());
}

static void fire(struct deadline *d, void *arg) {
	struct object *o = container_of(d, struct object, deadline);

	MUST(arg == &world);
	MUST(!deadline_is_set(d) && !list_is_linked(&d->link));
	MUST(o->due_ms != 0);
	MUST(o->due_ms <= world.now_ms);
	o->due_ms = 0;
	o->fired++;
	world.fired++;
	if (world.busy && random_below(&world.seed, 2) == 0)
		change_one();
	if (world.busy && random_below(&world.seed, 2) == 0)
		set(o, some_time());
}

static void run_at(uint64_t now_ms) {
	world.now_ms = now_ms;
	wheel_run(&world.wheel, now_ms, fire, &world);
	for (int i = 0; i < OBJECTS; i++) {
		struct object *o = &world.object[i];

		MUST(deadline_is_set(&o->deadline) == (o->due_ms != 0));
		MUST(o->due_ms == 0 || o->due_ms + WHEEL_TICK_MS > now_ms);
	}
}

START_TEST(model) {
	world_init(4711 + (uint64_t)_i);
	world.busy = _i > 0;
	for (int step = 0; step < STEPS; step++) {
		uint32_t what = random_below(&world.seed, 1000);

		if (what < 600)
			change_one();
		else if (what < 995)
			run_at(world.now_ms + random_below(&world.seed, 300));
		else
			run_at(world.now_ms + random_below(&world.seed, 150000));
	}
	world.busy = false;
	run_at(world.now_ms + 300000);
	for (int i = 0; i < OBJECTS; i++)
		ck_assert(!deadline_is_set(&world.object[i].deadline));
	ck_assert_uint_gt(world.fired, 100);
}
END_TEST

START_TEST(never_early) {
	for (uint64_t at = 0; at < 350; at++) {
		struct object *o = &world.object[0];

		world_init(1);
		set(o, START_MS + at);
		for (uint64_t now = 0; now < at; now++)
			wheel_run(&world.wheel, world.now_ms = START_MS + now, fire, &world);
		MUST(o->fired == 0);
		wheel_run(&world.wheel, world.now_ms = START_MS + at + WHEEL_TICK_MS, fire, &world);
		MUST(o->fired == 1);
	}
}
END_TEST

START_TEST(postponed_and_advanced) {
	struct object *o = &world.object[0];

	world_init(1);
	set(o, START_MS + 1000);
	set(o, START_MS + 90000);
	run_at(START_MS + 2000);
	ck_assert_int_eq(o->fired, 0);
	set(o, START_MS + 3000);
	run_at(START_MS + 3100);
	ck_assert_int_eq(o->fired, 1);
	/* In the past: at the next tick. */
	set(o, 1);
	run_at(START_MS + 3200);
	ck_assert_int_eq(o->fired, 2);
	/* Time that stands still or goes back does nothing. */
	set(o, START_MS + 4000);
	wheel_run(&world.wheel, START_MS + 3000, fire, &world);
	wheel_run(&world.wheel, 0, fire, &world);
	ck_assert_int_eq(o->fired, 2);
	clear(o);
	clear(o);
	run_at(START_MS + 9000);
	ck_assert_int_eq(o->fired, 2);
}
END_TEST

START_TEST(far_away) {
	struct object *o = &world.object[0];

	world_init(1);
	set(o, START_MS + 10 * 3600 * 1000UL);
	for (int hour = 1; hour < 10; hour++)
		run_at(START_MS + (uint64_t)hour * 3600 * 1000);
	ck_assert_int_eq(o->fired, 0);
	run_at(START_MS + 10 * 3600 * 1000UL + WHEEL_TICK_MS);
	ck_assert_int_eq(o->fired, 1);
	deadline_set(&world.wheel, &o->deadline, UINT64_MAX);
	ck_assert(deadline_is_set(&o->deadline));
	deadline_clear(&o->deadline);
}
END_TEST

Suite *suite_wheel(void);
Suite *suite_wheel(void) {
	Suite *s = suite_create("wheel");
	TCase *tc = tcase_create("wheel");

	tcase_add_loop_test(tc, model, 0, 4);
	tcase_add_test(tc, never_early);
	tcase_add_test(tc, postponed_and_advanced);
	tcase_add_test(tc, far_away);
	tcase_set_timeout(tc, 30);
	suite_add_tcase(s, tc);
	return s;
}
