/* test_redis_conn - login, commands, deadlines and ends, with a real server and with peers that are none */
#include <check.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/redis/redis_conn.h"
#include "common/base/buf.h"
#include "tests/unit/redis_fixture.h"

static struct redis_fixture redis;
static struct evloop *loop;
static struct resolver *resolver;
static struct redis_conn *conn;
static struct redis_target target;
static struct evloop_timer late;
static struct buf heard;	/* what happened, one word after the other */
static char why[256];
static int ups, losses, answers, stop_at_answers;
static bool is_late, is_reopening;

/* --- what happens is written down --- */

static void on_up(void *arg) {
	(void)arg;
	ups++;
	evloop_stop(loop);
}

static void on_lost(void *arg, const char *text) {
	(void)arg;
	losses++;
	snprintf(why, sizeof(why), "%s", text);
	buf_add_text(&heard, "lost ");
	if (is_reopening)
		redis_conn_open(conn, &target);
	evloop_stop(loop);
}

static void on_push(void *arg, const struct redis_reply *reply) {
	(void)arg;
	buf_addf(&heard, "push:%.*s ", SLICE_ARGS(redis_reply_text(redis_reply_at(reply, 2))));
	if (++answers == stop_at_answers)
		evloop_stop(loop);
}

static const struct redis_conn_ops ops = { .up = on_up, .lost = on_lost, .push = on_push };

static void on_answer(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	static const char *const names[] = { [REDIS_DONE] = "done", [REDIS_REFUSED] = "refused", [REDIS_LOST] = "lost" };
	struct slice error = redis_reply_error(reply);

	ck_assert((outcome == REDIS_DONE) == (reply != NULL));
	buf_addf(&heard, "%s%s:", (const char *)arg, names[outcome]);
	buf_add(&heard, error.len > 0 ? error : redis_reply_text(reply));
	buf_add_u8(&heard, ' ');
	if (++answers == stop_at_answers)
		evloop_stop(loop);
}

static const char *what_happened(void) {
	buf_add_u8(&heard, '\0');
	heard.len--;
	return (const char *)heard.data;
}

static void forget(void) {
	buf_reset(&heard);
	answers = 0;
}

static void on_turn_end(void *arg) {
	(void)arg;
	redis_conn_flush(conn);
}

static void end_in_time(void *arg) {
	(void)arg;
	is_late = true;
	evloop_stop(loop);
}

static void run_at_most(uint64_t ms) {
	is_late = false;
	evloop_timer_start(&late, ms);
	redis_conn_flush(conn);
	evloop_run(loop);
}

static void make_conn(uint64_t connect_ms, uint64_t command_ms, const struct redis_conn_ops *with) {
	redis_conn_free(&conn);
	conn = redis_conn_new(&(struct redis_conn_settings){ loop, resolver, connect_ms, command_ms }, with, NULL);
	evloop_on_turn_end(loop, on_turn_end, NULL);
}

static void setup(void) {
	signal(SIGPIPE, SIG_IGN);
	redis_fixture_init(&redis);
	loop = evloop_new();
	resolver = resolver_new(loop);
	evloop_timer_init(loop, &late, end_in_time, NULL);
	buf_init(&heard, 1 << 20);
	ups = losses = answers = stop_at_answers = 0;
	is_reopening = false;
	target = (struct redis_target){ .host = "127.0.0.1", .port = redis.port, .name = "herold:test" };
	make_conn(10000, 10000, &ops);
}

static void teardown(void) {
	redis_conn_free(&conn);
	resolver_free(&resolver);
	evloop_timer_stop(&late);
	evloop_free(&loop);
	buf_fini(&heard);
	redis_fixture_fini(&redis);
}

static void call(const char *tag, const char *name, struct slice arg) {
	struct slice argv[] = { slice_text(name), arg };

	redis_conn_command(conn, argv, arg.len > 0 ? 2 : 1, on_answer, (void *)(uintptr_t)tag);
}

/* Answers that were given; the order of events is in `heard`. */
static void run_to_answers(int count) {
	stop_at_answers = count;
	run_at_most(10000);
	ck_assert_int_eq(answers, count);
}

static void open_to_up(void) {
	redis_conn_open(conn, &target);
	run_at_most(10000);
	ck_assert_msg(ups == 1 && redis_conn_is_up(conn), "%s", why);
}

