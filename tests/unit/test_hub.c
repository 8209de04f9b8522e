/* test_hub - subscriptions, the order of what a client sees, gaps, members' events, questions */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/svc/stats.h"
#include "server/hub/hub_parts.h"
#include "tests/unit/hub_fixture.h"

static uint64_t count_of(enum stat_id id) {
	return stat_get(stats_own, id);
}

START_TEST(one_subscription_for_all_of_a_channel) {
	struct test_client *a, *b;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	b = client_open(FORM_BARE);
	subscribe(a, "c", 0);
	ck_assert(hub_is_subscribed(&a->hub, slice_text("c")));
	ck_assert_uint_eq(a->answers, 0);
	broker_snapshot(broker_take_subscribe("c", NULL, 0), 0, "e", 4, NULL);
	client_expect(a, "snap:e:4|");
	subscribe(b, "c", 0);
	ck_assert_uint_eq(b->answers, 0);
	client_expect(b, "snap:e:4|");
	fake_broker_expect_silence(&broker);
	broker_deliver("c", "e", 5, "five", NULL);
	broker_deliver("c", "e", 6, "six", NULL);
	client_expect(a, "p:5:five|p:6:six|");
	client_expect(b, "five|six|");
	hub_fixture_close();
}
END_TEST

START_TEST(old_and_unknown_deliveries_are_dropped) {
	struct test_client *a;
	uint64_t duplicates = count_of(STAT_deliveries_duplicate);

	hub_fixture_open();
	a = client_open(FORM_TEST);
	join_live(a, "c", 4);
	broker_deliver("c", "e", 4, "old", NULL);
	broker_deliver("nobody's", "e", 5, "x", NULL);
	broker_deliver("c", "e", 5, "five", NULL);
	client_expect(a, "p:5:five|");
	ck_assert_uint_eq(count_of(STAT_deliveries_duplicate) - duplicates, 1);
	hub_fixture_close();
}
END_TEST

START_TEST(unsubscribed_after_a_while) {
	struct test_client *a, *b;
	const union ipc_any *m;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	b = client_open(FORM_TEST);
	ck_assert(!hub_unsubscribe(&a->hub, slice_text("c")));
	join_live(a, "c", 4);
	ck_assert(hub_unsubscribe(&a->hub, slice_text("c")));
	ck_assert(!hub_is_subscribed(&a->hub, slice_text("c")));
	fake_broker_wait_ms(&broker, TEST_LINGER_MS / 2);
	broker_deliver("c", "e", 5, "unheard", NULL);
	fake_broker_turns(&broker, 4);
	/* Somebody comes before the time is over: nothing has to be asked. */
	subscribe(b, "c", 0);
	client_expect(b, "snap:e:5|");
	fake_broker_wait_ms(&broker, TEST_LINGER_MS * 2);
	fake_broker_expect_silence(&broker);
	hub_unsubscribe(&b->hub, slice_text("c"));
	m = fake_broker_take(&broker, IPC_unsubscribe);
	ck_assert(slice_eq_text(m->unsubscribe.channel, "c"));
	client_expect_nothing(a);
	/* From the start again. */
	join_live(a, "c", 9);
	hub_fixture_close();
}
END_TEST

START_TEST(joining_in_the_middle_of_a_turn) {
	struct test_client *a, *b;
	const union ipc_any *m;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	b = client_open(FORM_TEST);
	join_live(a, "c", 1);
	subscribe_since(b, "c", 0, "e", 0, 0);
	m = broker_take_subscribe("c", "e", 0);
	/* All of it arrives in one turn. */
	broker_deliver("c", "e", 2, "two", NULL);
	broker_snapshot(m, IPC_SNAPSHOT_RECOVERED, "e", 2, "1=one 2=two");
	broker_deliver("c", "e", 3, "three", NULL);
	client_expect(a, "p:2:two|p:3:three|");
	client_expect(b, "snap:e:2:yes 1=one 2=two|p:3:three|");
	hub_fixture_close();
}
END_TEST

