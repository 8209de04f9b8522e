/* test_bus - the worker's end of the link: every question has exactly one outcome, whatever happens to the link */
#include "server/hub/bus.h"

#include <check.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/outq.h"
#include "tests/unit/fake_broker.h"

enum { TIMEOUT_MS = 150, QUEUE_BYTES = 4 << 20 };

struct question {
	struct bus_request r;
	unsigned outcomes;
	enum bus_outcome last;
	uint64_t offset;
};

static struct evloop *loop;
static struct fake_broker broker;
static struct bus *bus;
static unsigned ups, downs, events;

static void on_up(void *arg UNUSED) {
	ups++;
}
static void on_down(const char *why, void *arg UNUSED) {
	ck_assert(why[0] != '\0');
	downs++;
}
static void on_message(enum ipc_type type UNUSED, const union ipc_any *m UNUSED, void *arg UNUSED) {
	events++;
}
static const struct bus_ops ops = { on_up, on_down, on_message };

static void turn_end(void *arg UNUSED) {
	if (bus == NULL)
		return;
	bus_report(bus);
	bus_flush(bus);
}

static bool is_up(void *arg UNUSED) {
	return bus_link(bus) != 0;
}
static bool is_down(void *arg UNUSED) {
	return bus_link(bus) == 0;
}
static bool is_answered(void *arg) {
	struct question *q = arg;

	return q->outcomes > 0;
}

static void start(bool is_listening) {
	struct bus_settings settings = {
		.role = PROCESS_WORKER,
		.slot = 3,
		.queue_bytes = QUEUE_BYTES,
		.message_bytes = 8 << 20,
		.timeout_ms = TIMEOUT_MS,
	};

	ups = downs = events = 0;
	loop = evloop_new();
	fake_broker_init(&broker, loop, turn_end, NULL);
	if (!is_listening)
		fake_broker_stop_listening(&broker);
	settings.broker = broker.address;
	bus = bus_new(loop, &settings, &ops, NULL);
}

static void start_up(void) {
	const union ipc_any *m;

	start(true);
	fake_broker_wait(&broker, is_up, NULL);
	m = fake_broker_take(&broker, IPC_hello);
	ck_assert_uint_eq(m->hello.version, IPC_VERSION);
	ck_assert_uint_eq(m->hello.role, PROCESS_WORKER);
	ck_assert_uint_eq(m->hello.slot, 3);
}

static void stop(void) {
	bus_free(&bus);
	fake_broker_fini(&broker);
	evloop_free(&loop);
	outq_free_spare();
}

static void on_outcome(struct bus_request *r, enum bus_outcome outcome, const union ipc_any *answer) {
	struct question *q = container_of(r, struct question, r);

	q->outcomes++;
	q->last = outcome;
	ck_assert((answer != NULL) == (outcome == BUS_ANSWERED));
	if (answer != NULL)
		q->offset = answer->published.offset;
}

static void ask(struct question *q, size_t bytes) {
	static uint8_t data[2 << 20];
	struct ipc_publish m = { .channel = slice_text("c"), .data = slice_of(data, bytes) };

	bus_ask(bus, &q->r, IPC_publish, &m, on_outcome);
	ck_assert_uint_eq(q->outcomes, 0);
}

static void answer(const union ipc_any *m, uint64_t offset) {
	struct ipc_published p = { .request = m->publish.request, .result = IPC_OK, .epoch = slice_text("e"), .offset = offset };

	fake_broker_send(&broker, IPC_published, &p);
}

START_TEST(says_hello_and_is_up) {
	start_up();
	ck_assert_uint_eq(bus_link(bus), 1);
	ck_assert_uint_eq(ups, 1);
	stop();
}
END_TEST

START_TEST(keeps_trying_until_somebody_listens) {
	start(false);
	fake_broker_wait_ms(&broker, 60);
	ck_assert_uint_eq(bus_link(bus), 0);
	fake_broker_listen(&broker);
	fake_broker_wait(&broker, is_up, NULL);
	stop();
}
END_TEST

/* Clients may take every descriptor while the broker is away, and yet the link comes back. */
START_TEST(needs_no_free_descriptor_to_come_back) {
	struct rlimit small;
	int taken[64], count = 0;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &small), 0);
	small.rlim_cur = ARRAY_LEN(taken);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &small), 0);
	start_up();
	fake_broker_stop_listening(&broker);
	fake_broker_cut(&broker);
	fake_broker_wait(&broker, is_down, NULL);
	fake_broker_wait_ms(&broker, 60);
	while ((taken[count] = dup(STDERR_FILENO)) >= 0)
		count++;
	/* It fails while nobody listens, and must not lose what it has. */
	fake_broker_wait_ms(&broker, 60);
	ck_assert_int_lt(dup(STDERR_FILENO), 0);
	/* For the other end: to listen, and to accept. */
	close(taken[--count]);
	close(taken[--count]);
	fake_broker_listen(&broker);
	fake_broker_wait(&broker, is_up, NULL);
	while (count > 0)
		close(taken[--count]);
	stop();
}
END_TEST

