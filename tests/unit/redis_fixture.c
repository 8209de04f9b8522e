/* redis_fixture - starts and ends a redis-server for a test */
#include "tests/unit/redis_fixture.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_MS = 20000, STEP_MS = 5 };

uint16_t redis_fixture_free_port(void) {
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, len), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

void redis_fixture_init(struct redis_fixture *f) {
	memset(f, 0, sizeof(*f));
	snprintf(f->folder, sizeof(f->folder), "/tmp/herold-redis-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(f->folder));
	f->port = redis_fixture_free_port();
}

/* In the child: becomes the server. */
static void run_server(const struct redis_fixture *f, pid_t parent) {
	char port[8], log[REDIS_FIXTURE_PATH + 16], sock[REDIS_FIXTURE_PATH + 16], conf[REDIS_FIXTURE_PATH + 16];
	const char *argv[16 + REDIS_FIXTURE_OPTIONS] = { "redis-server" };
	size_t argc = 1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	snprintf(port, sizeof(port), "%u", f->port);
	snprintf(log, sizeof(log), "%s/server.log", f->folder);
	snprintf(sock, sizeof(sock), "%s/redis.sock", f->folder);
	snprintf(conf, sizeof(conf), "%s/sentinel.conf", f->folder);
	if (f->is_sentinel) {
		argv[argc++] = conf;
		argv[argc++] = "--sentinel";
	} else {
		const char *own[] = { "--save", "", "--appendonly", "no", "--unixsocket", sock };

		for (size_t i = 0; i < ARRAY_LEN(own); i++)
			argv[argc++] = own[i];
	}
	for (const char *const *o = (const char *[]){ "--port", port, "--bind", "127.0.0.1", "--dir", f->folder, "--logfile", log, NULL };
	    *o != NULL; o++)
		argv[argc++] = *o;
	for (size_t i = 0; i < REDIS_FIXTURE_OPTIONS && f->option[i] != NULL; i++)
		argv[argc++] = f->option[i];
	argv[argc] = NULL;
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static void pause_step(void) {
	nanosleep(&(struct timespec){ .tv_nsec = STEP_MS * 1000000L }, NULL);
}

/* Any answer counts: it may want a password, or load. */
static bool is_answering(const struct redis_fixture *f) {
	redisContext *c = redisConnectWithTimeout("127.0.0.1", f->port, (struct timeval){ .tv_sec = 1 });
	redisReply *reply = c != NULL && c->err == 0 ? redisCommand(c, "PING") : NULL;
	bool is = reply != NULL && (reply->type != REDIS_REPLY_ERROR || strncmp(reply->str, "LOADING", 7) != 0);

	if (reply != NULL)
		freeReplyObject(reply);
	if (c != NULL)
		redisFree(c);
	return is;
}

void redis_fixture_start(struct redis_fixture *f) {
	pid_t parent = getpid();

	ck_assert_int_eq(f->pid, 0);
	f->pid = fork();
	ck_assert_int_ge(f->pid, 0);
	if (f->pid == 0)
		run_server(f, parent);
	for (int ms = 0; !is_answering(f); ms += STEP_MS) {
		ck_assert_msg(waitpid(f->pid, NULL, WNOHANG) == 0, "redis-server ended (is it installed?): see %s/server.log", f->folder);
		ck_assert_msg(ms < START_MS, "redis-server does not answer");
		pause_step();
	}
}

void redis_fixture_kill(struct redis_fixture *f) {
	if (f->pid <= 0)
		return;
	kill(f->pid, SIGKILL);
	while (waitpid(f->pid, NULL, 0) < 0 && errno == EINTR)
		;
	f->pid = 0;
}

/* The server makes at most one level of folders in its own (appendonlydir). */
static void remove_folder(const char *path, bool is_top) {
	DIR *d = opendir(path);
	const struct dirent *entry;

	if (d == NULL)
		return;
	while ((entry = readdir(d)) != NULL) {
		char name[REDIS_FIXTURE_PATH + sizeof(entry->d_name) + 1];

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (unlink(name) != 0 && is_top)
			remove_folder(name, false);
	}
	closedir(d);
	rmdir(path);
}

void redis_fixture_fini(struct redis_fixture *f) {
	redis_fixture_kill(f);
	if (f->folder[0] != '\0')
		remove_folder(f->folder, true);
	f->folder[0] = '\0';
}

void redis_fixture_pause(const struct redis_fixture *f, bool is_paused) {
	int status;

	ck_assert_int_gt(f->pid, 0);
	ck_assert_int_eq(kill(f->pid, is_paused ? SIGSTOP : SIGCONT), 0);
	/* Signals take their time; whoever goes on now must find it standing still. */
	if (is_paused)
		ck_assert_int_eq(waitpid(f->pid, &status, WUNTRACED), f->pid);
}

redisContext *redis_fixture_connect(const struct redis_fixture *f) {
	redisContext *c = redisConnectWithTimeout("127.0.0.1", f->port, (struct timeval){ .tv_sec = 5 });

	ck_assert_ptr_nonnull(c);
	ck_assert_msg(c->err == 0, "%s", c->errstr);
	redisSetTimeout(c, (struct timeval){ .tv_sec = 5 });
	return c;
}

static redisReply *ask(const struct redis_fixture *f, const char *format, va_list args) {
	redisContext *c = redis_fixture_connect(f);
	redisReply *reply = redisvCommand(c, format, args);

	ck_assert_msg(reply != NULL, "%s: %s", format, c->errstr);
	redisFree(c);
	return reply;
}

redisReply *redis_fixture_ask(const struct redis_fixture *f, const char *format, ...) {
	redisReply *reply;
	va_list args;

	va_start(args, format);
	reply = ask(f, format, args);
	va_end(args);
	return reply;
}

void redis_fixture_do(const struct redis_fixture *f, const char *format, ...) {
	redisReply *reply;
	va_list args;

	va_start(args, format);
	reply = ask(f, format, args);
	va_end(args);
	ck_assert_msg(reply->type != REDIS_REPLY_ERROR, "%s: %s", format, reply->str);
	freeReplyObject(reply);
}
