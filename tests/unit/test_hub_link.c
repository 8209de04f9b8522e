/* test_hub_link - what a lost link, a new broker and identities mean for clients */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/svc/stats.h"
#include "tests/unit/hub_fixture.h"

enum { CHANNELS = 200, WINDOW = 64 };

static uint64_t count_of(enum stat_id id) {
	return stat_get(stats_own, id);
}

static const union ipc_any *take_member_add(const char *channel, const char *member, uint8_t flags) {
	const union ipc_any *m = fake_broker_take(&broker, IPC_member_add);

	ck_assert(slice_eq_text(m->member_add.channel, channel));
	ck_assert(slice_eq_text(m->member_add.member, member));
	ck_assert(slice_eq_text(m->member_add.info, strcmp(channel, "$users") == 0 ? "" : "info"));
	ck_assert_uint_eq(m->member_add.flags, flags);
	return m;
}

static void take_member_remove(const char *channel, const char *member, uint32_t grace_ms) {
	const union ipc_any *m = fake_broker_take(&broker, IPC_member_remove);

	ck_assert(slice_eq_text(m->member_remove.channel, channel));
	ck_assert(slice_eq_text(m->member_remove.member, member));
	ck_assert_uint_eq(m->member_remove.grace_ms, grace_ms);
}

static void answer_member(const union ipc_any *question, enum ipc_result result) {
	struct ipc_member_result r = { question->member_add.request, (uint8_t)result, 1, 1 };

	ck_assert_uint_ne(r.request, 0);
	fake_broker_send(&broker, IPC_member_result, &r);
}

static void snapshot_with_count(const union ipc_any *question, uint8_t flags, const char *epoch, uint64_t offset, uint32_t members) {
	struct ipc_snapshot s = { .request = question->subscribe.request, .flags = flags, .channel = question->subscribe.channel,
		.epoch = slice_text(epoch), .offset = offset, .member_count = members };

	fake_broker_send(&broker, IPC_snapshot, &s);
}

static void identified(struct test_client *c, const char *member) {
	identify(c, member);
	answer_member(take_member_add("$users", member, 0), IPC_OK);
	client_expect(c, "ok|");
}

/* --- identities --- */

START_TEST(identity_is_claimed_and_released) {
	struct test_client *a, *b;

	hub_fixture_open();
	a = client_open_bare();
	b = client_open_bare();
	identified(a, "anna");
	identify(b, "anna");
	ck_assert_uint_eq(b->answers, 0);
	answer_member(take_member_add("$users", "anna", 0), IPC_TAKEN);
	client_expect(b, "taken|");
	hub_client_fini(&b->hub, 1000);
	fake_broker_expect_silence(&broker);
	hub_client_fini(&a->hub, 2000);
	take_member_remove("$users", "anna", 2000);
	hub_fixture_close();
}
END_TEST

START_TEST(late_claims_are_taken_back) {
	struct test_client *a, *b, *c;
	const union ipc_any *gone, *taken, *late;

	hub_fixture_open();
	a = client_open_bare();
	b = client_open_bare();
	c = client_open_bare();
	identify(a, "anna");
	identify(b, "bob");
	identify(c, "carl");
	gone = take_member_add("$users", "anna", 0);
	taken = take_member_add("$users", "bob", 0);
	late = take_member_add("$users", "carl", 0);
	hub_client_fini(&a->hub, 500);
	hub_client_fini(&b->hub, 500);
	fake_broker_expect_silence(&broker);
	answer_member(gone, IPC_OK);
	answer_member(taken, IPC_TAKEN);
	take_member_remove("$users", "anna", 500);
	client_expect(c, "unavailable|");
	identify(c, "carl");
	answer_member(take_member_add("$users", "carl", 0), IPC_OK);
	answer_member(late, IPC_OK);
	take_member_remove("$users", "carl", 0);
	client_expect(c, "ok|");
	fake_broker_expect_silence(&broker);
	hub_fixture_close();
}
END_TEST