START_TEST(leaving_in_the_middle_of_a_turn) {
	struct test_client *a, *b;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	b = client_open(FORM_TEST);
	join_live(a, "c", 1);
	subscribe(b, "c", 0);
	client_expect(b, "snap:e:1|");
	broker_deliver("c", "e", 2, "two", NULL);
	fake_broker_turns(&broker, 2);
	hub_unsubscribe(&b->hub, slice_text("c"));
	broker_deliver("c", "e", 3, "three", NULL);
	client_expect(a, "p:2:two|p:3:three|");
	client_expect(b, "p:2:two|");
	hub_fixture_close();
}
END_TEST

static bool is_holding(void *arg UNUSED) {
	return hub->is_holding;
}

/* In one turn something comes, and something is published. */
static void come_and_publish(struct test_client *c) {
	broker_deliver("c", "e", 2, "two", NULL);
	publish(c, "c", "three");
	fake_broker_wait(&broker, is_holding, NULL);
	client_receive(c);
	ck_assert_uint_eq(c->text.len, 0);
	fake_broker_take(&broker, IPC_publish);
}

START_TEST(what_was_just_published_is_handed_out_with_what_came) {
	struct test_client *a, *b;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	b = client_open(FORM_TEST);
	join_live(a, "c", 1);
	come_and_publish(a);
	broker_deliver("c", "e", 3, "three", NULL);
	client_expect(a, "p:2:two|p:3:three|");
	ck_assert(!hub->is_holding);
	/* Who comes in between sees what he should. */
	broker_deliver("c", "e", 4, "four", NULL);
	publish(a, "c", "five");
	fake_broker_wait(&broker, is_holding, NULL);
	subscribe(b, "c", 0);
	client_expect(b, "snap:e:4|");
	client_expect(a, "p:4:four|");
	hub_fixture_close();
}
END_TEST

START_TEST(it_is_not_waited_for_long) {
	struct test_client *a;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	join_live(a, "c", 1);
	come_and_publish(a);
	client_expect(a, "p:2:two|");
	ck_assert(!hub->is_holding);
	/* Nothing to hand out: nothing waits. */
	publish(a, "c", "four");
	fake_broker_take(&broker, IPC_publish);
	ck_assert(!hub->is_holding);
	hub_fixture_close();
}
END_TEST

START_TEST(recovery_is_counted) {
	struct test_client *a;
	uint64_t good = count_of(STAT_recoveries), bad = count_of(STAT_recoveries_failed);

	hub_fixture_open();
	a = client_open(FORM_TEST);
	subscribe_since(a, "c", 0, "e", 3, 0);
	broker_snapshot(broker_take_subscribe("c", "e", 3), IPC_SNAPSHOT_RECOVERED, "e", 5, "4=four 5=five");
	client_expect(a, "snap:e:5:yes 4=four 5=five|");
	subscribe_since(a, "d", 0, "x", 3, 0);
	broker_snapshot(broker_take_subscribe("d", "x", 3), 0, "y", 7, NULL);
	client_expect(a, "snap:y:7:no|");
	ck_assert_uint_eq(count_of(STAT_recoveries) - good, 1);
	ck_assert_uint_eq(count_of(STAT_recoveries_failed) - bad, 1);
	hub_fixture_close();
}
END_TEST

