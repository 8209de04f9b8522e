/* launch - fork of workers and admin, exec of the broker */
#include "server/master/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/base/bundle.h"
#include "common/svc/log.h"
#include "common/svc/proc.h"
#include "server/worker/worker.h"

enum { BROKER_BACKLOG = 1024, BROKER_ARGUMENTS = 6 };

/* Ours and the terminal's: a ^C reaches the whole process group, and who goes when is the master's decision. */
static const struct {
	int signo;
	bool is_for_broker;	/* workers and admin are asked to go by their control socket */
} ignored[] = {
	{ SIGINT, true },
	{ SIGHUP, true },
	{ SIGPIPE, true },
	{ SIGTERM, false },
};

bool launch_prepare_broker(struct launcher *l, struct errbuf *e) {
	ssize_t len = readlink("/proc/self/exe", l->broker_path, sizeof(l->broker_path) - 1);
	static const char program[] = "herold-broker";
	char name[SOCK_TEXT_MAX], *slash;
	uint64_t secret;

	if (len < 0)
		return errbuf_set(e, "cannot find the own program: %s", strerror(errno));
	l->broker_path[len] = '\0';
	slash = strrchr(l->broker_path, '/');
	if (slash == NULL || sizeof(l->broker_path) - (size_t)(slash + 1 - l->broker_path) < sizeof(program))
		return errbuf_set(e, "cannot find %s beside %s", program, l->broker_path);
	memcpy(slash + 1, program, sizeof(program));
	if (access(l->broker_path, X_OK) != 0)
		return errbuf_set(e, "cannot run %s: %s", l->broker_path, strerror(errno));
	if (getrandom(&secret, sizeof(secret), 0) != sizeof(secret))
		return errbuf_set(e, "no random bytes: %s", strerror(errno));
	snprintf(name, sizeof(name), "unix:@herold-%d-%016llx", l->master_pid, (unsigned long long)secret);
	if (!sock_parse(name, &l->broker, e))
		return false;
	l->broker_fd = sock_listen(&l->broker, BROKER_BACKLOG, e);
	return l->broker_fd >= 0;
}

static int sealed_config(const struct config *c, struct errbuf *e) {
	struct buf lines;
	int fd;

	buf_init(&lines, 1 << 20);
	config_write_lines(c, &lines);
	fd = proc_sealed_fd("herold-config", lines.data, lines.len, e);
	bundle_fini(&lines);
	return fd;
}

/* --- in the child --- */

/* What the master keeps for reloads. Who needs a secret gets that one. */
static void forget_secrets(const struct launcher *l) {
	proc_wipe_environment(CONFIG_ENVIRONMENT_PREFIX);
	config_source_wipe(l->source);
	config_forget_secrets(l->config);
}

static void become_child(const struct launcher *l, const struct child *c) {
	char name[CHILD_NAME_MAX], title[CHILD_NAME_MAX + 16];
	sigset_t none;

	for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
		if (ignored[i].is_for_broker || c->kind != PROCESS_BROKER)
			signal(ignored[i].signo, SIG_IGN);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	child_name(c, name);
	snprintf(title, sizeof(title), "herold: %s", name);
	proc_set_title(title);
	log_setup((enum log_level)l->config->log_level, (enum log_format)l->config->log_format, name);
	log_follow(&l->stats->host.log);
	if (!proc_die_with_parent(l->master_pid))
		_exit(HEROLD_EXIT_FAILED);
	proc_no_new_privileges();
	forget_secrets(l);
	for (size_t i = 0; i < l->child_count; i++) {
		if (l->children[i].control_fd >= 0)
			close(l->children[i].control_fd);
	}
}

NORETURN static void run_broker(const struct launcher *l, int config_fd, int block) {
	int kept[] = { l->broker_fd, config_fd, l->stats_fd };
	char text[BROKER_ARGUMENTS][48], *argv[BROKER_ARGUMENTS] = { NULL };
	int n = 0;

	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		fcntl(kept[i], F_SETFD, 0);
	snprintf(text[n++], sizeof(text[0]), "herold-broker");
	snprintf(text[n++], sizeof(text[0]), "--listen-fd=%d", l->broker_fd);
	snprintf(text[n++], sizeof(text[0]), "--config-fd=%d", config_fd);
	snprintf(text[n++], sizeof(text[0]), "--stats-fd=%d", l->stats_fd);
	snprintf(text[n++], sizeof(text[0]), "--stats-block=%d", block);
	for (int i = 0; i < n; i++)
		argv[i] = text[i];
	execv(l->broker_path, argv);
	log_line(LOG_ERROR, "cannot run the broker", LF_TEXT("program", l->broker_path), LF_TEXT("error", strerror(errno)));
	_exit(HEROLD_EXIT_CONFIG);
}

