/* test_resolver - numbers, hosts(5), and name servers that answer, refuse or are silent */
#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/svc/evloop.h"
#include "common/svc/resolver.h"

static struct evloop *loop;
static struct resolver *resolver;
static struct evloop_timer late;
static char hosts[] = "/tmp/herold-hosts-XXXXXX", resolv_conf[] = "/tmp/herold-resolv-XXXXXX";
static struct resolver_answer got;
static char why[128];
static int answers, wanted_answers;
static bool is_late;

/* --- a name server: a question's name says how it is answered --- */

static int server;
static struct evloop_io server_io;
static int questions;

enum { QTYPE_A = 1, QTYPE_AAAA = 28, NXDOMAIN = 3 };

/* The first label of the question, in lower case: asking with mixed case is a way to recognise forged answers. */
static void first_label(const uint8_t *query, char out[64]) {
	size_t len = query[12] & 63;

	for (size_t i = 0; i < len; i++)
		out[i] = (char)(query[13 + i] | 0x20);
	out[len] = '\0';
}

static size_t add_record(uint8_t *out, int type, const void *ip, size_t len) {
	const uint8_t head[] = { 0xc0, 12, 0, (uint8_t)type, 0, 1, 0, 0, 0, 60, 0, (uint8_t)len };

	memcpy(out, head, sizeof(head));
	memcpy(out + sizeof(head), ip, len);
	return sizeof(head) + len;
}