START_TEST(gap_is_filled_before_the_next) {
	struct test_client *a, *b;
	uint64_t filled = count_of(STAT_link_gaps_filled);
	const union ipc_any *m;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	b = client_open(FORM_TEST);
	join_live(a, "c", 1);
	broker_deliver("c", "e", 3, "three", NULL);
	m = broker_take_subscribe("c", "e", 1);
	/* Who comes meanwhile is answered behind it. */
	subscribe(b, "c", 0);
	broker_deliver("c", "e", 4, "four", NULL);
	broker_snapshot(m, IPC_SNAPSHOT_RECOVERED, "e", 4, "2=two 3=three 4=four");
	broker_deliver("c", "e", 5, "five", NULL);
	broker_snapshot(broker_take_subscribe("c", NULL, 0), 0, "e", 5, NULL);
	broker_deliver("c", "e", 6, "six", NULL);
	client_expect(a, "p:2:two|p:3:three|p:4:four|p:5:five|p:6:six|");
	client_expect(b, "snap:e:5|p:6:six|");
	ck_assert_uint_eq(count_of(STAT_link_gaps_filled) - filled, 1);
	hub_fixture_close();
}
END_TEST

START_TEST(gap_beyond_history_is_told) {
	struct test_client *a;
	uint64_t lost = count_of(STAT_link_gaps_lost);

	hub_fixture_open();
	a = client_open(FORM_TEST);
	join_live(a, "c", 1);
	broker_deliver("c", "e", 3, "three", NULL);
	broker_snapshot(broker_take_subscribe("c", "e", 1), 0, "e", 9, NULL);
	broker_deliver("c", "e", 10, "ten", NULL);
	client_expect(a, "r:e:9|p:10:ten|");
	ck_assert_uint_eq(count_of(STAT_link_gaps_lost) - lost, 1);
	hub_fixture_close();
}
END_TEST

START_TEST(snapshot_that_does_not_fit_is_a_gap) {
	struct test_client *a, *b;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	b = client_open(FORM_TEST);
	join_live(a, "c", 1);
	subscribe_since(b, "c", 0, "e", 1, 0);
	broker_snapshot(broker_take_subscribe("c", "e", 1), IPC_SNAPSHOT_RECOVERED, "e", 2, "2=two");
	broker_snapshot(broker_take_subscribe("c", "e", 1), IPC_SNAPSHOT_RECOVERED, "e", 2, "2=two");
	broker_snapshot(broker_take_subscribe("c", "e", 1), IPC_SNAPSHOT_RECOVERED, "e", 2, "2=two");
	client_expect(a, "p:2:two|");
	client_expect(b, "snap:e:2:yes 2=two|");
	hub_fixture_close();
}
END_TEST

START_TEST(unavailable_snapshot_leaves_no_interest) {
	struct test_client *a;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	subscribe(a, "c", 0);
	broker_snapshot(broker_take_subscribe("c", NULL, 0), IPC_SNAPSHOT_UNAVAILABLE, "", 0, NULL);
	client_expect(a, "snap:unavailable|");
	ck_assert(!hub_is_subscribed(&a->hub, slice_text("c")));
	fake_broker_take(&broker, IPC_unsubscribe);
	/* Never answered. */
	subscribe(a, "d", 0);
	broker_take_subscribe("d", NULL, 0);
	client_expect(a, "snap:unavailable|");
	fake_broker_take(&broker, IPC_unsubscribe);
	hub_fixture_close();
}
END_TEST

START_TEST(unsubscribing_while_waiting) {
	struct test_client *a;
	const union ipc_any *m;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	subscribe(a, "c", 0);
	ck_assert(hub_unsubscribe(&a->hub, slice_text("c")));
	ck_assert_uint_eq(a->answers, 0);
	m = broker_take_subscribe("c", NULL, 0);
	client_expect(a, "snap:unavailable|");
	/* At once again: the first answer is nobody's. */
	subscribe(a, "c", 0);
	broker_snapshot(m, 0, "e", 1, NULL);
	broker_deliver("c", "e", 2, "two", NULL);
	broker_snapshot(broker_take_subscribe("c", NULL, 0), 0, "e", 2, NULL);
	client_expect(a, "snap:e:2|");
	/* The same with an answer that needs no broker. */
	hub_unsubscribe(&a->hub, slice_text("c"));
	subscribe(a, "c", 0);
	hub_unsubscribe(&a->hub, slice_text("c"));
	client_expect(a, "snap:unavailable|");
	ck_assert_uint_eq(a->answers, 3);
	hub_fixture_close();
}
END_TEST