/* Its counters in the table of limits. */
static int seat_of(const struct child *c) {
	return c->kind == PROCESS_WORKER ? c->slot : LIMITS_NO_SEAT;
}

NORETURN static void run_forked(struct launcher *l, const struct child *c, int control_fd, int block) {
	struct heritage h = { .config = l->config, .stats = l->stats, .broker = l->broker, .slot = c->slot,
		.control_fd = control_fd, .slots = l->listeners->slots, .limits = l->limits,
		.memory = &l->memory };
	int status;

	limits_sit(l->limits, seat_of(c));
	if (c->kind == PROCESS_WORKER) {
		h.certificates = buf_slice(&l->certificates->bundle);
		h.tickets = l->certificates->tickets;
		h.auth = &l->credentials->bundle;
	} else {
		certificates_close(l->certificates);
		credentials_close(l->credentials);
		h.admin_token = *l->admin_token;
	}
	close(l->broker_fd);
	close(l->stats_fd);
	stats_use_block(l->stats, block);
	listeners_drop_locks(l->listeners);
	if (c->kind == PROCESS_WORKER)
		listeners_drop_admin(l->listeners);
	else
		listeners_drop_clients(l->listeners);
	h.listeners = l->listeners->fd;
	h.listeners_per_slot = l->listeners->per_slot;
	h.listener_kinds = l->listeners->kind;
	h.admin_listeners = l->listeners->admin_fd;
	h.admin_listener_count = l->listeners->admin_count;
	status = c->kind == PROCESS_WORKER ? worker_run(&h) : admin_run(&h);
	exit(status);
}

/* --- in the master --- */

static void close_fd(int *fd) {
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* control: {ours, the child's}; the broker has none, but gets its configuration. */
static bool make_descriptors(const struct launcher *l, const struct child *c, int control[2], int *config_fd, struct errbuf *e) {
	if (c->kind == PROCESS_BROKER) {
		*config_fd = sealed_config(l->config, e);
		return *config_fd >= 0;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, control) != 0)
		return errbuf_set(e, "cannot make a control channel: %s", strerror(errno));
	/* The master waits for signals: what the admin process orders is one more. */
	if (c->kind == PROCESS_ADMIN && (fcntl(control[0], F_SETOWN, l->master_pid) != 0 ||
					    fcntl(control[0], F_SETFL, O_NONBLOCK | O_ASYNC) != 0)) {
		close(control[0]);
		close(control[1]);
		return errbuf_set(e, "cannot be told of orders: %s", strerror(errno));
	}
	return true;
}

bool launch_child(struct launcher *l, struct child *c, struct errbuf *e) {
	int control[2] = { -1, -1 }, config_fd = -1;
	int block = stats_block_take(l->stats, c->kind, c->slot);
	pid_t pid = -1;

	if (block < 0)
		return errbuf_set(e, "no block of counters is free");
	if (make_descriptors(l, c, control, &config_fd, e)) {
		pid = fork();
		if (pid < 0)
			errbuf_set(e, "cannot fork: %s", strerror(errno));
	}
	if (pid == 0) {
		become_child(l, c);
		close_fd(&control[0]);
		if (c->kind == PROCESS_BROKER)
			run_broker(l, config_fd, block);
		run_forked(l, c, control[1], block);
	}
	close_fd(&control[1]);
	close_fd(&config_fd);
	if (pid < 0) {
		close_fd(&control[0]);
		stats_block_retire(l->stats, block);
		return false;
	}
	c->pid = pid;
	atomic_store(&l->stats->block[block].pid, (int)pid);
	c->control_fd = control[0];
	c->stats_block = block;
	return true;
}

void launch_forget(struct launcher *l, struct child *c) {
	close_fd(&c->control_fd);
	stats_block_retire(l->stats, c->stats_block);
	if (c->kind != PROCESS_BROKER)
		limits_clear_seat(l->limits, seat_of(c));
	c->stats_block = -1;
	c->pid = 0;
}
