/* test_broker - a whole broker and its workers in one process: who gets what, in which order, and who is cut off */
#include "broker/broker.h"

#include <check.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/outq.h"
#include "common/ipc/ipc_peer.h"
#include "common/svc/log.h"
#include "common/svc/stats.h"

enum { WORKERS = 3, MESSAGE_MAX = 4 << 20, QUEUE_MAX = 1 << 20, PATIENCE_MS = 10000 };

struct worker {
	struct ipc_peer *peer;
	struct buf seen;	/* what came, as text */
	size_t count;		/* messages, and bytes of data in them */
	size_t data_bytes;
	bool is_lost;
};

static struct evloop *loop;
static struct broker *broker;
static struct worker worker[WORKERS];
static struct sockaddr_un address;
static socklen_t address_len;
static struct evloop_timer alarm_timer;

/* --- the workers' side --- */

static void note_position(struct worker *w, uint32_t request, uint64_t offset) {
	buf_addf(&w->seen, "%u@%llu ", request, (unsigned long long)offset);
}

static void note_connections(struct worker *w, struct slice connections) {
	struct ipc_connection c;

	while (ipc_next_connection(&connections, &c))
		buf_addf(&w->seen, "%.*s ", SLICE_ARGS(c.id));
}

static void note_channels(struct worker *w, struct slice channels) {
	struct ipc_channel c;

	while (ipc_next_channel(&channels, &c))
		buf_addf(&w->seen, "%.*s=%u ", SLICE_ARGS(c.channel), c.member_count);
}

static void on_message(struct ipc_peer *p UNUSED, enum ipc_type type, const union ipc_any *m, void *arg) {
	struct worker *w = arg;

	w->count++;
	if (type == IPC_hello)
		return;
	buf_addf(&w->seen, "%s ", ipc_type_name(type));
	switch (type) {
	case IPC_deliver:
		note_position(w, 0, m->deliver.offset);
		w->data_bytes += m->deliver.data.len;
		break;
	case IPC_published:
		buf_addf(&w->seen, "r%u ", m->published.result);
		note_position(w, m->published.request, m->published.offset);
		break;
	case IPC_snapshot:
		note_position(w, m->snapshot.request, m->snapshot.offset);
		break;
	case IPC_joined:
		buf_addf(&w->seen, "%.*s %u ", SLICE_ARGS(m->joined.member), m->joined.member_count);
		break;
	case IPC_left:
		buf_addf(&w->seen, "%.*s %u ", SLICE_ARGS(m->left.member), m->left.member_count);
		break;
	case IPC_member_result:
		buf_addf(&w->seen, "r%u new%u %u ", m->member_result.result, m->member_result.is_new, m->member_result.member_count);
		break;
	case IPC_inspect:
		buf_addf(&w->seen, "%u m%u a%u %.*s ", m->inspect.request, m->inspect.match, m->inspect.act, SLICE_ARGS(m->inspect.subject));
		break;
	case IPC_inspection:
		buf_addf(&w->seen, "%u r%u %u/%u m%u d%u ", m->inspection.request, m->inspection.result, m->inspection.answered,
		    m->inspection.asked, m->inspection.matched, m->inspection.done);
		note_connections(w, m->inspection.connections);
		break;
	case IPC_channel_list:
		buf_addf(&w->seen, "%u r%u ", m->channel_list.request, m->channel_list.result);
		note_channels(w, m->channel_list.channels);
		break;
	default:
		break;
	}
}

static void on_lost(struct ipc_peer *p UNUSED, const char *why UNUSED, void *arg) {
	((struct worker *)arg)->is_lost = true;
}

static const struct ipc_peer_ops ops = { on_message, on_lost };

static void connect_worker(struct worker *w) {
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*w = (struct worker){ 0 };
	buf_init(&w->seen, 1 << 24);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, address_len), 0);
	w->peer = ipc_peer_new(loop, fd, MESSAGE_MAX, (size_t)1 << 30, &ops, w);
}

static void disconnect_worker(struct worker *w) {
	ipc_peer_free(&w->peer);
	buf_fini(&w->seen);
}