START_TEST(members_come_and_go) {
	struct test_client *a, *b;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	b = client_open(FORM_BARE);
	join_live(a, "c", 0);
	subscribe(b, "c", 0);
	client_expect(b, "snap:e:0|");
	broker_member(IPC_joined, "c", "anna", 2);
	broker_deliver("c", "e", 1, "one", NULL);
	broker_member(IPC_left, "c", "anna", 1);
	client_expect(a, "j:anna:2|s:anna|p:1:one|l:anna:1|");
	client_expect(b, "one|");
	hub_fixture_close();
}
END_TEST

START_TEST(large_rooms_get_a_count_once_a_second) {
	struct test_client *a;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	join_live(a, "c", 0);
	for (uint32_t i = 4; i < 50; i++)
		broker_member(IPC_joined, "c", "anna", i);
	client_expect_nothing(a);
	fake_broker_wait_ms(&broker, 1100);
	client_expect(a, "n:49|");
	fake_broker_wait_ms(&broker, 1100);
	client_expect_nothing(a);
	broker_member(IPC_left, "c", "anna", 48);
	hub_unsubscribe(&a->hub, slice_text("c"));
	fake_broker_take(&broker, IPC_unsubscribe);
	fake_broker_wait_ms(&broker, 1100);
	hub_fixture_close();
}
END_TEST

/* 25,000 members: each is told at most every 2.5 s; and when it has become small again, every second. */
START_TEST(very_large_rooms_get_a_count_less_often) {
	struct test_client *a;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	join_live(a, "c", 0);
	broker_member(IPC_joined, "c", "anna", 25000);
	fake_broker_wait_ms(&broker, 1100);
	client_expect(a, "n:25000|");
	broker_member(IPC_joined, "c", "ben", 25001);
	fake_broker_wait_ms(&broker, 2100);
	client_expect_nothing(a);
	fake_broker_wait_ms(&broker, 1100);
	client_expect(a, "n:25001|");
	broker_member(IPC_left, "c", "ben", 9999);
	fake_broker_wait_ms(&broker, 1100);
	client_expect(a, "n:9999|");
	hub_fixture_close();
}
END_TEST

/* Many messages in one turn, and large ones: the same bytes in the same order. */
START_TEST(parcels_keep_order_and_bytes) {
	static char large[200000], text[4000];
	struct test_client *a, *b;
	struct buf expected, bare;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	b = client_open(FORM_BARE);
	join_live(a, "c", 0);
	subscribe(b, "c", 0);
	client_expect(b, "snap:e:0|");
	buf_init(&expected, 8 << 20);
	buf_init(&bare, 8 << 20);
	for (unsigned i = 1; i <= 150; i++) {
		char *data = i % 40 == 0 ? large : text;
		size_t size = i % 40 == 0 ? sizeof(large) : sizeof(text);

		memset(data, 'a' + (int)(i % 26), size - 1);
		data[size - 1 - (i % 2 == 0 ? i : 0)] = '\0';
		broker_deliver("c", "e", i, data, NULL);
		buf_addf(&expected, "p:%u:", i);
		buf_add_text(&expected, data);
		buf_add_u8(&expected, '|');
		buf_add_text(&bare, data);
		buf_add_u8(&bare, '|');
		memset(data, 'x', size);
	}
	buf_add_u8(&expected, 0);
	buf_add_u8(&bare, 0);
	client_expect(a, (const char *)expected.data);
	client_expect(b, (const char *)bare.data);
	buf_fini(&expected);
	buf_fini(&bare);
	hub_fixture_close();
}
END_TEST

static bool is_gone(void *arg) {
	struct test_client *c = arg;

	return c->conn == NULL;
}