static void open_to_loss(void) {
	redis_conn_open(conn, &target);
	ck_assert_int_eq(losses, 0);
	run_at_most(10000);
	ck_assert_int_eq(losses, 1);
	ck_assert_int_eq(ups, 0);
	ck_assert(redis_conn_is_closed(conn));
}

/* --- tests --- */

START_TEST(commands_are_answered_in_order) {
	char address[32];

	redis_fixture_start(&redis);
	open_to_up();
	snprintf(address, sizeof(address), "127.0.0.1:%u", redis.port);
	ck_assert_str_eq(redis_conn_address(conn), address);
	call("a", "ECHO", slice_of("x\0\r\ny", 5));
	call("b", "NONSENSE", slice_text("1"));
	call("c", "PING", SLICE_EMPTY);
	ck_assert_int_eq(answers, 0);
	run_to_answers(3);
	ck_assert(slice_starts_with(buf_slice(&heard), "adone:"));
	ck_assert_int_eq(memcmp(heard.data, "adone:x\0\r\ny bdone:ERR unknown command", 33), 0);
	ck_assert_ptr_nonnull(strstr(what_happened() + 12, " cdone:PONG "));
}
END_TEST

START_TEST(login_is_by_user_password_database_and_name) {
	static const char *const options[] = { "--user", "ada", "on", ">se:cret", "~*", "&*", "+@all" };

	memcpy(redis.option, options, sizeof(options));
	redis_fixture_start(&redis);
	target.user = "ada";
	target.password = "se:cret";
	target.database = 7;
	open_to_up();
	call("", "CLIENT", slice_text("GETNAME"));
	call("", "DBSIZE", SLICE_EMPTY);
	call("", "CLIENT", slice_text("INFO"));
	run_to_answers(3);
	ck_assert_ptr_nonnull(strstr(what_happened(), "done:herold:test "));
	ck_assert_ptr_nonnull(strstr(what_happened(), " db=7 "));
	ck_assert_ptr_nonnull(strstr(what_happened(), " user=ada "));
}
END_TEST

START_TEST(a_wrong_password_is_said) {
	redis_fixture_start(&redis);
	target.password = "wrong";
	open_to_loss();
	ck_assert_msg(strncmp(why, "login refused: ", 15) == 0, "%s", why);
}
END_TEST

/* Redis says back what it was sent when it does not know the command. */
START_TEST(a_password_is_never_said) {
	static const char *const options[] = { "--rename-command", "AUTH", "" };
	static const char *const passwords[] = { "opensesame",
		"opensesame-opensesame-opensesame-opensesame-opensesame-opensesame-opensesame-opensesame-opensesame-opensesame-opensesame-opensesame" };

	memcpy(redis.option, options, sizeof(options));
	redis_fixture_start(&redis);
	target.password = passwords[_i];
	open_to_loss();
	ck_assert_str_eq(why, "login refused: ERR");
}
END_TEST

START_TEST(what_is_said_instead_of_a_welcome_is_said) {
	static const char *const options[] = { "--maxclients", "1" };
	redisContext *only;

	memcpy(redis.option, options, sizeof(options));
	redis_fixture_start(&redis);
	only = redis_fixture_connect(&redis);
	open_to_loss();
	ck_assert_str_eq(why, "login refused: ERR max number of clients reached");
	redisFree(only);
}
END_TEST

START_TEST(unix_sockets_serve_too) {
	char path[REDIS_FIXTURE_PATH + 16];

	redis_fixture_start(&redis);
	snprintf(path, sizeof(path), "%s/redis.sock", redis.folder);
	target.host = NULL;
	target.path = path;
	open_to_up();
	call("", "PING", SLICE_EMPTY);
	run_to_answers(1);
	ck_assert_str_eq(what_happened(), "done:PONG ");
}
END_TEST

START_TEST(nobody_there_is_said) {
	open_to_loss();
	ck_assert_str_eq(why, "Connection refused");
	target.host = "no such host";
	losses = 0;
	open_to_loss();
	ck_assert_msg(strncmp(why, "no such host is not resolved: ", 30) == 0, "%s", why);
	target.host = NULL;
	target.path = "/nonexistent";
	losses = 0;
	open_to_loss();
	ck_assert_str_eq(why, "No such file or directory");
}
END_TEST

/* A listener whose queue takes connections that nobody ever serves. */
static int silent_peer(uint16_t port) {
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	return fd;
}

START_TEST(a_peer_that_is_silent_is_left) {
	int fd = silent_peer(redis.port);

	make_conn(200, 10000, &ops);
	open_to_loss();
	ck_assert_str_eq(why, "no connection within 200 ms");
	close(fd);
}
END_TEST