START_TEST(answers_meet_their_questions) {
	struct question q[200] = { 0 };
	const union ipc_any *m[200];

	start_up();
	for (size_t i = 0; i < 200; i++)
		ask(&q[i], 10);
	for (size_t i = 0; i < 200; i++) {
		m[i] = fake_broker_take(&broker, IPC_publish);
		ck_assert_uint_ne(m[i]->publish.request, 0);
		ck_assert_uint_eq(m[i]->publish.request, q[i].r.id);
	}
	for (size_t i = 200; i-- > 0;)
		answer(m[i], i);
	answer(m[7], 99);	/* a second time: nobody is asked any more */
	fake_broker_wait(&broker, is_answered, &q[0]);
	fake_broker_turns(&broker, 3);
	for (size_t i = 0; i < 200; i++) {
		ck_assert_uint_eq(q[i].outcomes, 1);
		ck_assert_int_eq(q[i].last, BUS_ANSWERED);
		ck_assert_uint_eq(q[i].offset, i);
	}
	stop();
}
END_TEST

START_TEST(nothing_is_sent_while_down) {
	struct question q = { 0 };

	start(false);
	ask(&q, 10);
	ck_assert(!bus_tell(bus, IPC_synced, &(struct ipc_synced){ 0 }));
	fake_broker_turns(&broker, 2);
	ck_assert_uint_eq(q.outcomes, 1);
	ck_assert_int_eq(q.last, BUS_NOT_SENT);
	stop();
}
END_TEST

START_TEST(late_answers_are_given_up) {
	struct question q = { 0 }, next = { 0 };
	const union ipc_any *m;

	start_up();
	ask(&q, 10);
	m = fake_broker_take(&broker, IPC_publish);
	fake_broker_wait(&broker, is_answered, &q);
	ck_assert_int_eq(q.last, BUS_TIMED_OUT);
	ask(&next, 10);
	answer(m, 5);
	answer(fake_broker_take(&broker, IPC_publish), 6);
	fake_broker_wait(&broker, is_answered, &next);
	ck_assert_uint_eq(next.offset, 6);
	ck_assert_uint_eq(q.outcomes, 1);
	ck_assert_uint_eq(bus_link(bus), 1);
	stop();
}
END_TEST

START_TEST(kept_ones_report_their_true_outcome_too) {
	struct question answered = { 0 }, lost = { 0 };
	const union ipc_any *m;

	start_up();
	bus_keep_overdue(&answered.r);
	bus_keep_overdue(&lost.r);
	ask(&answered, 10);
	ask(&lost, 10);
	m = fake_broker_take(&broker, IPC_publish);
	fake_broker_take(&broker, IPC_publish);
	fake_broker_wait(&broker, is_answered, &lost);
	ck_assert_int_eq(answered.last, BUS_TIMED_OUT);
	ck_assert_int_eq(lost.last, BUS_TIMED_OUT);
	answer(m, 5);
	fake_broker_turns(&broker, 3);
	ck_assert_uint_eq(answered.outcomes, 2);
	ck_assert_int_eq(answered.last, BUS_ANSWERED);
	fake_broker_cut(&broker);
	fake_broker_wait(&broker, is_down, NULL);
	fake_broker_turns(&broker, 2);
	ck_assert_uint_eq(lost.outcomes, 2);
	ck_assert_int_eq(lost.last, BUS_LOST);
	ck_assert_uint_eq(answered.outcomes, 2);
	stop();
}
END_TEST

START_TEST(loss_tells_sent_from_unsent) {
	struct question small = { 0 }, large[3] = { { .outcomes = 0 } };

	start_up();
	ipc_peer_pause(broker.peer, true);
	ask(&small, 10);
	for (size_t i = 0; i < 3; i++)
		ask(&large[i], 1 << 20);
	fake_broker_turns(&broker, 2);
	ck_assert_uint_eq(small.outcomes, 0);
	fake_broker_cut(&broker);
	fake_broker_wait(&broker, is_answered, &small);
	ck_assert_int_eq(small.last, BUS_LOST);
	ck_assert_uint_eq(large[2].outcomes, 1);
	ck_assert_int_eq(large[2].last, BUS_NOT_SENT);
	ck_assert_uint_eq(downs, 1);
	fake_broker_wait(&broker, is_up, NULL);
	ck_assert_uint_eq(bus_link(bus), 2);
	stop();
}
END_TEST