/* The deaf client is closed while parcels are handed out, and leaves its channels in there. */
START_TEST(slow_client_goes_alone) {
	static char large[300000];
	struct test_client *deaf, *b;

	hub_fixture_open();
	deaf = client_open(FORM_BARE);
	b = client_open(FORM_TEST);
	join_live(b, "c", 0);
	subscribe(deaf, "c", 0);
	client_expect(deaf, "snap:e:0|");
	deaf->is_deaf = true;
	memset(large, 'x', sizeof(large) - 1);
	for (unsigned i = 1; i <= 40; i++) {
		broker_deliver("c", "e", i, large, NULL);
		fake_broker_turns(&broker, i % 4 == 0 ? 3 : 0);
		client_receive(b);
	}
	fake_broker_wait(&broker, is_gone, deaf);
	broker_deliver("c", "e", 41, "small", NULL);
	fake_broker_turns(&broker, 10);
	ck_assert_ptr_nonnull(b->conn);
	ck_assert_ptr_null(deaf->hub.hub);
	hub_fixture_close();
}
END_TEST

START_TEST(publishing_is_answered) {
	struct test_client *a, *api;
	const union ipc_any *m;
	struct ipc_published p = { .result = IPC_OK, .epoch = slice_text("e"), .offset = 7 };
	uint64_t sent = count_of(STAT_publications);

	hub_fixture_open();
	a = client_open(FORM_TEST);
	api = client_open_bare();
	publish(a, "c", "hello");
	publish(api, "d", "there");
	ck_assert_uint_eq(hub_pending(hub), 2);
	m = fake_broker_take(&broker, IPC_publish);
	ck_assert(slice_eq_text(m->publish.channel, "c") && slice_eq_text(m->publish.data, "hello"));
	ck_assert_uint_eq(m->publish.kind, PAYLOAD_TEXT);
	p.request = m->publish.request;
	fake_broker_send(&broker, IPC_published, &p);
	client_expect(a, "ok:e:7|");
	p.request = fake_broker_take(&broker, IPC_publish)->publish.request;
	p.result = IPC_REPEATED;
	fake_broker_send(&broker, IPC_published, &p);
	client_expect(api, "repeated:e:7|");
	ck_assert_uint_eq(hub_pending(hub), 0);
	ck_assert_uint_eq(count_of(STAT_publications) - sent, 2);
	hub_fixture_close();
}
END_TEST

static void members_to_client(struct hub_client *hc, void *cookie UNUSED, const struct hub_members *m) {
	struct test_client *c = container_of(hc, struct test_client, hub);

	buf_addf(&c->text, "members:%s:%u:%d:%zu|", m->result == IPC_OK ? "ok" : "unavailable", m->member_count, m->more,
	    m->members.len);
}

static void channels_to_client(struct hub_client *hc, void *cookie UNUSED, const struct hub_channels *m) {
	struct test_client *c = container_of(hc, struct test_client, hub);

	buf_addf(&c->text, "channels:%s:%d:%zu|", m->result == IPC_OK ? "ok" : "unavailable", m->more, m->channels.len);
}

static const struct hub_cursor from_the_start;

