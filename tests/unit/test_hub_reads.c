/* test_hub_reads - who asks for much does not keep the others waiting */
#include <check.h>

#include "server/hub/reads.h"
#include "tests/unit/hub_fixture.h"

static void ask_history(struct test_client *c, const char *channel) {
	hub_history(&c->hub, slice_text(channel), 0, NULL, 10, snapshot_to_client, test_cookie());
}

static void answer(const union ipc_any *question, size_t bytes) {
	struct ipc_snapshot s = { .request = question->history.request, .epoch = slice_text("e") };
	struct buf publications;

	buf_init(&publications, SIZE_MAX);
	for (uint64_t i = 1; publications.len < bytes; i++)
		ipc_put_publication(&publications, &(struct ipc_publication){ .offset = i });
	s.publications = buf_slice(&publications);
	fake_broker_send(&broker, IPC_snapshot, &s);
	buf_fini(&publications);
}

/* Only short answers, until as many as may be are under way. */
static void learn_short(struct test_client *c) {
	for (int i = 0; i < 60; i++) {
		ask_history(c, "c");
		answer(fake_broker_take(&broker, IPC_history), 0);
		fake_broker_turns(&broker, 2);
	}
	c->answers = 0;
}

START_TEST(nothing_is_known_at_first) {
	struct test_client *c;

	hub_fixture_open();
	c = client_open_bare();
	for (int i = 0; i < READS_MAX; i++)
		ask_history(c, "c");
	for (int i = 0; i < READS_MIN; i++)
		fake_broker_take(&broker, IPC_history);
	fake_broker_expect_silence(&broker);
	hub_fixture_close();
}
END_TEST

START_TEST(clients_take_turns) {
	struct test_client *greedy, *other;
	const union ipc_any *question[READS_MAX], *next;

	hub_fixture_open();
	greedy = client_open_bare();
	other = client_open_bare();
	learn_short(greedy);
	for (int i = 0; i < 3 * READS_MAX; i++)
		ask_history(greedy, "a");
	ask_history(other, "b");
	ask_history(other, "b");
	/* What is short passes by. */
	subscribe(other, "live", 0);
	for (int i = 0; i < READS_MAX; i++)
		question[i] = fake_broker_take(&broker, IPC_history);
	broker_take_subscribe("live", NULL, 0);
	fake_broker_expect_silence(&broker);
	for (int i = 0; i < 5; i++) {
		answer(question[i], 0);
		next = fake_broker_take(&broker, IPC_history);
		ck_assert(slice_eq_text(next->history.channel, i == 1 || i == 3 ? "b" : "a"));
	}
	fake_broker_expect_silence(&broker);
	ck_assert_uint_eq(greedy->answers, 5);
	hub_fixture_close();
}
END_TEST

START_TEST(long_answers_make_it_fewer) {
	struct test_client *c;
	const union ipc_any *m;

	hub_fixture_open();
	c = client_open_bare();
	learn_short(c);
	ask_history(c, "c");
	for (int i = 0; i < 8; i++) {
		m = fake_broker_take(&broker, IPC_history);
		ask_history(c, "c");
		answer(m, 1 << 20);
	}
	for (int i = 0; i < READS_MAX; i++)
		ask_history(c, "c");
	/* One more is under way. */
	for (int i = 0; i < READS_MIN; i++)
		fake_broker_take(&broker, IPC_history);
	fake_broker_expect_silence(&broker);
	hub_fixture_close();
}
END_TEST

START_TEST(leaving_does_not_make_asking_free) {
	struct test_client *c, *gone;

	hub_fixture_open();
	c = client_open_bare();
	gone = client_open_bare();
	learn_short(c);
	for (int i = 0; i < READS_MAX / 2; i++)
		ask_history(gone, "c");
	hub_client_fini(&gone->hub, 0);
	for (int i = 0; i < 2 * READS_MAX; i++) {
		subscribe_since(c, "c", 0, "e", 0, 0);
		ck_assert(hub_unsubscribe(&c->hub, slice_text("c")));
	}
	for (int i = 0; i < READS_MAX / 2; i++)
		fake_broker_take(&broker, IPC_history);
	for (int i = 0; i < READS_MAX / 2; i++)
		fake_broker_take(&broker, IPC_subscribe);
	fake_broker_expect_silence(&broker);
	/* Those that were not asked have their answer already, the others when their time is over. */
	ck_assert_uint_eq(c->answers, 2 * READS_MAX - READS_MAX / 2);
	fake_broker_wait_ms(&broker, TEST_TIMEOUT_MS + 50);
	ck_assert_uint_eq(c->answers, 2 * READS_MAX);
	ck_assert_uint_eq(hub_pending(hub), 0);
	hub_fixture_close();
}
END_TEST

START_TEST(a_lost_link_answers_those_who_wait) {
	struct test_client *c;

	hub_fixture_open();
	c = client_open_bare();
	for (int i = 0; i < 3 * READS_MAX; i++)
		ask_history(c, "c");
	fake_broker_turns(&broker, 4);
	ck_assert_uint_eq(c->answers, 0);
	fake_broker_stop_listening(&broker);
	fake_broker_cut(&broker);
	fake_broker_turns(&broker, 4 * READS_MAX);
	ck_assert_uint_eq(c->answers, 3 * READS_MAX);
	hub_fixture_close();
}
END_TEST

Suite *suite_hub_reads(void);

Suite *suite_hub_reads(void) {
	Suite *s = suite_create("hub_reads");
	TCase *t = tcase_create("reads");

	tcase_set_timeout(t, 20);
	tcase_add_test(t, nothing_is_known_at_first);
	tcase_add_test(t, clients_take_turns);
	tcase_add_test(t, long_answers_make_it_fewer);
	tcase_add_test(t, leaving_does_not_make_asking_free);
	tcase_add_test(t, a_lost_link_answers_those_who_wait);
	suite_add_tcase(s, t);
	return s;
}