START_TEST(full_queue_refuses_questions_and_cuts_for_the_rest) {
	static struct question q[16];
	static uint8_t info[64 << 10];
	struct ipc_member_add m = { .channel = slice_text("c"), .info = slice_of(info, sizeof(info)) };
	size_t sent = 0, told = 0;

	memset(q, 0, sizeof(q));
	start_up();
	ipc_peer_pause(broker.peer, true);
	fake_broker_turns(&broker, 1);
	while (sent < ARRAY_LEN(q)) {
		ask(&q[sent], 1 << 20);
		if (!bus_is_asked(&q[sent++].r))
			break;
	}
	ck_assert_uint_eq(sent, 5);
	ck_assert(bus_is_busy(bus));
	while (told < 100 && bus_tell(bus, IPC_member_add, &m))
		told++;
	ck_assert_uint_ge(told, 10);
	ck_assert_uint_lt(told, 20);
	ck_assert_uint_eq(bus_link(bus), 0);
	fake_broker_turns(&broker, 3);
	for (size_t i = 0; i < sent; i++) {
		ck_assert_uint_eq(q[i].outcomes, 1);
		ck_assert_int_eq(q[i].last, BUS_NOT_SENT);
	}
	fake_broker_wait(&broker, is_up, NULL);
	stop();
}
END_TEST

START_TEST(another_version_is_no_link) {
	start(false);
	broker.version = IPC_VERSION + 1;
	fake_broker_listen(&broker);
	fake_broker_wait_ms(&broker, 100);
	ck_assert_uint_eq(bus_link(bus), 0);
	ck_assert_uint_ge(broker.links, 2);
	ck_assert_uint_le(broker.links, 6);
	broker.version = IPC_VERSION;
	fake_broker_wait(&broker, is_up, NULL);
	ck_assert_uint_eq(downs, 0);
	stop();
}
END_TEST

static bool has_second_link(void *arg UNUSED) {
	return broker.links >= 2;
}

START_TEST(silence_instead_of_hello_is_no_link) {
	start(false);
	broker.is_mute = true;
	fake_broker_listen(&broker);
	fake_broker_wait(&broker, has_second_link, NULL);
	broker.is_mute = false;
	fake_broker_wait(&broker, is_up, NULL);
	stop();
}
END_TEST

START_TEST(nonsense_cuts_the_link) {
	struct question q = { 0 };
	struct ipc_unsubscribe nonsense = { .channel = slice_text("c") };
	struct ipc_member_result wrong = { 0 };

	start_up();
	fake_broker_send(&broker, IPC_unsubscribe, &nonsense);
	fake_broker_wait(&broker, is_down, NULL);
	fake_broker_wait(&broker, is_up, NULL);
	fake_broker_take(&broker, IPC_hello);
	ask(&q, 10);
	wrong.request = fake_broker_take(&broker, IPC_publish)->publish.request;
	fake_broker_send(&broker, IPC_member_result, &wrong);
	fake_broker_wait(&broker, is_answered, &q);
	ck_assert_int_eq(q.last, BUS_LOST);
	ck_assert_uint_eq(downs, 2);
	stop();
}
END_TEST

START_TEST(forgotten_ones_are_not_reported) {
	struct question answered = { 0 }, failed = { 0 }, timed_out = { 0 };

	start_up();
	ask(&answered, 10);
	ask(&timed_out, 10);
	bus_forget(bus, &answered.r);
	bus_forget(bus, &timed_out.r);
	answer(fake_broker_take(&broker, IPC_publish), 1);
	fake_broker_cut(&broker);
	fake_broker_wait(&broker, is_down, NULL);
	ask(&failed, 10);
	bus_forget(bus, &failed.r);
	fake_broker_wait_ms(&broker, TIMEOUT_MS + 50);
	ck_assert_uint_eq(answered.outcomes + failed.outcomes + timed_out.outcomes, 0);
	stop();
}
END_TEST

START_TEST(events_are_handed_on) {
	struct ipc_left left = { .channel = slice_text("c") };

	start_up();
	fake_broker_send(&broker, IPC_left, &left);
	fake_broker_turns(&broker, 3);
	ck_assert_uint_eq(events, 1);
	stop();
}
END_TEST

Suite *suite_bus(void);

Suite *suite_bus(void) {
	Suite *s = suite_create("bus");
	TCase *t = tcase_create("link");

	tcase_add_test(t, says_hello_and_is_up);
	tcase_add_test(t, keeps_trying_until_somebody_listens);
	tcase_add_test(t, needs_no_free_descriptor_to_come_back);
	tcase_add_test(t, answers_meet_their_questions);
	tcase_add_test(t, nothing_is_sent_while_down);
	tcase_add_test(t, late_answers_are_given_up);
	tcase_add_test(t, kept_ones_report_their_true_outcome_too);
	tcase_add_test(t, loss_tells_sent_from_unsent);
	tcase_add_test(t, full_queue_refuses_questions_and_cuts_for_the_rest);
	tcase_add_test(t, another_version_is_no_link);
	tcase_add_test(t, silence_instead_of_hello_is_no_link);
	tcase_add_test(t, nonsense_cuts_the_link);
	tcase_add_test(t, forgotten_ones_are_not_reported);
	tcase_add_test(t, events_are_handed_on);
	suite_add_tcase(s, t);
	return s;
}