START_TEST(membership_follows_the_subscription) {
	struct test_client *a;
	const union ipc_any *m;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	identified(a, "anna");
	subscribe_since(a, "c", HUB_PRESENT, "e", 1, 50);
	answer_member(take_member_add("c", "anna", 0), IPC_OK);
	m = broker_take_subscribe("c", "e", 1);
	ck_assert_uint_eq(m->subscribe.member_limit, 50);
	broker_member(IPC_joined, "c", "anna", 1);
	snapshot_with_count(m, IPC_SNAPSHOT_RECOVERED, "e", 1, 2);
	broker_member(IPC_joined, "c", "bob", 3);
	/* Its own arrival stands behind its snapshot, whenever the broker has said it. */
	client_expect(a, "snap:e:1:yes #2|j:anna:2|s:anna|j:bob:3|s:bob|");
	hub_unsubscribe(&a->hub, slice_text("c"));
	take_member_remove("c", "anna", 0);
	fake_broker_take(&broker, IPC_unsubscribe);
	/* A question that is not answered takes its membership back. */
	subscribe(a, "d", HUB_PRESENT);
	answer_member(take_member_add("d", "anna", 0), IPC_OK);
	broker_take_subscribe("d", NULL, 0);
	client_expect(a, "snap:unavailable|");
	take_member_remove("d", "anna", 0);
	fake_broker_take(&broker, IPC_unsubscribe);
	/* And one that goes while it waits leaves as if it had been there. */
	subscribe(a, "d", HUB_PRESENT);
	answer_member(take_member_add("d", "anna", 0), IPC_OK);
	broker_take_subscribe("d", NULL, 0);
	hub_client_fini(&a->hub, 3000);
	take_member_remove("d", "anna", 3000);
	take_member_remove("$users", "anna", 3000);
	fake_broker_take(&broker, IPC_unsubscribe);
	hub_fixture_close();
}
END_TEST

/* Of a channel with more members than are wanted, a few are asked for. */
START_TEST(large_channels_are_not_listed) {
	static const struct {
		uint32_t limit, members, asked;
	} rows[] = { { 1000, 1000, 1000 }, { 1000, 1001, HUB_FEW_MEMBERS }, { 20, 1001, 20 }, { 0, 1001, 0 } };
	struct test_client *a;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	identified(a, "anna");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ipc_member_result r = { .result = IPC_OK, .member_count = rows[i].members };
		char name[] = { (char)('c' + i), '\0' };
		const union ipc_any *m;

		subscribe_since(a, name, HUB_PRESENT, "e", 1, rows[i].limit);
		r.request = take_member_add(name, "anna", 0)->member_add.request;
		fake_broker_send(&broker, IPC_member_result, &r);
		m = broker_take_subscribe(name, "e", 1);
		ck_assert_msg(m->subscribe.member_limit == rows[i].asked, "row %zu", i);
		broker_snapshot(m, IPC_SNAPSHOT_RECOVERED, "e", 1, NULL);
		client_expect(a, "snap:e:1:yes|");
	}
	hub_fixture_close();
}
END_TEST

/* Who was a member before, by another connection or in its grace, does not arrive. */
START_TEST(only_arrivals_are_arrivals) {
	struct test_client *a;
	struct ipc_member_result r = { .result = IPC_OK, .member_count = 4 };
	const union ipc_any *m;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	identified(a, "anna");
	subscribe(a, "c", HUB_PRESENT);
	r.request = take_member_add("c", "anna", 0)->member_add.request;
	fake_broker_send(&broker, IPC_member_result, &r);
	broker_snapshot(broker_take_subscribe("c", NULL, 0), 0, "e", 1, NULL);
	client_expect(a, "snap:e:1|");
	hub_unsubscribe(&a->hub, slice_text("c"));
	take_member_remove("c", "anna", 0);
	/* A channel that is live already, and a large one: the count comes later. */
	subscribe(a, "c", HUB_PRESENT);
	answer_member(take_member_add("c", "anna", 0), IPC_OK);
	m = broker_take_subscribe("c", NULL, 0);
	snapshot_with_count(m, 0, "e", 1, 9);
	client_expect(a, "snap:e:1 #9|n:9|");
	hub_fixture_close();
}
END_TEST

/* Nothing is asked for that a refused one does not get, and nothing taken back that it did not have. */
START_TEST(full_channels_refuse) {
	struct test_client *a, *b;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	b = client_open(FORM_TEST);
	identified(a, "anna");
	join_live(b, "c", 1);
	subscribe(a, "c", HUB_PRESENT);
	answer_member(take_member_add("c", "anna", 0), IPC_FULL);
	client_expect(a, "snap:full|");
	broker_deliver("c", "e", 2, "two", NULL);
	client_expect(b, "p:2:two|");
	client_expect_nothing(a);
	ck_assert(!hub_is_subscribed(&a->hub, slice_text("c")));
	subscribe(a, "new", HUB_PRESENT);
	answer_member(take_member_add("new", "anna", 0), IPC_FULL);
	client_expect(a, "snap:full|");
	subscribe(a, "new", HUB_PRESENT);
	answer_member(take_member_add("new", "anna", 0), IPC_TAKEN);
	client_expect(a, "snap:taken|");
	hub_client_fini(&a->hub, 3000);
	take_member_remove("$users", "anna", 3000);
	fake_broker_wait_ms(&broker, TEST_LINGER_MS * 2);
	fake_broker_expect_silence(&broker);
	hub_fixture_close();
}
END_TEST

