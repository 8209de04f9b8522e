/* test_hub_inspect - what the admin process asks about connections and rooms, and its answers */
#include <check.h>

#include "common/svc/stats.h"
#include "tests/unit/hub_fixture.h"

static void channels_to_client(struct hub_client *hc, void *cookie UNUSED, const struct hub_channels *m) {
	struct test_client *c = container_of(hc, struct test_client, hub);

	buf_addf(&c->text, "channels:%s:%d:%zu|", m->result == IPC_OK ? "ok" : "unavailable", m->more, m->channels.len);
}

static void inspection_to_client(struct hub_client *hc, void *cookie UNUSED, const struct hub_inspection *i) {
	struct test_client *c = container_of(hc, struct test_client, hub);

	buf_addf(&c->text, "inspection:r%d:%u/%u:m%u:d%u:%zu|", i->result, i->answered, i->asked, i->matched, i->done, i->connections.len);
}

/* As the admin process asks, and the largest rooms. */
START_TEST(inspections_are_answered_or_unavailable) {
	const struct ipc_inspect question = { .match = IPC_MATCH_USER, .subject = slice_text("anna"), .limit = 5000 };
	struct ipc_inspection answer = { .asked = 3, .answered = 2, .matched = 9, .done = 4, .connections = slice_text("12345") };
	struct ipc_channel_list channels = { .channels = slice_text("123") };
	struct test_client *api;
	const union ipc_any *m;

	hub_fixture_open();
	api = client_open_bare();
	hub_inspect(&api->hub, &question, inspection_to_client, test_cookie());
	m = fake_broker_take(&broker, IPC_inspect);
	ck_assert(slice_eq_text(m->inspect.subject, "anna") && m->inspect.limit == HUB_INSPECT_MAX);
	answer.request = m->inspect.request;
	fake_broker_send(&broker, IPC_inspection, &answer);
	client_expect(api, "inspection:r0:2/3:m9:d4:5|");
	hub_inspect(&api->hub, &question, inspection_to_client, test_cookie());
	answer = (struct ipc_inspection){ .request = fake_broker_take(&broker, IPC_inspect)->inspect.request, .result = IPC_UNAVAILABLE, .done = 7 };
	fake_broker_send(&broker, IPC_inspection, &answer);
	client_expect(api, "inspection:r3:0/0:m0:d0:0|");
	hub_top_rooms(&api->hub, slice_text("room:"), 1000, channels_to_client, test_cookie());
	m = fake_broker_take(&broker, IPC_top_rooms);
	ck_assert(slice_eq_text(m->top_rooms.prefix, "room:") && m->top_rooms.limit == HUB_TOP_ROOMS_MAX);
	channels.request = m->top_rooms.request;
	fake_broker_send(&broker, IPC_channel_list, &channels);
	client_expect(api, "channels:ok:0:3|");
	/* Asked and not answered: perhaps done; never asked: surely not. */
	hub_inspect(&api->hub, &question, inspection_to_client, test_cookie());
	fake_broker_take(&broker, IPC_inspect);
	client_expect(api, "inspection:r4:0/0:m0:d0:0|");
	fake_broker_stop_listening(&broker);
	fake_broker_cut(&broker);
	while (hub_is_linked(hub))
		fake_broker_turns(&broker, 1);
	ck_assert_uint_eq(hub_link(hub), 0);
	hub_inspect(&api->hub, &question, inspection_to_client, test_cookie());
	client_expect(api, "inspection:r3:0/0:m0:d0:0|");
	hub_client_fini(&api->hub, 0);
	hub_inspect(&api->hub, &question, inspection_to_client, test_cookie());
	hub_top_rooms(&api->hub, SLICE_EMPTY, 1, channels_to_client, test_cookie());
	hub_fixture_close();
}
END_TEST

/* Who answers no questions about connections is asked none. */
START_TEST(a_question_for_workers_cuts_the_link) {
	uint64_t bad = stat_get(stats_own, STAT_link_bad_messages);

	hub_fixture_open();
	fake_broker_send(&broker, IPC_inspect, &(struct ipc_inspect){ .request = 1 });
	while (hub_is_linked(hub))
		fake_broker_turns(&broker, 1);
	ck_assert_uint_eq(stat_get(stats_own, STAT_link_bad_messages), bad + 1);
	hub_fixture_close();
}
END_TEST

Suite *suite_hub_inspect(void);

Suite *suite_hub_inspect(void) {
	Suite *s = suite_create("hub_inspect");
	TCase *t = tcase_create("questions");

	tcase_add_test(t, inspections_are_answered_or_unavailable);
	tcase_add_test(t, a_question_for_workers_cuts_the_link);
	suite_add_tcase(s, t);
	return s;
}