static void send_message(struct worker *w, enum ipc_type type, const void *message) {
	ck_assert(ipc_peer_send(w->peer, type, message));
}

static void say_hello_as(struct worker *w, enum process_kind kind) {
	send_message(w, IPC_hello, &(struct ipc_hello){ IPC_VERSION, (uint8_t)kind, 0, 1 });
}

static void say_hello(struct worker *w) {
	say_hello_as(w, PROCESS_WORKER);
}

static void say_synced(struct worker *w) {
	send_message(w, IPC_synced, &(struct ipc_synced){ 0 });
}

static void subscribe(struct worker *w, uint32_t request, const char *channel) {
	send_message(w, IPC_subscribe, &(struct ipc_subscribe){ .request = request, .channel = slice_text(channel), .flags = IPC_WANT_DELIVER });
}

static void publish(struct worker *w, uint32_t request, const char *channel, size_t bytes, uint8_t key) {
	struct ipc_publish p = { .request = request, .channel = slice_text(channel), .key = { key } };
	uint8_t *data = mem_zalloc(bytes);

	p.data = slice_of(data, bytes);
	send_message(w, IPC_publish, &p);
	mem_free(data);
}

static void member_add(struct worker *w, uint32_t request, const char *member, uint8_t flags) {
	send_message(w, IPC_member_add, &(struct ipc_member_add){ .request = request, .channel = slice_text("room"), .flags = flags,
	    .member = slice_text(member) });
}

/* --- the loop --- */

static void turn_end(void *arg UNUSED) {
	for (int i = 0; i < WORKERS; i++) {
		if (worker[i].peer != NULL)
			ipc_peer_flush(worker[i].peer);
	}
	if (broker != NULL)
		broker_turn_end(broker);
	evloop_stop(loop);
}

static void on_alarm(void *arg UNUSED) {
	ck_abort_msg("waited for too long: \"%.*s\" \"%.*s\" \"%.*s\"", SLICE_ARGS(buf_slice(&worker[0].seen)),
	    SLICE_ARGS(buf_slice(&worker[1].seen)), SLICE_ARGS(buf_slice(&worker[2].seen)));
}

static void turn(void) {
	for (int i = 0; i < WORKERS; i++) {
		if (worker[i].peer != NULL)
			ipc_peer_flush(worker[i].peer);
	}
	evloop_run(loop);
}

static void until_seen(struct worker *w, const char *text) {
	char *seen;

	for (;;) {
		bool is_there;

		seen = slice_dup_text(buf_slice(&w->seen));
		is_there = strcmp(seen, text) == 0;
		mem_free(seen);
		if (is_there)
			break;
		turn();
	}
	buf_reset(&w->seen);
}

static void until_lost(struct worker *w) {
	while (!w->is_lost)
		turn();
}

static void open_broker(size_t history_bytes, unsigned expected_links) {
	struct broker_settings settings = { .engine = &engine_memory,
		.limits = { 100, history_bytes, 1 << 30, 1 << 20, 60000, 60000, MESSAGE_MAX - 65536 },
		.message_max_bytes = MESSAGE_MAX,
		.queue_max_bytes = QUEUE_MAX,
		.crash_grace_ms = 300,
		.expected_links = expected_links };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	log_set_level(LOG_ERROR);
	address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "herold-test-broker-%d", (int)getpid());
	address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, address_len), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	loop = evloop_new();
	broker = broker_new(loop, fd, &settings);
	evloop_on_turn_end(loop, turn_end, NULL);
	evloop_timer_init(loop, &alarm_timer, on_alarm, NULL);
	evloop_timer_start(&alarm_timer, PATIENCE_MS);
	for (int i = 0; i < WORKERS; i++) {
		connect_worker(&worker[i]);
		say_hello(&worker[i]);
	}
}

static void close_broker(void) {
	for (int i = 0; i < WORKERS; i++)
		disconnect_worker(&worker[i]);
	evloop_timer_stop(&alarm_timer);
	broker_free(&broker);
	evloop_free(&loop);
	outq_free_spare();
}