/* Who leaves, goes or has waited long enough before it is said whether he is in: what comes of that is taken back, when it is known and
 * no sooner: a refused one has nothing, and what there is by then is another connection's. */
START_TEST(late_entries_are_taken_back) {
	struct test_client *a, *b, *c, *d;
	const union ipc_any *left, *gone, *late, *refused;

	hub_fixture_open();
	a = client_open_bare();
	b = client_open_bare();
	c = client_open_bare();
	d = client_open_bare();
	identified(a, "anna");
	identified(b, "bob");
	identified(c, "carl");
	identified(d, "dora");
	subscribe(a, "c", HUB_PRESENT);
	subscribe(b, "c", HUB_PRESENT);
	subscribe(c, "c", HUB_PRESENT);
	subscribe(d, "c", HUB_PRESENT);
	left = take_member_add("c", "anna", 0);
	gone = take_member_add("c", "bob", 0);
	late = take_member_add("c", "carl", 0);
	refused = take_member_add("c", "dora", 0);
	hub_unsubscribe(&a->hub, slice_text("c"));
	client_expect(a, "snap:unavailable|");
	hub_client_fini(&b->hub, 500);
	take_member_remove("$users", "bob", 500);
	hub_unsubscribe(&d->hub, slice_text("c"));
	client_expect(d, "snap:unavailable|");
	client_expect(c, "snap:unavailable|");
	ck_assert(!hub_is_subscribed(&c->hub, slice_text("c")));
	fake_broker_expect_silence(&broker);
	answer_member(left, IPC_OK);
	take_member_remove("c", "anna", 0);
	answer_member(gone, IPC_OK);
	take_member_remove("c", "bob", 500);
	answer_member(refused, IPC_FULL);
	answer_member(late, IPC_OK);
	take_member_remove("c", "carl", 0);
	fake_broker_expect_silence(&broker);
	/* On the next link nothing of it is left to do. */
	subscribe(a, "c", HUB_PRESENT);
	take_member_add("c", "anna", 0);
	hub_unsubscribe(&a->hub, slice_text("c"));
	subscribe(c, "c", HUB_PRESENT);
	take_member_add("c", "carl", 0);
	fake_broker_restart(&broker);
	client_expect(a, "snap:unavailable|");
	client_expect(c, "snap:unavailable|");
	take_member_add("$users", "anna", IPC_RESYNC);
	hub_fixture_close();
}
END_TEST

/* --- loss --- */

START_TEST(loss_answers_everything) {
	struct test_client *a, *b, *c;
	uint64_t uncertain = count_of(STAT_publications_uncertain), unavailable = count_of(STAT_publications_unavailable);

	hub_fixture_open();
	a = client_open_bare();
	b = client_open_bare();
	c = client_open_bare();
	publish(a, "c", "sent");
	fake_broker_take(&broker, IPC_publish);
	subscribe(b, "c", 0);
	broker_take_subscribe("c", NULL, 0);
	identify(c, "anna");
	take_member_add("$users", "anna", 0);
	fake_broker_stop_listening(&broker);
	fake_broker_cut(&broker);
	client_expect(a, "uncertain|");
	client_expect(b, "snap:unavailable|");
	client_expect(c, "unavailable|");
	publish(a, "c", "not sent");
	ck_assert_uint_eq(a->answers, 1);
	client_expect(a, "unavailable|");
	subscribe(b, "d", 0);
	client_expect(b, "snap:unavailable|");
	identify(c, "anna");
	client_expect(c, "unavailable|");
	ck_assert(!hub_is_linked(hub));
	ck_assert_uint_eq(count_of(STAT_publications_uncertain) - uncertain, 1);
	ck_assert_uint_eq(count_of(STAT_publications_unavailable) - unavailable, 1);
	/* Nothing of it is said again. */
	fake_broker_listen(&broker);
	fake_broker_take(&broker, IPC_hello);
	fake_broker_take(&broker, IPC_synced);
	fake_broker_wait_ms(&broker, TEST_LINGER_MS * 2);
	fake_broker_expect_silence(&broker);
	hub_fixture_close();
}
END_TEST

