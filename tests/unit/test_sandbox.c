/* sandbox - what a process can still do in it, found out in children that end there */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/svc/proc.h"
#include "common/svc/sandbox.h"

enum { CAN_READ = 1, CAN_WRITE = 2, CAN_FORK = 4, CAN_DIAL = 8, CAN_MAP_CODE = 16, CAN_RUN = 32 };

struct found {
	unsigned can;
	struct sandbox_report report;
};

static bool can_open(const char *path, int flags) {
	int fd = open(path, flags | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Refused by the sandbox, and not by the other side. */
static bool can_dial(void) {
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool can = fd >= 0 && (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno == ECONNREFUSED);

	if (fd >= 0)
		close(fd);
	return can;
}

/* A sanitizer's own fork() does more than the call. */
static bool can_fork(void) {
	long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	return pid > 0;
}

static unsigned what_can_be_done(void) {
	void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return (can_open("/etc/passwd", O_RDONLY) ? CAN_READ : 0) | (can_open("/dev/null", O_WRONLY) ? CAN_WRITE : 0) |
	    (can_fork() ? CAN_FORK : 0) | (can_dial() ? CAN_DIAL : 0) | (code != MAP_FAILED ? CAN_MAP_CODE : 0);
}

/* CAN_RUN is taken back by whoever comes back from execve(). */
NORETURN static void child(bool enters, enum sandbox_reach reach, int report_fd) {
	char *const arguments[] = { (char[]){ "true" }, NULL };
	struct found f = { .can = 0 };
	int pair[2];

	proc_no_new_privileges();
	if (enters)
		sandbox_enter(reach, &f.report);
	f.can = what_can_be_done() | CAN_RUN;
	/* What a worker goes on doing. */
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 || write(report_fd, &f, sizeof(f)) != (ssize_t)sizeof(f))
		_exit(1);
	execve("/bin/true", arguments, arguments + 1);
	f.can &= ~(unsigned)CAN_RUN;
	_exit(write(report_fd, &f, sizeof(f)) == (ssize_t)sizeof(f) ? 0 : 1);
}

static struct found find_out(bool enters, enum sandbox_reach reach) {
	struct found f = { .can = 0 }, next;
	int report[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe2(report, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		child(enters, reach, report[1]);
	close(report[1]);
	while (read(report[0], &next, sizeof(next)) == (ssize_t)sizeof(next))
		f = next;
	close(report[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	return f;
}

/* Those of `bits` that this kernel can refuse: Landlock knows TCP since its version 4. */
static unsigned refused(const struct found *f, bool is_network) {
	unsigned bits = 0;

	if (f->report.landlock > 0)
		bits |= CAN_WRITE | CAN_RUN | (is_network ? 0 : CAN_READ);
	if (f->report.has_filter)
		bits |= CAN_WRITE | CAN_RUN | CAN_FORK | CAN_MAP_CODE | (is_network ? 0 : CAN_READ | CAN_DIAL);
	return bits;
}

START_TEST(outside_everything_can_be_done) {
	struct found f = find_out(false, SANDBOX_LOCAL);

	ck_assert_uint_eq(f.can, CAN_READ | CAN_WRITE | CAN_FORK | CAN_DIAL | CAN_MAP_CODE | CAN_RUN);
}
END_TEST

START_TEST(who_stays_local_can_do_nothing) {
	struct found f = find_out(true, SANDBOX_LOCAL);

	ck_assert_uint_eq(f.can & refused(&f, false), 0);
	if (f.report.has_filter)
		ck_assert_uint_eq(f.can, 0);
}
END_TEST

START_TEST(who_connects_can_dial_and_read) {
	struct found f = find_out(true, SANDBOX_NETWORK);

	ck_assert_uint_eq(f.can & refused(&f, true), 0);
	ck_assert_uint_eq(f.can & (CAN_READ | CAN_DIAL), CAN_READ | CAN_DIAL);
}
END_TEST

START_TEST(the_environment_is_wiped) {
	char first[] = "HEROLD_A=secret", other[] = "OTHER=kept", last[] = "HEROLD_B=secret too";
	char *variables[] = { first, other, last, NULL }, **before = environ;

	environ = variables;
	proc_wipe_environment("HEROLD_");
	environ = before;
	ck_assert_ptr_eq(variables[0], other);
	ck_assert_ptr_null(variables[1]);
	ck_assert_str_eq(other, "OTHER=kept");
	for (size_t i = 0; i < sizeof(first); i++)
		ck_assert_int_eq(first[i], 0);
	for (size_t i = 0; i < sizeof(last); i++)
		ck_assert_int_eq(last[i], 0);
}
END_TEST

Suite *suite_sandbox(void);

Suite *suite_sandbox(void) {
	Suite *s = suite_create("sandbox");
	TCase *t = tcase_create("all");

	tcase_add_test(t, outside_everything_can_be_done);
	tcase_add_test(t, who_stays_local_can_do_nothing);
	tcase_add_test(t, who_connects_can_dial_and_read);
	tcase_add_test(t, the_environment_is_wiped);
	suite_add_tcase(s, t);
	return s;
}