/* Every turn of the loop waits for the timer of the broker at most. */
static void open_settled(void) {
	open_broker(1 << 20, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		say_synced(&worker[i]);
	for (int i = 0; i < WORKERS; i++) {
		send_message(&worker[i], IPC_history, &(struct ipc_history){ .request = 1, .channel = slice_text("none") });
		until_seen(&worker[i], "snapshot 1@0 ");
	}
}

START_TEST(a_publication_reaches_the_interested_once) {
	open_settled();
	subscribe(&worker[0], 1, "a");
	subscribe(&worker[0], 2, "a");
	subscribe(&worker[1], 3, "a");
	until_seen(&worker[0], "snapshot 1@0 snapshot 2@0 ");
	until_seen(&worker[1], "snapshot 3@0 ");
	publish(&worker[2], 9, "a", 10, 0);
	publish(&worker[2], 0, "a", 10, 0);
	publish(&worker[2], 10, "b", 10, 0);
	until_seen(&worker[0], "deliver 0@1 deliver 0@2 ");
	until_seen(&worker[1], "deliver 0@1 deliver 0@2 ");
	until_seen(&worker[2], "published r0 9@1 published r0 10@1 ");
	send_message(&worker[1], IPC_unsubscribe, &(struct ipc_unsubscribe){ slice_text("a") });
	send_message(&worker[1], IPC_unsubscribe, &(struct ipc_unsubscribe){ slice_text("never") });
	subscribe(&worker[1], 4, "b");
	until_seen(&worker[1], "snapshot 4@1 ");
	publish(&worker[0], 11, "a", 10, 7);
	publish(&worker[0], 12, "a", 10, 7);
	publish(&worker[1], 13, "b", 10, 7);
	until_seen(&worker[0], "deliver 0@3 published r0 11@3 published r1 12@3 ");
	until_seen(&worker[1], "deliver 0@2 published r0 13@2 ");
	close_broker();
}
END_TEST

/* What the broker has handed to the kernel for everybody when an acknowledgement is there. */
START_TEST(acknowledged_means_in_all_sockets) {
	open_settled();
	subscribe(&worker[1], 1, "a");
	until_seen(&worker[1], "snapshot 1@0 ");
	worker[1].count = 0;
	ipc_peer_pause(worker[1].peer, true);
	publish(&worker[0], 5, "a", 100, 0);
	until_seen(&worker[0], "published r0 5@1 ");
	broker_free(&broker);
	ck_assert_uint_eq(worker[1].count, 0);
	ipc_peer_pause(worker[1].peer, false);
	until_seen(&worker[1], "deliver 0@1 ");
	close_broker();
}
END_TEST

/* The socket of worker 1 takes only a part: the acknowledgement waits for the rest, but not for ever. */
START_TEST(a_full_socket_holds_acknowledgements_for_a_while) {
	uint64_t start;

	open_settled();
	subscribe(&worker[1], 1, "a");
	until_seen(&worker[1], "snapshot 1@0 ");
	ipc_peer_pause(worker[1].peer, true);
	start = evloop_now_ms(loop);
	publish(&worker[0], 5, "a", 900000, 0);
	until_seen(&worker[0], "published r0 5@1 ");
	ck_assert_uint_ge(evloop_now_ms(loop), start + 90);
	ck_assert_uint_lt(evloop_now_ms(loop), start + 3000);
	/* From then on nobody waits for it. */
	start = evloop_now_ms(loop);
	for (uint32_t i = 0; i < 10; i++) {
		char wanted[64];

		publish(&worker[0], 10 + i, "a", 10, 0);
		snprintf(wanted, sizeof(wanted), "published r0 %u@%u ", 10 + i, 2 + i);
		until_seen(&worker[0], wanted);
	}
	ck_assert_uint_lt(evloop_now_ms(loop), start + 500);
	ipc_peer_pause(worker[1].peer, false);
	while (worker[1].data_bytes < 900100)
		turn();
	close_broker();
}
END_TEST

START_TEST(a_worker_too_far_behind_is_cut_off_alone) {
	uint64_t resets = stat_get(stats_own, STAT_link_resets);

	open_settled();
	for (int i = 0; i < 2; i++)
		subscribe(&worker[i], 1, "a");
	until_seen(&worker[0], "snapshot 1@0 ");
	until_seen(&worker[1], "snapshot 1@0 ");
	ipc_peer_pause(worker[1].peer, true);
	for (int i = 0; stat_get(stats_own, STAT_link_resets) == resets; i++) {
		publish(&worker[2], 0, "a", 50000, 0);
		turn();
		ck_assert_int_lt(i, 1000);
	}
	ck_assert_uint_eq(stat_get(stats_own, STAT_link_resets), resets + 1);
	ipc_peer_pause(worker[1].peer, false);
	until_lost(&worker[1]);
	ck_assert(!worker[0].is_lost && !worker[2].is_lost);
	disconnect_worker(&worker[1]);
	connect_worker(&worker[1]);
	say_hello(&worker[1]);
	subscribe(&worker[1], 2, "b");
	until_seen(&worker[1], "snapshot 2@0 ");
	close_broker();
}
END_TEST

START_TEST(members_of_a_lost_link) {
	open_settled();
	subscribe(&worker[0], 1, "room");
	until_seen(&worker[0], "snapshot 1@0 ");
	member_add(&worker[0], 2, "anna", 0);
	until_seen(&worker[0], "joined anna 1 member_result r0 new1 1 ");
	member_add(&worker[1], 3, "bert", 0);
	member_add(&worker[1], 4, "carl", 0);
	until_seen(&worker[1], "member_result r0 new1 2 member_result r0 new1 3 ");
	until_seen(&worker[0], "joined bert 2 joined carl 3 ");
	disconnect_worker(&worker[1]);
	connect_worker(&worker[1]);
	say_hello(&worker[1]);
	member_add(&worker[1], 5, "bert", IPC_RESYNC);
	until_seen(&worker[1], "member_result r0 new0 3 ");
	until_seen(&worker[0], "left carl 2 ");
	send_message(&worker[1], IPC_member_remove, &(struct ipc_member_remove){ slice_text("room"), slice_text("bert"), 0 });
	until_seen(&worker[0], "left bert 1 ");
	close_broker();
}
END_TEST

START_TEST(nobody_is_served_before_all_have_spoken) {
	open_broker(1 << 20, WORKERS);
	say_synced(&worker[0]);
	subscribe(&worker[0], 1, "room");
	say_synced(&worker[1]);
	subscribe(&worker[1], 1, "room");
	for (int i = 0; i < 3; i++)
		turn();
	ck_assert(worker[0].seen.len == 0 && worker[1].seen.len == 0);
	member_add(&worker[2], 2, "anna", IPC_RESYNC);
	until_seen(&worker[2], "member_result r0 new1 1 ");
	ck_assert(worker[0].seen.len == 0);
	say_synced(&worker[2]);
	until_seen(&worker[0], "snapshot 1@0 ");
	until_seen(&worker[1], "snapshot 1@0 ");
	close_broker();
}
END_TEST

START_TEST(settling_ends_without_the_dead) {
	open_broker(1 << 20, WORKERS + 1);
	for (int i = 0; i < WORKERS; i++)
		say_synced(&worker[i]);
	subscribe(&worker[0], 1, "room");
	until_seen(&worker[0], "snapshot 1@0 ");
	close_broker();
}
END_TEST

/* --- what the admin process asks --- */

static void inspect(struct worker *w, uint32_t request, const char *user) {
	send_message(w, IPC_inspect, &(struct ipc_inspect){ .request = request, .match = IPC_MATCH_USER, .subject = slice_text(user), .limit = 10 });
}

/* ids: of the connections, each a record. */
static void answer_inspect(struct worker *w, uint32_t number, uint32_t matched, uint32_t done, const char *id) {
	struct ipc_inspected m = { .request = number, .matched = matched, .done = done };
	struct ipc_connection c = { .id = slice_text(id) };
	struct buf b;

	buf_init(&b, 1000);
	if (id[0] != '\0')
		ipc_put_connection(&b, &c);
	m.connections = buf_slice(&b);
	send_message(w, IPC_inspected, &m);
	buf_fini(&b);
}

/* The third one is no worker: it asks. */
static struct worker *open_with_admin(void) {
	open_settled();
	disconnect_worker(&worker[2]);
	connect_worker(&worker[2]);
	say_hello_as(&worker[2], PROCESS_ADMIN);
	/* A first engine_state. */
	until_seen(&worker[2], "engine_state ");
	return &worker[2];
}

START_TEST(workers_answers_are_put_together) {
	struct worker *admin = open_with_admin();

	inspect(admin, 70, "anna");
	inspect(admin, 71, "bert");
	for (int i = 0; i < 2; i++)
		until_seen(&worker[i], "inspect 1 m1 a0 anna inspect 2 m1 a0 bert ");
	answer_inspect(&worker[1], 1, 2, 1, "c1");
	answer_inspect(&worker[1], 2, 0, 0, "");
	/* Not asked under that number, asked but answered, and no number at all. */
	answer_inspect(&worker[1], 1, 100, 100, "lie");
	answer_inspect(&worker[1], 3, 100, 100, "lie");
	answer_inspect(&worker[1], 0, 100, 100, "lie");
	/* It has been heard when that is answered. */
	subscribe(&worker[1], 9, "a");
	until_seen(&worker[1], "snapshot 9@0 ");
	answer_inspect(&worker[0], 1, 1, 1, "c0");
	until_seen(admin, "inspection 70 r0 2/2 m3 d2 c1 c0 ");
	/* A worker that is lost is not waited for. */
	disconnect_worker(&worker[0]);
	until_seen(admin, "inspection 71 r0 1/2 m0 d0 ");
	connect_worker(&worker[0]);
	close_broker();
}
END_TEST

START_TEST(a_silent_worker_is_waited_for_one_second) {
	struct worker *admin = open_with_admin();
	uint64_t start = evloop_now_ms(loop);

	inspect(admin, 70, "anna");
	until_seen(&worker[0], "inspect 1 m1 a0 anna ");
	answer_inspect(&worker[0], 1, 1, 0, "c0");
	until_seen(admin, "inspection 70 r0 1/2 m1 d0 c0 ");
	ck_assert_uint_ge(evloop_now_ms(loop), start + 1000);
	answer_inspect(&worker[1], 1, 1, 0, "late");
	inspect(admin, 71, "anna");
	until_seen(&worker[1], "inspect 1 m1 a0 anna inspect 2 m1 a0 anna ");
	answer_inspect(&worker[1], 2, 0, 0, "");
	answer_inspect(&worker[0], 2, 0, 0, "");
	until_seen(admin, "inspection 71 r0 2/2 m0 d0 ");
	close_broker();
}
END_TEST

START_TEST(nobody_to_ask_and_too_many_questions) {
	struct worker *admin = open_with_admin();

	for (uint32_t i = 1; i <= 17; i++)
		inspect(admin, i, "anna");
	until_seen(admin, "inspection 17 r3 0/0 m0 d0 ");
	disconnect_worker(&worker[0]);
	disconnect_worker(&worker[1]);
	until_seen(admin, "inspection 1 r0 0/2 m0 d0 inspection 2 r0 0/2 m0 d0 inspection 3 r0 0/2 m0 d0 inspection 4 r0 0/2 m0 d0 "
			  "inspection 5 r0 0/2 m0 d0 inspection 6 r0 0/2 m0 d0 inspection 7 r0 0/2 m0 d0 inspection 8 r0 0/2 m0 d0 "
			  "inspection 9 r0 0/2 m0 d0 inspection 10 r0 0/2 m0 d0 inspection 11 r0 0/2 m0 d0 inspection 12 r0 0/2 m0 d0 "
			  "inspection 13 r0 0/2 m0 d0 inspection 14 r0 0/2 m0 d0 inspection 15 r0 0/2 m0 d0 inspection 16 r0 0/2 m0 d0 ");
	inspect(admin, 99, "anna");
	until_seen(admin, "inspection 99 r0 0/0 m0 d0 ");
	connect_worker(&worker[0]);
	connect_worker(&worker[1]);
	close_broker();
}
END_TEST

START_TEST(what_is_under_way_ends_with_the_broker) {
	struct worker *admin = open_with_admin();

	inspect(admin, 1, "anna");
	send_message(admin, IPC_top_rooms, &(struct ipc_top_rooms){ .request = 2, .limit = 10 });
	until_seen(&worker[0], "inspect 1 m1 a0 anna ");
	close_broker();
}
END_TEST

START_TEST(the_largest_rooms) {
	struct worker *admin = open_with_admin();

	member_add(&worker[0], 1, "anna", 0);
	member_add(&worker[0], 2, "bert", 0);
	until_seen(&worker[0], "member_result r0 new1 1 member_result r0 new1 2 ");
	send_message(admin, IPC_top_rooms, &(struct ipc_top_rooms){ .request = 5, .prefix = slice_text("ro"), .limit = 10 });
	until_seen(admin, "channel_list 5 r0 room=2 ");
	for (uint32_t i = 1; i <= 17; i++)
		send_message(admin, IPC_top_rooms, &(struct ipc_top_rooms){ .request = i, .prefix = slice_text("x"), .limit = 10 });
	until_seen(admin, "channel_list 17 r3 channel_list 1 r0 channel_list 2 r0 channel_list 3 r0 channel_list 4 r0 channel_list 5 r0 "
			  "channel_list 6 r0 channel_list 7 r0 channel_list 8 r0 channel_list 9 r0 channel_list 10 r0 channel_list 11 r0 "
			  "channel_list 12 r0 channel_list 13 r0 channel_list 14 r0 channel_list 15 r0 channel_list 16 r0 ");
	close_broker();
}
END_TEST

/* A round takes several turns, in which channels come and the sweep goes on. */
START_TEST(the_largest_of_many_rooms) {
	struct worker *admin = open_with_admin();
	char channel[24];

	for (uint32_t i = 0; i < 5000; i++) {
		snprintf(channel, sizeof(channel), "many:%u", i);
		send_message(&worker[0], IPC_member_add, &(struct ipc_member_add){ .channel = slice_text(channel), .member = slice_text("anna") });
		if (i % 1000 == 7)
			send_message(&worker[1], IPC_member_add, &(struct ipc_member_add){ .channel = slice_text(channel), .member = slice_text("bert") });
		if (i % 500 == 0)
			turn();
	}
	subscribe(&worker[0], 9, "many:0");
	until_seen(&worker[0], "snapshot 9@0 ");
	subscribe(&worker[1], 9, "many:0");
	until_seen(&worker[1], "snapshot 9@0 ");
	send_message(admin, IPC_top_rooms, &(struct ipc_top_rooms){ .request = 5, .prefix = slice_text("many:"), .limit = 6 });
	for (uint32_t i = 0; admin->seen.len == 0; i++) {
		snprintf(channel, sizeof(channel), "new:%u", i);
		subscribe(&worker[0], 0, channel);
		turn();
	}
	until_seen(admin, "channel_list 5 r0 many:1007=2 many:2007=2 many:3007=2 many:4007=2 many:7=2 many:0=1 ");
	close_broker();
}
END_TEST

/* No admin process sends it, or it is none that sends it. */
START_TEST(a_question_that_nobody_may_ask_cuts_the_link) {
	static const struct ipc_inspect bad[] = { { .match = IPC_MATCHES }, { .act = IPC_ACTS }, { .match = IPC_MATCH_USER } };
	struct worker *w = _i < 2 ? open_with_admin() : NULL;
	uint64_t refused = stat_get(stats_own, STAT_link_bad_messages);

	if (w == NULL) {
		open_settled();
		w = &worker[2];
	}
	send_message(w, IPC_inspect, &bad[_i]);
	until_lost(w);
	ck_assert_uint_eq(stat_get(stats_own, STAT_link_bad_messages), refused + 1);
	close_broker();
}
END_TEST

static const struct {
	const char *name;
	enum ipc_type type;
	union ipc_any message;
} bad_rows[] = {
	{ "hello twice", IPC_hello, { .hello = { IPC_VERSION, PROCESS_WORKER, 0, 0 } } },
	{ "only a broker says that", IPC_deliver, { .deliver = { .channel = { (const uint8_t *)"a", 1 } } } },
	{ "no channel", IPC_publish, { .publish = { .request = 1 } } },
	{ "no channel, first field", IPC_unsubscribe, { .unsubscribe = { { NULL, 0 } } } },
};

START_TEST(what_no_worker_says_cuts_the_link) {
	uint64_t bad = stat_get(stats_own, STAT_link_bad_messages);

	open_settled();
	send_message(&worker[1], bad_rows[_i].type, &bad_rows[_i].message);
	until_lost(&worker[1]);
	ck_assert_uint_eq(stat_get(stats_own, STAT_link_bad_messages), bad + 1);
	publish(&worker[0], 1, "a", 1, 0);
	until_seen(&worker[0], "published r0 1@1 ");
	close_broker();
}
END_TEST

static const struct ipc_hello bad_hellos[] = {
	{ IPC_VERSION + 1, PROCESS_WORKER, 0, 0 },
	{ IPC_VERSION, PROCESS_BROKER, 0, 0 },
	{ IPC_VERSION, 200, 0, 0 },
};

START_TEST(a_bad_hello_cuts_the_link) {
	open_settled();
	disconnect_worker(&worker[1]);
	connect_worker(&worker[1]);
	if (_i < (int)ARRAY_LEN(bad_hellos))
		send_message(&worker[1], IPC_hello, &bad_hellos[_i]);
	else
		publish(&worker[1], 1, "a", 1, 0);
	until_lost(&worker[1]);
	close_broker();
}
END_TEST

START_TEST(a_publication_too_large_for_an_answer_is_refused) {
	open_settled();
	subscribe(&worker[1], 1, "a");
	until_seen(&worker[1], "snapshot 1@0 ");
	publish(&worker[0], 1, "a", MESSAGE_MAX - 65535, 0);
	publish(&worker[0], 2, "a", 3 << 20, 0);
	until_seen(&worker[1], "deliver 0@1 ");
	until_seen(&worker[0], "published r3 1@0 published r0 2@1 ");
	close_broker();
}
END_TEST

Suite *suite_broker(void);

Suite *suite_broker(void) {
	Suite *s = suite_create("broker");
	TCase *t = tcase_create("links");

	tcase_set_timeout(t, 20);
	tcase_add_test(t, a_publication_reaches_the_interested_once);
	tcase_add_test(t, acknowledged_means_in_all_sockets);
	tcase_add_test(t, a_full_socket_holds_acknowledgements_for_a_while);
	tcase_add_test(t, a_worker_too_far_behind_is_cut_off_alone);
	tcase_add_test(t, members_of_a_lost_link);
	tcase_add_test(t, nobody_is_served_before_all_have_spoken);
	tcase_add_test(t, settling_ends_without_the_dead);
	tcase_add_loop_test(t, what_no_worker_says_cuts_the_link, 0, (int)ARRAY_LEN(bad_rows));
	tcase_add_loop_test(t, a_bad_hello_cuts_the_link, 0, (int)ARRAY_LEN(bad_hellos) + 1);
	tcase_add_test(t, a_publication_too_large_for_an_answer_is_refused);
	tcase_add_test(t, workers_answers_are_put_together);
	tcase_add_test(t, a_silent_worker_is_waited_for_one_second);
	tcase_add_test(t, nobody_to_ask_and_too_many_questions);
	tcase_add_test(t, what_is_under_way_ends_with_the_broker);
	tcase_add_test(t, the_largest_rooms);
	tcase_add_test(t, the_largest_of_many_rooms);
	tcase_add_loop_test(t, a_question_that_nobody_may_ask_cuts_the_link, 0, 3);
	suite_add_tcase(s, t);
	return s;
}