static const struct {
	const char *words, *why;
} nonsense[] = {
	{ "HTTP/1.1 400 Bad Request\r\n\r\n", "Protocol error" },
	{ "+OK\r\n+OK\r\n", "an answer came to nothing that was asked" },
	{ "*1000000000000\r\n", "out of range" },
	{ "$-7\r\n", "out of range" },
	{ "\r\n", "Protocol error" },
	{ "", "Server closed the connection" },
};

START_TEST(a_peer_that_speaks_something_else_is_left) {
	const char *words = nonsense[_i].words;
	int fd = silent_peer(redis.port), client;

	make_conn(10000, 10000, &(struct redis_conn_ops){ .up = on_up, .lost = on_lost });
	redis_conn_open(conn, &target);
	run_at_most(100);
	client = accept(fd, NULL, NULL);
	ck_assert_int_eq(write(client, words, strlen(words)), (ssize_t)strlen(words));
	shutdown(client, SHUT_WR);
	do
		run_at_most(10000);
	while (losses == 0 && !is_late);
	ck_assert_int_eq(losses, 1);
	ck_assert_msg(strstr(why, nonsense[_i].why) != NULL, "%s", why);
	close(client);
	close(fd);
}
END_TEST

START_TEST(what_is_not_answered_in_time_is_lost) {
	make_conn(10000, 300, &ops);
	redis_fixture_start(&redis);
	open_to_up();
	redis_fixture_pause(&redis, true);
	call("a", "PING", SLICE_EMPTY);
	call("b", "PING", SLICE_EMPTY);
	run_at_most(10000);
	ck_assert_int_eq(losses, 1);
	ck_assert_str_eq(what_happened(), "alost: blost: lost ");
	ck_assert_str_eq(why, "no answer within 300 ms");
	redis_fixture_pause(&redis, false);
}
END_TEST

static struct evloop_timer wake;

static void go_on(void *arg) {
	(void)arg;
	redis_fixture_pause(&redis, false);
}

START_TEST(a_server_that_pauses_for_less_loses_nothing) {
	make_conn(10000, 2000, &ops);
	redis_fixture_start(&redis);
	open_to_up();
	evloop_timer_init(loop, &wake, go_on, NULL);
	for (int i = 0; i < 3; i++) {
		redis_fixture_pause(&redis, true);
		call("a", "PING", SLICE_EMPTY);
		evloop_timer_start(&wake, 300);
		forget();
		run_to_answers(1);
	}
	ck_assert_str_eq(what_happened(), "adone:PONG ");
	ck_assert_int_eq(losses, 0);
}
END_TEST

START_TEST(what_was_not_sent_is_refused) {
	redis_fixture_start(&redis);
	open_to_up();
	call("a", "PING", SLICE_EMPTY);
	redis_conn_flush(conn);
	call("b", "PING", SLICE_EMPTY);
	redis_conn_close(conn, "for a test");
	redis_conn_close(conn, "again");
	call("c", "PING", SLICE_EMPTY);
	ck_assert_str_eq(what_happened(), "");
	run_at_most(10000);
	ck_assert_str_eq(what_happened(), "alost: brefused: crefused: lost ");
	ck_assert_str_eq(why, "for a test");
	forget();
	call("d", "PING", SLICE_EMPTY);
	ck_assert_int_eq(answers, 0);
	run_to_answers(1);
	ck_assert_str_eq(what_happened(), "drefused: ");
}
END_TEST

/* Its name is resolved in a turn of its own, at the end of which it is connecting. */
static void close_when_connecting(void *arg) {
	(void)arg;
	if (redis_conn_address(conn)[0] != '\0')
		redis_conn_close(conn, "before it was connected");
}

START_TEST(it_may_be_closed_before_it_stands) {
	redis_fixture_start(&redis);
	redis_conn_open(conn, &target);
	redis_conn_close(conn, "before it was resolved");
	ck_assert_int_eq(losses, 0);
	run_at_most(10000);
	ck_assert_str_eq(why, "before it was resolved");
	redis_conn_open(conn, &target);
	evloop_on_turn_end(loop, close_when_connecting, NULL);
	run_at_most(10000);
	ck_assert_str_eq(why, "before it was connected");
	ck_assert_int_eq(losses, 2);
	ck_assert_int_eq(ups, 0);
	evloop_on_turn_end(loop, on_turn_end, NULL);
	open_to_up();
}
END_TEST