START_TEST(late_answers_make_publications_uncertain) {
	struct test_client *a;

	hub_fixture_open();
	a = client_open_bare();
	publish(a, "c", "x");
	client_expect(a, "uncertain|");
	hub_fixture_close();
}
END_TEST

START_TEST(everything_is_said_again) {
	struct test_client *a, *b, *gone;
	const union ipc_any *m;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	b = client_open(FORM_TEST);
	gone = client_open_bare();
	identified(a, "anna");
	identified(gone, "gone");
	subscribe(a, "c", HUB_PRESENT);
	answer_member(take_member_add("c", "anna", 0), IPC_OK);
	broker_snapshot(broker_take_subscribe("c", NULL, 0), 0, "e", 1, NULL);
	client_expect(a, "snap:e:1|j:anna:0|s:anna|");
	join_live(b, "left", 1);
	hub_unsubscribe(&b->hub, slice_text("left"));
	subscribe(b, "c", 0);
	client_expect(b, "snap:e:1|");
	fake_broker_stop_listening(&broker);
	fake_broker_cut(&broker);
	fake_broker_turns(&broker, 3);
	hub_client_fini(&gone->hub, 1000);
	fake_broker_listen(&broker);
	fake_broker_take(&broker, IPC_hello);
	take_member_add("$users", "anna", IPC_RESYNC);
	m = broker_take_subscribe("c", "e", 1);
	take_member_add("c", "anna", IPC_RESYNC);
	fake_broker_take(&broker, IPC_synced);
	broker_deliver("c", "e", 3, "three", NULL);
	broker_snapshot(m, IPC_SNAPSHOT_RECOVERED, "e", 3, "2=two 3=three");
	broker_deliver("c", "e", 4, "four", NULL);
	client_expect(a, "p:2:two|p:3:three|p:4:four|");
	client_expect(b, "p:2:two|p:3:three|p:4:four|");
	hub_client_fini(&a->hub, 700);
	take_member_remove("c", "anna", 700);
	take_member_remove("$users", "anna", 700);
	fake_broker_expect_silence(&broker);
	hub_fixture_close();
}
END_TEST

static bool is_linked(void *arg UNUSED) {
	return hub_is_linked(hub);
}

static bool has_asked_window(void *arg UNUSED) {
	return broker.count - broker.taken >= WINDOW;
}

/* Somebody who comes to a channel whose turn has not come yet: the channel goes first, and the newcomer is said once, as an
 * arrival. */
START_TEST(newcomers_during_resync_are_said_once) {
	struct test_client *a, *b;
	const union ipc_any *asked[WINDOW], *again, *own;
	char name[32];

	hub_fixture_open();
	a = client_open(FORM_TEST);
	b = client_open(FORM_TEST);
	for (size_t i = 0; i <= WINDOW; i++) {
		snprintf(name, sizeof(name), "c%zu", i);
		join_live(a, name, 1);
	}
	identified(b, "bob");
	fake_broker_restart(&broker);
	fake_broker_wait(&broker, is_linked, NULL);
	take_member_add("$users", "bob", IPC_RESYNC);
	fake_broker_wait(&broker, has_asked_window, NULL);
	for (size_t i = 0; i < WINDOW; i++)
		asked[i] = fake_broker_take(&broker, IPC_subscribe);
	fake_broker_expect_silence(&broker);
	for (size_t i = 0; i <= WINDOW; i++) {
		bool is_asked = false;

		snprintf(name, sizeof(name), "c%zu", i);
		for (size_t j = 0; j < WINDOW; j++)
			is_asked = is_asked || slice_eq_text(asked[j]->subscribe.channel, name);
		if (!is_asked)
			break;
	}
	subscribe(b, name, HUB_PRESENT);
	answer_member(take_member_add(name, "bob", 0), IPC_OK);
	again = broker_take_subscribe(name, "e", 1);
	own = broker_take_subscribe(name, NULL, 0);
	fake_broker_take(&broker, IPC_synced);
	broker_snapshot(again, IPC_SNAPSHOT_RECOVERED, "e", 2, "2=two");
	broker_snapshot(own, 0, "e", 2, NULL);
	broker_deliver(name, "e", 3, "three", NULL);
	client_expect(a, "p:2:two|p:3:three|");
	client_expect(b, "snap:e:2|j:bob:0|s:bob|p:3:three|");
	for (size_t i = 0; i < WINDOW; i++)
		broker_snapshot(asked[i], IPC_SNAPSHOT_RECOVERED, "e", 1, NULL);
	fake_broker_expect_silence(&broker);
	hub_fixture_close();
}
END_TEST

