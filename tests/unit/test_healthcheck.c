/* test_healthcheck - answers of a server that is well, unwell, gone */
#include <check.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/svc/sock.h"
#include "server/master/healthcheck.h"

static const struct {
	const char *answer;	/* NULL: the connection ends without one */
	const char *error;	/* NULL: well */
} answers[] = {
	{ "HTTP/1.1 200 OK\r\n\r\n", NULL },
	{ "HTTP/1.1 503 Service Unavailable\r\n\r\n", "answered with status 503" },
	{ "HTTP/1.1 2", "the connection ended before an answer" },
	{ NULL, "the connection ended before an answer" },
};

static void serve_one(int listener, const char *answer) {
	struct sock_peer peer;
	char request[512];
	int fd;

	poll(&(struct pollfd){ .fd = listener, .events = POLLIN }, 1, 5000);
	fd = sock_accept(listener, &peer);
	poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 5000);
	if (read(fd, request, sizeof(request)) > 0 && answer != NULL && write(fd, answer, strlen(answer)) < 0)
		_exit(1);
	_exit(0);
}

START_TEST(answers_are_judged) {
	struct sock_addr a;
	struct errbuf e = { "" };
	char text[SOCK_TEXT_MAX];
	int listener;
	pid_t pid;

	ck_assert(sock_parse("127.0.0.1:0", &a, &e));
	listener = sock_listen(&a, 4, &e);
	ck_assert_int_ge(listener, 0);
	sock_text(&a, text);
	pid = fork();
	if (pid == 0)
		serve_one(listener, answers[_i].answer);
	close(listener);
	ck_assert_msg(healthcheck(text, &e) == (answers[_i].error == NULL), "%s", e.text);
	if (answers[_i].error != NULL)
		ck_assert_ptr_nonnull(strstr(e.text, answers[_i].error));
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	/* Nobody listens any more. */
	ck_assert(!healthcheck(text, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "Connection refused"));
}
END_TEST

Suite *suite_healthcheck(void);
Suite *suite_healthcheck(void) {
	Suite *s = suite_create("healthcheck");
	TCase *t = tcase_create("healthcheck");

	tcase_add_loop_test(t, answers_are_judged, 0, (int)ARRAY_LEN(answers));
	suite_add_tcase(s, t);
	return s;
}