/* Neither on its way to the broker nor on that to the clients, however many. */
START_TEST(large_data_is_not_copied) {
	enum { BYTES = 900000 };
	struct rcbuf *data = rcbuf_try_new(BYTES);
	struct test_client *clients[3];
	size_t in_use;
	char *text;

	memset(data->data, 'x', BYTES);
	data->len = BYTES;
	hub_fixture_open();
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		clients[i] = client_open(FORM_BARE);
	join_live(clients[0], "c", 0);
	for (size_t i = 1; i < ARRAY_LEN(clients); i++) {
		subscribe(clients[i], "c", 0);
		client_expect(clients[i], "snap:e:0|");
		clients[i]->is_deaf = true;
	}
	in_use = mem_in_use();
	hub_publish_from(&clients[0]->hub, slice_text("c"), 0, PAYLOAD_TEXT, rcbuf_slice(data), data, result_to_client, test_cookie());
	ck_assert_uint_eq(data->refs, 2);
	ck_assert_uint_lt(mem_in_use(), in_use + 10000);
	ck_assert(slice_eq(fake_broker_take(&broker, IPC_publish)->publish.data, rcbuf_slice(data)));
	ck_assert_uint_eq(data->refs, 1);
	text = mem_zalloc(BYTES + 1);
	memset(text, 'y', BYTES);
	broker_deliver("c", "e", 1, "small", NULL);
	broker_deliver("c", "e", 2, text, NULL);
	broker_deliver("c", "e", 3, "last", NULL);
	in_use = mem_in_use();
	fake_broker_turns(&broker, 50);
	/* What the fake broker had queued is one for both who have not taken it, who hold what their sockets have not. */
	ck_assert_uint_ge(stat_get(stats_own, STAT_client_queue_bytes), BYTES);
	ck_assert_uint_lt(mem_in_use(), in_use + BYTES / 2);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
		struct buf expected;

		buf_init(&expected, BYTES + 100);
		buf_addf(&expected, "small|%s|last|", text);
		buf_add_u8(&expected, 0);
		clients[i]->is_deaf = false;
		client_expect(clients[i], (const char *)expected.data);
		buf_fini(&expected);
	}
	mem_free(text);
	rcbuf_unref(&data);
	hub_fixture_close();
}
END_TEST

START_TEST(lists_are_answered_or_unavailable) {
	const struct hub_cursor bob = { 7, slice_text("bob") };
	struct test_client *api;
	struct hub_position since = { "e", 2 };
	struct ipc_member_list members = { .member_count = 5, .more = 1, .members = slice_text("12345") };
	struct ipc_channel_list channels = { .channels = slice_text("123") };
	const union ipc_any *m;

	hub_fixture_open();
	api = client_open_bare();
	hub_history(&api->hub, slice_text("c"), IPC_SINCE, &since, 10, snapshot_to_client, test_cookie());
	hub_member_list(&api->hub, slice_text("c"), &bob, 10, members_to_client, NULL);
	hub_channel_list(&api->hub, slice_text("room:"), SLICE_EMPTY, 10, channels_to_client, test_cookie());
	m = fake_broker_take(&broker, IPC_history);
	ck_assert(slice_eq_text(m->history.epoch, "e") && m->history.offset == 2 && m->history.limit == 10);
	broker_snapshot(m, IPC_SNAPSHOT_RECOVERED, "e", 4, "3=three 4=four");
	m = fake_broker_take(&broker, IPC_members);
	ck_assert(slice_eq_text(m->members.after, "bob") && m->members.after_number == 7);
	members.request = m->members.request;
	fake_broker_send(&broker, IPC_member_list, &members);
	m = fake_broker_take(&broker, IPC_channels);
	ck_assert(slice_eq_text(m->channels.prefix, "room:"));
	channels.request = m->channels.request;
	fake_broker_send(&broker, IPC_channel_list, &channels);
	client_expect(api, "snap:e:4:yes 3=three 4=four|members:ok:5:1:5|channels:ok:0:3|");
	hub_history(&api->hub, slice_text("c"), 0, NULL, 10, snapshot_to_client, test_cookie());
	hub_member_list(&api->hub, slice_text("c"), &from_the_start, 10, members_to_client, NULL);
	hub_channel_list(&api->hub, SLICE_EMPTY, SLICE_EMPTY, 10, channels_to_client, NULL);
	client_expect(api, "snap:unavailable|members:unavailable:0:0:0|channels:unavailable:0:0|");
	hub_fixture_close();
}
END_TEST