static void on_query(int fd, short ready, void *arg) {
	uint8_t packet[512];
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	ssize_t len = recvfrom(fd, packet, sizeof(packet) - 64, 0, (struct sockaddr *)&from, &from_len);
	char label[64];
	size_t at;
	int type;

	(void)ready;
	(void)arg;
	ck_assert_int_gt(len, 17);
	questions++;
	at = 12;
	while (packet[at] != 0)
		at += packet[at] + 1U;
	at += 5;
	type = packet[at - 3];
	first_label(packet, label);
	if (strcmp(label, "silent") == 0 || (strcmp(label, "half") == 0 && type == QTYPE_AAAA))
		return;
	packet[2] |= 0x80;
	packet[3] = strcmp(label, "nobody") == 0 ? NXDOMAIN : 0;
	memset(packet + 6, 0, 6);
	if (packet[3] == 0 && type == QTYPE_A && strcmp(label, "six") != 0) {
		packet[7] = 2;
		at += add_record(packet + at, QTYPE_A, "\x0a\x01\x02\x03", 4);
		at += add_record(packet + at, QTYPE_A, "\x0a\x01\x02\x04", 4);
	} else if (packet[3] == 0 && type == QTYPE_AAAA) {
		packet[7] = 1;
		at += add_record(packet + at, QTYPE_AAAA, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07", 16);
	}
	ck_assert_int_eq(sendto(fd, packet, at, 0, (struct sockaddr *)&from, from_len), (ssize_t)at);
}

/* --- the tests' ground --- */

static void write_file(char *path, const char *text) {
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void end_in_time(void *arg) {
	(void)arg;
	is_late = true;
	evloop_stop(loop);
}

static void setup(void) {
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	char text[200];

	loop = evloop_new();
	resolver = resolver_new(loop);
	server = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(server, (struct sockaddr *)&a, len), 0);
	ck_assert_int_eq(getsockname(server, (struct sockaddr *)&a, &len), 0);
	memset(&server_io, 0, sizeof(server_io));
	evloop_io_start(loop, &server_io, server, EVLOOP_READ, on_query, NULL);
	write_file(hosts, "# none\n127.0.0.1 localhost\n::1 localhost ip6-localhost\n10.0.0.9\tredis-one  ONE # two\nnonsense three\n");
	snprintf(text, sizeof(text), "nameserver 127.0.0.1:%u\n", ntohs(a.sin_port));
	write_file(resolv_conf, text);
	resolver_use_files(resolver, hosts, resolv_conf);
	evloop_timer_init(loop, &late, end_in_time, NULL);
	answers = questions = 0;
	wanted_answers = 1;
	is_late = false;
}

static void teardown(void) {
	resolver_free(&resolver);
	evloop_timer_stop(&late);
	evloop_io_stop(&server_io);
	evloop_free(&loop);
	close(server);
	unlink(hosts);
	unlink(resolv_conf);
}

static void on_answer(void *arg, const struct resolver_answer *answer, const char *text) {
	if (answer != NULL)
		got = *answer;
	else
		got.count = 0;
	snprintf(why, sizeof(why), "%s", text != NULL ? text : "");
	ck_assert((answer == NULL) == (text != NULL));
	if (arg != NULL)
		*(bool *)arg = true;
	if (++answers == wanted_answers)
		evloop_stop(loop);
}

static void run_at_most(uint64_t ms) {
	evloop_timer_start(&late, ms);
	evloop_run(loop);
}

static void resolve(const char *name) {
	ck_assert_ptr_nonnull(resolver_ask(resolver, name, on_answer, NULL));
	ck_assert_int_eq(answers, 0);
	run_at_most(10000);
	ck_assert_int_eq(answers, 1);
}

static const struct {
	const char *name, *first, *second, *third, *why;
	bool is_asked;
} names[] = {
	{ "127.0.0.1", "127.0.0.1", NULL, NULL, "", false },
	{ "::1", "::1", NULL, NULL, "", false },
	{ "localhost", "127.0.0.1", "::1", NULL, "", false },
	{ "one", "10.0.0.9", NULL, NULL, "", false },
	{ "redis-ONE", "10.0.0.9", NULL, NULL, "", false },
	{ "half.test", "10.1.2.3", "10.1.2.4", NULL, "", true },
	{ "nobody.test", NULL, NULL, NULL, "name does not exist", true },
	{ "two", "10.1.2.3", "10.1.2.4", NULL, "", true },
	{ "three", "10.1.2.3", "10.1.2.4", NULL, "", true },
};

START_TEST(names_become_addresses) {
	const char *want[] = { names[_i].first, names[_i].second, names[_i].third };

	resolve(names[_i].name);
	ck_assert_str_eq(why, names[_i].why);
	ck_assert_int_eq(questions > 0, names[_i].is_asked);
	for (size_t i = 0; i < ARRAY_LEN(want) && want[i] != NULL; i++) {
		ck_assert_uint_gt(got.count, i);
		ck_assert_str_eq(got.address[i], want[i]);
	}
	if (names[_i].first == NULL)
		ck_assert_uint_eq(got.count, 0);
}
END_TEST

START_TEST(what_files_say_now_counts) {
	FILE *file;

	resolve("one");
	file = fopen(hosts, "w");
	ck_assert_ptr_nonnull(file);
	fprintf(file, "10.0.0.10 one\n");
	fclose(file);
	answers = 0;
	resolve("one");
	ck_assert_str_eq(got.address[0], "10.0.0.10");
}
END_TEST

START_TEST(without_a_name_server_it_is_said) {
	FILE *file = fopen(resolv_conf, "w");

	ck_assert_ptr_nonnull(file);
	fprintf(file, "nameserver nonsense\n");
	fclose(file);
	resolve("host.test");
	ck_assert_str_eq(why, "no name server is configured");
}
END_TEST

/* Its callbacks end at once what evdns would wait 15 seconds for. */
START_TEST(a_cancelled_question_is_not_answered) {
	struct resolver_question *q;
	bool is_called = false;

	q = resolver_ask(resolver, "silent.test", on_answer, &is_called);
	run_at_most(50);
	ck_assert_int_gt(questions, 0);
	resolver_cancel(&q);
	ck_assert_ptr_null(q);
	resolver_cancel(&q);
	q = resolver_ask(resolver, "127.0.0.1", on_answer, &is_called);
	resolver_cancel(&q);
	resolve("one");
	ck_assert(!is_called);
}
END_TEST

START_TEST(open_questions_end_with_the_resolver) {
	bool is_called = false;

	resolver_ask(resolver, "silent.test", on_answer, &is_called);
	run_at_most(50);
	resolver_ask(resolver, "127.0.0.1", on_answer, &is_called);
	resolver_free(&resolver);
	ck_assert(is_late && !is_called);
}
END_TEST

static void ask_again(void *arg, const struct resolver_answer *answer, const char *text) {
	(void)arg;
	ck_assert_ptr_null(text);
	ck_assert_uint_eq(answer->count, 1);
	resolver_ask(resolver, "::1", on_answer, NULL);
}

START_TEST(an_answer_may_ask) {
	resolver_ask(resolver, "127.0.0.1", ask_again, NULL);
	resolver_ask(resolver, "one", ask_again, NULL);
	wanted_answers = 2;
	run_at_most(10000);
	ck_assert_int_eq(answers, 2);
	ck_assert_str_eq(got.address[0], "::1");
}
END_TEST

Suite *suite_resolver(void);
Suite *suite_resolver(void) {
	Suite *s = suite_create("resolver");
	TCase *t = tcase_create("resolver");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, names_become_addresses, 0, (int)ARRAY_LEN(names));
	tcase_add_test(t, what_files_say_now_counts);
	tcase_add_test(t, without_a_name_server_it_is_said);
	tcase_add_test(t, a_cancelled_question_is_not_answered);
	tcase_add_test(t, open_questions_end_with_the_resolver);
	tcase_add_test(t, an_answer_may_ask);
	suite_add_tcase(s, t);
	return s;
}