static void close_inside(void *arg, enum redis_outcome outcome, const struct redis_reply *reply) {
	on_answer(arg, outcome, reply);
	redis_conn_close(conn, "closed inside");
	call("late ", "PING", SLICE_EMPTY);
}

START_TEST(it_may_be_closed_inside_an_answer_and_opened_in_its_loss) {
	redis_fixture_start(&redis);
	open_to_up();
	is_reopening = true;
	redis_conn_command(conn, (struct slice[]){ slice_text("PING") }, 1, close_inside, (void *)(uintptr_t)"a");
	call("b", "PING", SLICE_EMPTY);
	run_at_most(10000);
	ck_assert_int_eq(losses, 1);
	ck_assert_str_eq(what_happened(), "adone:PONG blost: late refused: lost ");
	run_at_most(10000);
	ck_assert_int_eq(ups, 2);
	forget();
	call("c", "PING", SLICE_EMPTY);
	run_to_answers(1);
	ck_assert_str_eq(what_happened(), "cdone:PONG ");
}
END_TEST

START_TEST(a_server_that_dies_is_noticed) {
	redis_fixture_start(&redis);
	open_to_up();
	redis_fixture_kill(&redis);
	run_at_most(10000);
	ck_assert_int_eq(losses, 1);
	ck_assert_str_eq(why, "Server closed the connection");
}
END_TEST

START_TEST(open_commands_get_an_outcome_at_the_end) {
	redis_fixture_start(&redis);
	open_to_up();
	call("a", "PING", SLICE_EMPTY);
	redis_conn_flush(conn);
	call("b", "PING", SLICE_EMPTY);
	redis_conn_free(&conn);
	ck_assert_ptr_null(conn);
	ck_assert_str_eq(what_happened(), "alost: brefused: ");
	evloop_on_turn_end(loop, NULL, NULL);
}
END_TEST

START_TEST(what_is_published_is_pushed) {
	struct slice argv[] = { slice_text("SUBSCRIBE"), slice_text("news") };

	redis_fixture_start(&redis);
	open_to_up();
	redis_conn_command(conn, argv, 2, NULL, NULL);
	run_to_answers(1);
	redis_fixture_do(&redis, "PUBLISH news one");
	redis_fixture_do(&redis, "PUBLISH news two");
	run_to_answers(3);
	ck_assert_str_eq(what_happened(), "push: push:one push:two ");
}
END_TEST

/* More than the socket takes at once, both ways. */
START_TEST(large_ones_go_through) {
	static char big[3 << 20];

	memset(big, 'x', sizeof(big));
	redis_fixture_start(&redis);
	open_to_up();
	buf_fini(&heard);
	buf_init(&heard, 64 << 20);
	for (int i = 0; i < 5; i++)
		call("", "ECHO", slice_of(big, sizeof(big)));
	run_to_answers(5);
	ck_assert_uint_eq(heard.len, 5 * (sizeof(big) + strlen("done: ")));
}
END_TEST

Suite *suite_redis_conn(void);
Suite *suite_redis_conn(void) {
	Suite *s = suite_create("redis_conn");
	TCase *t = tcase_create("redis_conn");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, commands_are_answered_in_order);
	tcase_add_test(t, login_is_by_user_password_database_and_name);
	tcase_add_test(t, a_wrong_password_is_said);
	tcase_add_loop_test(t, a_password_is_never_said, 0, 2);
	tcase_add_test(t, what_is_said_instead_of_a_welcome_is_said);
	tcase_add_test(t, unix_sockets_serve_too);
	tcase_add_test(t, nobody_there_is_said);
	tcase_add_test(t, a_peer_that_is_silent_is_left);
	tcase_add_loop_test(t, a_peer_that_speaks_something_else_is_left, 0, (int)ARRAY_LEN(nonsense));
	tcase_add_test(t, what_is_not_answered_in_time_is_lost);
	tcase_add_test(t, a_server_that_pauses_for_less_loses_nothing);
	tcase_add_test(t, what_was_not_sent_is_refused);
	tcase_add_test(t, it_may_be_closed_before_it_stands);
	tcase_add_test(t, it_may_be_closed_inside_an_answer_and_opened_in_its_loss);
	tcase_add_test(t, a_server_that_dies_is_noticed);
	tcase_add_test(t, open_commands_get_an_outcome_at_the_end);
	tcase_add_test(t, what_is_published_is_pushed);
	tcase_add_test(t, large_ones_go_through);
	suite_add_tcase(s, t);
	return s;
}