START_TEST(finished_clients_are_not_called) {
	struct test_client *a, *api;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	api = client_open_bare();
	join_live(a, "live", 0);
	publish(api, "c", "x");
	hub_history(&api->hub, slice_text("c"), 0, NULL, 10, snapshot_to_client, test_cookie());
	identify(api, "anna");
	subscribe(api, "c", 0);
	subscribe(api, "live", 0);
	fake_broker_take(&broker, IPC_publish);
	broker_snapshot(fake_broker_take(&broker, IPC_history), 0, "e", 0, NULL);
	fake_broker_take(&broker, IPC_member_add);
	broker_take_subscribe("c", NULL, 0);
	hub_client_fini(&api->hub, 0);
	ck_assert_uint_eq(hub_pending(hub), 0);
	fake_broker_wait_ms(&broker, TEST_TIMEOUT_MS + 50);
	ck_assert_uint_le(api->answers, 1);	/* "live" may have been answered before */
	ck_assert(slice_eq_text(fake_broker_take(&broker, IPC_unsubscribe)->unsubscribe.channel, "c"));
	hub_client_fini(&api->hub, 0);
	publish(api, "c", "x");
	subscribe(api, "c", 0);
	identify(api, "anna");
	hub_history(&api->hub, slice_text("c"), 0, NULL, 10, snapshot_to_client, test_cookie());
	hub_member_list(&api->hub, slice_text("c"), &from_the_start, 10, members_to_client, test_cookie());
	hub_channel_list(&api->hub, SLICE_EMPTY, SLICE_EMPTY, 10, channels_to_client, test_cookie());
	ck_assert(!hub_is_subscribed(&api->hub, slice_text("c")));
	ck_assert(!hub_unsubscribe(&api->hub, slice_text("c")));
	fake_broker_expect_silence(&broker);
	hub_fixture_close();
}
END_TEST

/* A delivery that is left out would be a gap that nobody is told of. */
START_TEST(without_memory_for_a_delivery_the_process_ends) {
	struct test_client *a;

	hub_fixture_open();
	a = client_open(FORM_TEST);
	join_live(a, "c", 4);
	hub->delivery.scratch.max = 0;
	broker_deliver("c", "e", 5, "five", NULL);
	fake_broker_turns(&broker, 4);
	hub_fixture_close();
}
END_TEST

Suite *suite_hub(void);

Suite *suite_hub(void) {
	Suite *s = suite_create("hub");
	TCase *t = tcase_create("channels");

	tcase_set_timeout(t, 20);
	tcase_add_test(t, one_subscription_for_all_of_a_channel);
	tcase_add_test(t, old_and_unknown_deliveries_are_dropped);
	tcase_add_test(t, unsubscribed_after_a_while);
	tcase_add_test(t, joining_in_the_middle_of_a_turn);
	tcase_add_test(t, leaving_in_the_middle_of_a_turn);
	tcase_add_test(t, what_was_just_published_is_handed_out_with_what_came);
	tcase_add_test(t, it_is_not_waited_for_long);
	tcase_add_test(t, recovery_is_counted);
	tcase_add_test(t, gap_is_filled_before_the_next);
	tcase_add_test(t, gap_beyond_history_is_told);
	tcase_add_test(t, snapshot_that_does_not_fit_is_a_gap);
	tcase_add_test(t, unavailable_snapshot_leaves_no_interest);
	tcase_add_test(t, unsubscribing_while_waiting);
	tcase_add_test(t, members_come_and_go);
	tcase_add_test(t, large_rooms_get_a_count_once_a_second);
	tcase_add_test(t, very_large_rooms_get_a_count_less_often);
	tcase_add_test(t, parcels_keep_order_and_bytes);
	tcase_add_test(t, slow_client_goes_alone);
	tcase_add_test(t, publishing_is_answered);
	tcase_add_test(t, large_data_is_not_copied);
	tcase_add_test(t, lists_are_answered_or_unavailable);
	tcase_add_test(t, finished_clients_are_not_called);
	tcase_add_test_raise_signal(t, without_memory_for_a_delivery_the_process_ends, SIGABRT);
	suite_add_tcase(s, t);
	return s;
}