/* The broker died after it had delivered "sent" and before it answered; the publisher sent it again to the new one, which
 * knows nothing. Somebody else's message went to the new one before we were there. */
START_TEST(new_epoch_tells_no_message_twice) {
	struct test_client *a;
	uint64_t duplicates = count_of(STAT_deliveries_duplicate);

	hub_fixture_open();
	a = client_open(FORM_TEST);
	join_live(a, "c", 1);
	broker_deliver("c", "e", 2, "sent", "key of sent");
	broker_deliver("c", "e", 3, "third", "key of third");
	client_expect(a, "p:2:sent|p:3:third|");
	fake_broker_restart(&broker);
	broker_snapshot(broker_take_subscribe("c", "e", 3), 0, "E2", 2, NULL);
	fake_broker_take(&broker, IPC_synced);
	broker_snapshot(broker_take_subscribe("c", "E2", 0), IPC_SNAPSHOT_RECOVERED, "E2", 2, "1=other 2=news");
	broker_deliver("c", "E2", 3, "sent", "key of sent");
	broker_deliver("c", "E2", 4, "last", "key of last");
	client_expect(a, "r:E2:0|p:1:other|p:2:news|p:4:last|");
	ck_assert_uint_eq(count_of(STAT_deliveries_duplicate) - duplicates, 1);
	/* In one epoch the broker knows what is repeated, and in another channel it is another message. */
	broker_deliver("c", "E2", 5, "sent", "key of sent");
	client_expect(a, "p:5:sent|");
	join_live(a, "d", 1);
	broker_deliver("d", "e", 2, "sent", "key of sent");
	client_expect(a, "p:2:sent|");
	hub_fixture_close();
}
END_TEST

/* The broker knows what is news in the new epoch: nothing else is delivered, however far history reaches back. */
START_TEST(news_of_a_new_epoch_come_after_the_reset) {
	struct test_client *a;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	join_live(a, "c", 7);
	broker_deliver("c", "E2", 9, "nine", NULL);
	broker_snapshot(broker_take_subscribe("c", "e", 7), 0, "E2", 9, "8=eight 9=nine");
	broker_deliver("c", "E2", 10, "ten", NULL);
	client_expect(a, "r:E2:7|p:8:eight|p:9:nine|p:10:ten|");
	fake_broker_expect_silence(&broker);
	hub_fixture_close();
}
END_TEST

/* And when it knows that nothing is. */
START_TEST(a_new_epoch_may_have_no_news) {
	struct test_client *a;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	join_live(a, "c", 7);
	broker_deliver("c", "E2", 9, "nine", NULL);
	broker_snapshot(broker_take_subscribe("c", "e", 7), IPC_SNAPSHOT_NEWS, "E2", 9, NULL);
	broker_deliver("c", "E2", 10, "ten", NULL);
	client_expect(a, "r:E2:9|p:10:ten|");
	fake_broker_expect_silence(&broker);
	hub_fixture_close();
}
END_TEST

/* Who joins while the channel moves to its new epoch waits for it. */
START_TEST(joining_while_the_epoch_changes) {
	struct test_client *a, *b;
	const union ipc_any *again, *own;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	b = client_open(FORM_TEST);
	join_live(a, "c", 1);
	fake_broker_restart(&broker);
	again = broker_take_subscribe("c", "e", 1);
	fake_broker_take(&broker, IPC_synced);
	subscribe(b, "c", 0);
	own = broker_take_subscribe("c", NULL, 0);
	broker_snapshot(again, 0, "E2", 1, NULL);
	broker_snapshot(own, 0, "E2", 1, NULL);
	broker_snapshot(broker_take_subscribe("c", "E2", 0), IPC_SNAPSHOT_RECOVERED, "E2", 1, "1=one");
	broker_snapshot(broker_take_subscribe("c", NULL, 0), 0, "E2", 1, NULL);
	broker_deliver("c", "E2", 2, "two", NULL);
	client_expect(a, "r:E2:0|p:1:one|p:2:two|");
	client_expect(b, "snap:E2:1|p:2:two|");
	hub_fixture_close();
}
END_TEST

