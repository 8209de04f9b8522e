/* test_child - when a child is started again, and who takes over a dead slot's clients */
#include <check.h>
#include <signal.h>

#include "server/master/child.h"
#include "server/worker/worker.h"

START_TEST(the_delay_doubles_up_to_its_limit) {
	static const uint32_t want[] = { 0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000 };
	struct respawn r = { 0 };
	uint32_t delay = 1;

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		ck_assert_int_eq(respawn_decide(&r, 500, true, -1, &delay), RESPAWN_AGAIN);
		ck_assert_uint_eq(delay, want[i]);
	}
	/* Ten good seconds and all is forgiven. */
	ck_assert_int_eq(respawn_decide(&r, CHILD_LIFE_GOOD_MS, true, -1, &delay), RESPAWN_AGAIN);
	ck_assert_uint_eq(delay, 0);
	ck_assert_int_eq(respawn_decide(&r, CHILD_LIFE_GOOD_MS - 1, true, -1, &delay), RESPAWN_AGAIN);
	ck_assert_uint_eq(delay, 100);
}
END_TEST

START_TEST(who_is_never_ready_is_given_up) {
	struct respawn r = { 0 };
	uint32_t delay;

	for (int i = 1; i < CHILD_NEVER_READY_MAX; i++)
		ck_assert_int_eq(respawn_decide(&r, 5, false, HEROLD_EXIT_FAILED, &delay), RESPAWN_AGAIN);
	/* Once ready, the count begins anew. */
	ck_assert_int_eq(respawn_decide(&r, 5, true, -1, &delay), RESPAWN_AGAIN);
	for (int i = 1; i < CHILD_NEVER_READY_MAX; i++)
		ck_assert_int_eq(respawn_decide(&r, 60000, false, -1, &delay), RESPAWN_AGAIN);
	ck_assert_int_eq(respawn_decide(&r, 60000, false, -1, &delay), RESPAWN_HOPELESS);
}
END_TEST

START_TEST(a_bad_configuration_ends_it_at_once) {
	struct respawn r = { 0 };
	uint32_t delay;

	ck_assert_int_eq(respawn_decide(&r, 5, false, HEROLD_EXIT_CONFIG, &delay), RESPAWN_CONFIG);
	ck_assert_int_eq(respawn_decide(&r, 50000, true, HEROLD_EXIT_CONFIG, &delay), RESPAWN_CONFIG);
	ck_assert_int_eq(respawn_decide(&r, 50000, true, HEROLD_EXIT_OK, &delay), RESPAWN_AGAIN);
}
END_TEST

START_TEST(names_and_ends_as_text) {
	char text[CHILD_NAME_MAX], end[32];
	struct child c;

	child_init(&c, PROCESS_WORKER, 255, 0);
	child_name(&c, text);
	ck_assert_str_eq(text, "worker 255");
	child_init(&c, PROCESS_BROKER, 0, 0);
	child_name(&c, text);
	ck_assert_str_eq(text, "broker");
	child_status_text(78 << 8, end, sizeof(end));
	ck_assert_str_eq(end, "exit status 78");
	child_status_text(SIGSEGV, end, sizeof(end));
	ck_assert_str_eq(end, "signal SEGV");
}
END_TEST

static struct child children[5];

static void make_children(void) {
	child_init(&children[0], PROCESS_BROKER, 0, 1000);
	for (int i = 0; i < 3; i++)
		child_init(&children[1 + i], PROCESS_WORKER, i, 1000);
	child_init(&children[4], PROCESS_ADMIN, 0, 1000);
	for (size_t i = 0; i < ARRAY_LEN(children); i++) {
		children[i].state = CHILD_READY;
		children[i].pid = 100 + (pid_t)i;
	}
}

START_TEST(a_slot_is_lent_after_a_second) {
	struct child *down = &children[2];

	make_children();
	ck_assert(!child_wants_lender(down, 99999));
	down->state = CHILD_DOWN;
	down->down_since_ms = 5000;
	ck_assert(!child_wants_lender(down, 5999));
	ck_assert(child_wants_lender(down, 6000));
	/* A start that takes long counts too. */
	down->state = CHILD_STARTING;
	ck_assert(child_wants_lender(down, 6000));
	down->borrower = 2;
	ck_assert(!child_wants_lender(down, 6000));
	down->borrower = -1;
	down->state = CHILD_ENDED;
	ck_assert(!child_wants_lender(down, 6000));
	children[0].state = CHILD_DOWN;
	ck_assert(!child_wants_lender(&children[0], 99999));
}
END_TEST

START_TEST(a_start_has_its_time) {
	struct child *c = &children[2];

	make_children();
	c->started_ms = 5000;
	ck_assert(!child_is_stuck(c, 5000 + CHILD_READY_MS));
	c->state = CHILD_STARTING;
	ck_assert(!child_is_stuck(c, 5000 + CHILD_READY_MS - 1));
	ck_assert(child_is_stuck(c, 5000 + CHILD_READY_MS));
	c->is_killed = true;
	ck_assert(!child_is_stuck(c, 99999));
}
END_TEST

START_TEST(the_next_ready_worker_takes_over) {
	make_children();
	ck_assert_int_eq(child_find_lender(children, ARRAY_LEN(children), 0)->slot, 1);
	ck_assert_int_eq(child_find_lender(children, ARRAY_LEN(children), 1)->slot, 2);
	ck_assert_int_eq(child_find_lender(children, ARRAY_LEN(children), 2)->slot, 0);
	children[2].state = CHILD_STARTING;
	ck_assert_int_eq(child_find_lender(children, ARRAY_LEN(children), 0)->slot, 2);
	children[1].state = children[3].state = CHILD_DOWN;
	ck_assert_ptr_null(child_find_lender(children, ARRAY_LEN(children), 0));
}
END_TEST

START_TEST(children_are_found) {
	make_children();
	ck_assert_ptr_eq(child_find_pid(children, ARRAY_LEN(children), 104), &children[4]);
	ck_assert_ptr_null(child_find_pid(children, ARRAY_LEN(children), 105));
	ck_assert_ptr_eq(child_find_worker(children, ARRAY_LEN(children), 0), &children[1]);
	ck_assert_ptr_null(child_find_worker(children, ARRAY_LEN(children), -1));
}
END_TEST

Suite *suite_child(void);
Suite *suite_child(void) {
	Suite *s = suite_create("child");
	TCase *t = tcase_create("child");

	tcase_add_test(t, the_delay_doubles_up_to_its_limit);
	tcase_add_test(t, who_is_never_ready_is_given_up);
	tcase_add_test(t, a_bad_configuration_ends_it_at_once);
	tcase_add_test(t, names_and_ends_as_text);
	tcase_add_test(t, a_slot_is_lent_after_a_second);
	tcase_add_test(t, a_start_has_its_time);
	tcase_add_test(t, the_next_ready_worker_takes_over);
	tcase_add_test(t, children_are_found);
	suite_add_tcase(s, t);
	return s;
}