/* 64 questions at a time; one that could not be answered is asked again later, and those of a second loss in vain. */
START_TEST(channels_are_asked_for_in_a_window) {
	struct test_client *a;
	const union ipc_any *asked[CHANNELS];
	struct ipc_snapshot s = { .flags = IPC_SNAPSHOT_RECOVERED, .epoch = slice_text("e"), .offset = 1 };
	char name[32];

	hub_fixture_open();
	a = client_open(FORM_TEST);
	for (size_t i = 0; i < CHANNELS; i++) {
		snprintf(name, sizeof(name), "c%zu", i);
		join_live(a, name, 1);
	}
	fake_broker_restart(&broker);
	fake_broker_turns(&broker, 10);
	ck_assert_uint_eq(broker.count - broker.taken, WINDOW);
	broker.taken = broker.count;
	fake_broker_restart(&broker);
	for (size_t i = 0; i < CHANNELS; i++) {
		asked[i] = fake_broker_take(&broker, IPC_subscribe);
		ck_assert_uint_le(broker.count - broker.taken, WINDOW - 1);
		s.request = asked[i]->subscribe.request;
		s.channel = asked[i]->subscribe.channel;
		s.flags = i == 10 ? IPC_SNAPSHOT_UNAVAILABLE : IPC_SNAPSHOT_RECOVERED;
		fake_broker_send(&broker, IPC_snapshot, &s);
	}
	fake_broker_take(&broker, IPC_synced);
	s.request = fake_broker_take(&broker, IPC_subscribe)->subscribe.request;
	s.channel = asked[10]->subscribe.channel;
	s.flags = IPC_SNAPSHOT_RECOVERED;
	fake_broker_send(&broker, IPC_snapshot, &s);
	snprintf(name, sizeof(name), "%.*s", SLICE_ARGS(s.channel));
	broker_deliver(name, "e", 2, "two", NULL);
	client_expect(a, "p:2:two|");
	fake_broker_expect_silence(&broker);
	hub_fixture_close();
}
END_TEST

START_TEST(nonsense_from_the_broker_is_a_loss) {
	struct test_client *a, *b;
	struct ipc_snapshot s = { .flags = IPC_SNAPSHOT_RECOVERED, .channel = slice_text("c"), .epoch = slice_text("e"),
		.offset = 2, .publications = slice_text("garbage") };

	hub_fixture_open();
	a = client_open(FORM_TEST);
	b = client_open(FORM_TEST);
	join_live(a, "c", 1);
	broker_deliver("c", "e", 3, "three", NULL);
	s.request = broker_take_subscribe("c", "e", 1)->subscribe.request;
	fake_broker_send(&broker, IPC_snapshot, &s);
	fake_broker_take(&broker, IPC_hello);
	broker_snapshot(broker_take_subscribe("c", "e", 1), IPC_SNAPSHOT_RECOVERED, "e", 2, "2=two");
	fake_broker_take(&broker, IPC_synced);
	client_expect(a, "p:2:two|");
	subscribe(b, "d", 0);
	broker_snapshot(broker_take_subscribe("d", NULL, 0), 0, "an epoch that is far too long for one", 1, NULL);
	client_expect(b, "snap:unavailable|");
	fake_broker_take(&broker, IPC_hello);
	hub_fixture_close();
}
END_TEST

Suite *suite_hub_link(void);

Suite *suite_hub_link(void) {
	Suite *s = suite_create("hub_link");
	TCase *t = tcase_create("link");

	tcase_set_timeout(t, 20);
	tcase_add_test(t, identity_is_claimed_and_released);
	tcase_add_test(t, late_claims_are_taken_back);
	tcase_add_test(t, membership_follows_the_subscription);
	tcase_add_test(t, large_channels_are_not_listed);
	tcase_add_test(t, only_arrivals_are_arrivals);
	tcase_add_test(t, full_channels_refuse);
	tcase_add_test(t, late_entries_are_taken_back);
	tcase_add_test(t, loss_answers_everything);
	tcase_add_test(t, late_answers_make_publications_uncertain);
	tcase_add_test(t, everything_is_said_again);
	tcase_add_test(t, newcomers_during_resync_are_said_once);
	tcase_add_test(t, new_epoch_tells_no_message_twice);
	tcase_add_test(t, news_of_a_new_epoch_come_after_the_reset);
	tcase_add_test(t, a_new_epoch_may_have_no_news);
	tcase_add_test(t, joining_while_the_epoch_changes);
	tcase_add_test(t, channels_are_asked_for_in_a_window);
	tcase_add_test(t, nonsense_from_the_broker_is_a_loss);
	suite_add_tcase(s, t);
	return s;
}
