/* master - the supervisor: signals, children, shutdown */
#include "server/master/master.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/svc/crash.h"
#include "common/svc/log.h"
#include "common/svc/memory_watch.h"
#include "common/svc/proc.h"
#include "common/svc/trace.h"
#include "common/svc/usage.h"
#include "server/master/launch.h"
#include "server/master/obituary.h"
#include "server/worker/control.h"
#include "server/worker/worker.h"

enum { READY_POLL_MS = 20, FORK_RETRY_MS = 1000, DRAIN_EXTRA_MS = 10000, END_MS = 5000 };
/* Descriptors that a worker opens itself: of the event loop 3, control, link, what memory of all and its own are watched with, and the
 * spare one to refuse newcomers with. */
enum { WORKER_OWN_FILES = 8 };

/* START: not all children have been ready yet. DRAIN: the workers go. ADMIN: it goes, while the broker still answers what it asked. END:
 * only waiting for the last children. */
enum phase { PHASE_START = 0, PHASE_SERVE, PHASE_PREDRAIN, PHASE_DRAIN, PHASE_ADMIN, PHASE_END };

struct master {
	struct config *config;
	const struct config_source *source;
	struct admin_token admin_token;
	struct launcher launch;
	struct listeners listeners;
	struct certificates certificates;
	struct credentials credentials;
	struct child *children;		/* the broker, the workers, admin */
	size_t child_count;
	enum phase phase;
	uint64_t usage_due_ms;		/* what it takes itself */
	uint64_t phase_due_ms;		/* PREDRAIN: drain; later: kill who is left */
	bool is_debugging;		/* all areas of the log are at debug, by SIGUSR1 */
	int exit_status;
};

static uint64_t now_ms(void) {
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t wall_ms(void) {
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* --- talking to children --- */

static void signal_children(struct master *m, int signo) {
	for (size_t i = 0; i < m->child_count; i++) {
		struct child *c = &m->children[i];

		if (child_is_running(c))
			kill(c->pid, signo);
	}
}

static void control_with(const struct child *c, enum control_byte what, int slot, int fd) {
	struct control_message message = { .what = what, .slot = slot, .fd = fd };
	char name[CHILD_NAME_MAX];

	if (!child_is_running(c) || control_send(c->control_fd, &message))
		return;
	child_name(c, name);
	log_line(LOG_WARN, "a child does not take its orders", LF_TEXT("child", name), LF_TEXT("error", strerror(errno)));
}

static void control(const struct child *c, enum control_byte what, int slot) {
	control_with(c, what, slot, -1);
}

static void control_all(struct master *m, enum process_kind kind, enum control_byte what) {
	for (size_t i = 0; i < m->child_count; i++) {
		if (m->children[i].kind == kind)
			control(&m->children[i], what, m->children[i].slot);
	}
}

/* --- the end --- */

static bool is_running(const struct master *m, enum process_kind kind) {
	for (size_t i = 0; i < m->child_count; i++) {
		if (m->children[i].kind == kind && child_is_running(&m->children[i]))
			return true;
	}
	return false;
}

static bool is_anybody_running(const struct master *m) {
	return is_running(m, PROCESS_BROKER) || is_running(m, PROCESS_WORKER) || is_running(m, PROCESS_ADMIN);
}

/* Processes of this kind are to end, and none is started again. */
static bool is_over(const struct master *m, enum process_kind kind) {
	return m->phase == PHASE_END || (kind == PROCESS_WORKER && m->phase >= PHASE_DRAIN) ||
	    (kind == PROCESS_ADMIN && m->phase >= PHASE_ADMIN);
}

/* Nobody will be in its slot again. A worker that ends in order has refused its newcomers itself. */
static void child_end(struct master *m, struct child *c) {
	c->state = CHILD_ENDED;
	if (c->kind == PROCESS_WORKER && c->borrower < 0)
		listeners_shut(&m->listeners, c->slot);
}

static void enter(struct master *m, enum phase phase, uint64_t limit_ms) {
	m->phase = phase;
	m->phase_due_ms = now_ms() + limit_ms;
	for (size_t i = 0; i < m->child_count; i++) {
		struct child *c = &m->children[i];

		if (!child_is_running(c) && is_over(m, c->kind))
			child_end(m, c);
	}
}

static void enter_drain(struct master *m) {
	enter(m, PHASE_DRAIN, (uint64_t)m->config->drain_seconds * 1000 + DRAIN_EXTRA_MS);
	control_all(m, PROCESS_WORKER, CONTROL_DRAIN);
}

/* Workers and admin are told, because they ignore SIGTERM, which a service manager may send to the whole group. */
static void enter_admin(struct master *m) {
	enter(m, PHASE_ADMIN, END_MS);
	control_all(m, PROCESS_ADMIN, CONTROL_DRAIN);
}

static void enter_end(struct master *m, int signo) {
	enter(m, PHASE_END, END_MS);
	signal_children(m, signo);
}

static void enter_predrain(struct master *m) {
	m->phase = PHASE_PREDRAIN;
	m->phase_due_ms = now_ms() + (uint64_t)m->config->predrain_seconds * 1000;
	atomic_store(&m->launch.stats->host.is_draining, 1);
	control_all(m, PROCESS_WORKER, CONTROL_REFUSE);
}

static void give_up(struct master *m, const char *why, const char *child) {
	log_line(LOG_ERROR, why, LF_TEXT("child", child));
	m->exit_status = HEROLD_EXIT_FAILED;
	if (m->phase != PHASE_END)
		enter_end(m, SIGKILL);
}

/* What is due in this phase. */
static void phase_step(struct master *m, uint64_t now) {
	if (m->phase == PHASE_PREDRAIN && now >= m->phase_due_ms)
		enter_drain(m);
	if (m->phase == PHASE_DRAIN && !is_running(m, PROCESS_WORKER))
		enter_admin(m);
	if (m->phase == PHASE_ADMIN && !is_running(m, PROCESS_ADMIN))
		enter_end(m, SIGTERM);
	if (m->phase >= PHASE_DRAIN && now >= m->phase_due_ms) {
		log_text(LOG_WARN, "killing the processes that did not end in time");
		signal_children(m, SIGKILL);
		m->phase_due_ms = now + END_MS;
	}
}

/* All processes follow. */
static void set_log_levels(struct master *m, int level) {
	for (int i = 0; i < LOG_AREAS; i++)
		atomic_store(&m->launch.stats->host.log.level[i], level);
}

static void set_log(struct master *m) {
	struct log_shared *log = &m->launch.stats->host.log;

	m->is_debugging = false;
	set_log_levels(m, m->config->log_level);
	atomic_store(&log->format, m->config->log_format);
	atomic_store(&log->lines_per_second, (int)m->config->log_lines_per_second);
}

/* --- children coming and going --- */

static void child_start(struct master *m, struct child *c, uint64_t now) {
	struct errbuf e;

	if (!launch_child(&m->launch, c, &e)) {
		log_line(LOG_ERROR, "cannot start a process", LF_TEXT("error", e.text));
		c->due_ms = now + FORK_RETRY_MS;
		return;
	}
	trace_event(start, 0, c->pid, c->slot);
	c->state = CHILD_STARTING;
	c->started_ms = now;
	c->is_killed = false;
	if (m->phase == PHASE_PREDRAIN && c->kind == PROCESS_WORKER)
		control(c, CONTROL_REFUSE, c->slot);
}

static void child_became_ready(struct master *m, struct child *c) {
	struct child *borrower = child_find_worker(m->children, m->child_count, c->borrower);
	char name[CHILD_NAME_MAX];

	trace_event(ready, 0, c->pid, c->slot);
	c->state = CHILD_READY;
	if (borrower != NULL)
		control(borrower, CONTROL_TAKE_BACK, c->slot);
	c->borrower = -1;
	child_name(c, name);
	log_line(m->phase == PHASE_START ? LOG_DEBUG : LOG_INFO, "a process is ready", LF_TEXT("child", name),
	    LF_I("child_pid", c->pid));
}

static void child_kill(struct child *c) {
	char name[CHILD_NAME_MAX];

	child_name(c, name);
	log_line(LOG_ERROR, "killing a process that was not ready in time", LF_TEXT("child", name), LF_I("child_pid", c->pid),
	    LF_I("limit_ms", CHILD_READY_MS));
	c->is_killed = true;
	kill(c->pid, SIGKILL);
}

static void child_lend(struct master *m, struct child *c) {
	struct child *borrower = child_find_lender(m->children, m->child_count, c->slot);

	if (borrower == NULL)
		return;
	c->borrower = borrower->slot;
	control(borrower, CONTROL_LEND, c->slot);
	log_line(LOG_WARN, "a slot's new clients go to another worker", LF_I("slot", c->slot), LF_I("worker", borrower->slot));
}

static void children_step(struct master *m, uint64_t now) {
	for (size_t i = 0; i < m->child_count; i++) {
		struct child *c = &m->children[i];

		if (c->state == CHILD_DOWN && now >= c->due_ms)
			child_start(m, c, now);
		if (c->state == CHILD_STARTING && atomic_load(&m->launch.stats->block[c->stats_block].is_ready) != 0)
			child_became_ready(m, c);
		if (child_is_stuck(c, now))
			child_kill(c);
		if (m->phase == PHASE_SERVE && child_wants_lender(c, now))
			child_lend(m, c);
	}
}

static void child_respawn(struct master *m, struct child *c, bool was_ready, int exit_code, uint64_t now) {
	uint32_t delay_ms = 0;
	char name[CHILD_NAME_MAX];

	child_name(c, name);
	switch (respawn_decide(&c->respawn, now - c->started_ms, was_ready, exit_code, &delay_ms)) {
	case RESPAWN_AGAIN:
		c->state = CHILD_DOWN;
		c->due_ms = now + delay_ms;
		if (was_ready)
			c->down_since_ms = now;
		atomic_fetch_add(&m->launch.stats->host.restarts[c->kind], 1);
		break;
	case RESPAWN_CONFIG:
		c->state = CHILD_ENDED;
		give_up(m, "stopping: a process cannot run with this configuration (it said why above)", name);
		break;
	case RESPAWN_HOPELESS:
		c->state = CHILD_ENDED;
		give_up(m, "stopping: a process ended five times in a row before it was ready", name);
		break;
	}
}

static void child_died(struct master *m, struct child *c, int wait_status, uint64_t now) {
	bool was_ready = c->state == CHILD_READY || atomic_load(&m->launch.stats->block[c->stats_block].is_ready) != 0;
	bool is_expected = is_over(m, c->kind);
	int exit_code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
	struct obituary obituary = { c, &m->launch.stats->trace[c->stats_block], wait_status, now - c->started_ms, wall_ms(), is_expected };

	trace_event(end, 0, c->pid, c->slot);
	obituary_log(&obituary);
	launch_forget(&m->launch, c);
	for (size_t i = 0; c->kind == PROCESS_WORKER && i < m->child_count; i++) {
		if (m->children[i].borrower == c->slot)
			m->children[i].borrower = -1;
	}
	if (is_expected)
		child_end(m, c);
	else
		child_respawn(m, c, was_ready, exit_code, now);
}

/* --- signals --- */

static void on_child(struct master *m, int signo) {
	int status;
	pid_t pid;

	(void)signo;
	/* As process 1 of a container this is the parent of everybody's orphans: those are reaped without a word. */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct child *c = child_find_pid(m->children, m->child_count, pid);

		if (c != NULL)
			child_died(m, c, status, now_ms());
	}
}

/* who: "signal" or "by", and which. */
static void begin_end(struct master *m, const char *who, const char *which) {
	log_line(LOG_INFO, "shutting down", LF_TEXT(who, which), LF_I("predrain_seconds", m->config->predrain_seconds),
	    LF_I("drain_seconds", m->config->drain_seconds));
	enter_predrain(m);
}

static void on_end(struct master *m, int signo) {
	if (m->phase >= PHASE_PREDRAIN) {
		log_line(LOG_WARN, "ending at once", LF_TEXT("signal", sigabbrev_np(signo)));
		m->exit_status = HEROLD_EXIT_FAILED;
		enter_end(m, SIGKILL);
		return;
	}
	begin_end(m, "signal", sigabbrev_np(signo));
}

static void log_certificates(const struct master *m) {
	if (m->certificates.bundle.len > 0)
		log_line(LOG_INFO, "certificates in use", LF_SLICE("certificates", buf_slice(&m->certificates.summary)));
}

static void log_credentials(const struct master *m) {
	if (m->config->auth != AUTH_MODE_NONE)
		log_line(LOG_INFO, "tokens are asked for", LF_SLICE("accepted", buf_slice(&m->credentials.summary)));
}

/* What was just read: to all workers. Who is started later inherits it. */
static void hand_over(struct master *m, enum process_kind kind, enum control_byte what, struct slice bundle) {
	struct errbuf e;
	int fd;

	if (bundle.len == 0)
		return;
	fd = proc_sealed_fd("herold-secrets", bundle.ptr, bundle.len, &e);
	if (fd < 0) {
		log_line(LOG_ERROR, "new secrets cannot be handed over", LF_TEXT("error", e.text));
		return;
	}
	for (size_t i = 0; i < m->child_count; i++) {
		if (m->children[i].kind == kind)
			control_with(&m->children[i], what, m->children[i].slot, fd);
	}
	close(fd);
}

/* Takes *fresh, which was tried, and leaves what was there before in it. */
static void use_secrets(struct master *m, struct credentials *fresh) {
	struct credentials old = m->credentials;

	m->credentials = *fresh;
	*fresh = old;
	hand_over(m, PROCESS_WORKER, CONTROL_CERTIFICATES, buf_slice(&m->certificates.bundle));
	hand_over(m, PROCESS_WORKER, CONTROL_AUTH, buf_slice(&m->credentials.bundle));
	log_certificates(m);
	log_credentials(m);
}

/* In the mode that is in force; another one would need a restart. */
static bool reload_credentials(const struct master *m, struct config *fresh, struct credentials *out, struct errbuf *e) {
	int wanted = fresh->auth;
	bool is_good;

	fresh->auth = m->config->auth;
	is_good = credentials_open(out, fresh, e);
	fresh->auth = wanted;
	return is_good;
}

/* One that is there no more stays: without it, the listener would be open to everybody. */
static void use_admin_token(struct master *m, const struct admin_token *fresh) {
	if (!fresh->is_set)
		return;
	m->admin_token = *fresh;
	hand_over(m, PROCESS_ADMIN, CONTROL_AUTH, slice_of(fresh->digest, sizeof(fresh->digest)));
}

/* False: what was read cannot be used, which is logged. */
static bool reload(struct master *m) {
	struct credentials credentials = { .bundle = { 0 } };
	struct buf now_valid, needs_restart;
	struct admin_token admin_token;
	struct config fresh;
	bool is_good = false;
	struct errbuf e;

	buf_init(&now_valid, 4096);
	buf_init(&needs_restart, 4096);
	/* Certificates last, because they are in use with that: all or nothing. */
	if (config_load(&fresh, m->source, &e) && config_load_admin_token(&fresh, &admin_token, &e) &&
	    reload_credentials(m, &fresh, &credentials, &e) &&
	    certificates_reload(&m->certificates, &fresh, now_ms(), &e)) {
		config_add_changes(m->config, &fresh, true, &now_valid);
		config_add_changes(m->config, &fresh, false, &needs_restart);
		config_swap_reloadable(m->config, &fresh);
		set_log(m);
		use_secrets(m, &credentials);
		use_admin_token(m, &admin_token);
		is_good = true;
		log_line(LOG_INFO, "the configuration was read again", LF_SLICE("changed", buf_slice(&now_valid)),
		    LF_SLICE("needs_restart", buf_slice(&needs_restart)));
	} else {
		log_line(LOG_ERROR, "the configuration was read again and refused; the old one stays", LF_TEXT("error", e.text));
	}
	credentials_close(&credentials);
	config_fini(&fresh);
	buf_fini(&now_valid);
	buf_fini(&needs_restart);
	return is_good;
}

static void on_reload(struct master *m, int signo UNUSED) {
	(void)reload(m);
}

/* What the admin process was asked to order. No client's bytes are in it. */
static void on_order(struct master *m, int signo UNUSED) {
	const struct child *admin = &m->children[m->child_count - 1];
	struct control_message order;

	while (child_is_running(admin) && control_receive(admin->control_fd, &order) == CONTROL_GOT) {
		if (order.fd >= 0)
			close(order.fd);
		if (order.what == CONTROL_RELOAD)
			control(admin, CONTROL_RELOADED, reload(m));
		else if (order.what == CONTROL_DRAIN && m->phase < PHASE_PREDRAIN)
			begin_end(m, "by", "the admin listener");
	}
}

/* All areas at debug; the second time, as configured. */
static void on_debug(struct master *m, int signo) {
	m->is_debugging = !m->is_debugging;
	set_log_levels(m, m->is_debugging ? LOG_DEBUG : m->config->log_level);
	log_line(LOG_WARN, m->is_debugging ? "the log has everything now" : "the log is again as configured", LF_TEXT("audit", "admin"),
	    LF_TEXT("signal", sigabbrev_np(signo)));
}

static const struct {
	int signo;
	void (*act)(struct master *m, int signo);	/* NULL: ignored */
} signals[] = {
	{ SIGCHLD, on_child },
	{ SIGTERM, on_end },
	{ SIGINT, on_end },
	{ SIGHUP, on_reload },
	{ SIGIO, on_order },
	{ SIGPIPE, NULL },
	{ SIGUSR1, on_debug },
	{ SIGUSR2, NULL },
};

static void block_signals(sigset_t *set) {
	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaddset(set, signals[i].signo);
	sigprocmask(SIG_BLOCK, set, NULL);
}

static void handle_signal(struct master *m, int signo) {
	trace_event(signal, 0, signo, 0);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		if (signals[i].signo == signo && signals[i].act != NULL)
			signals[i].act(m, signo);
	}
}

/* --- the start --- */

static int slots_wanted(const struct config *c) {
	cpu_set_t cores;

	if (c->workers > 0)
		return (int)c->workers;
	/* What this process may use, which in a container can be less than what the machine has. */
	if (sched_getaffinity(0, sizeof(cores), &cores) != 0)
		return 1;
	return CPU_COUNT(&cores) < 256 ? CPU_COUNT(&cores) : 256;
}

/* inherited: what was open before the listeners, and is in workers too. */
static void log_file_limit(const struct master *m, uint64_t files, unsigned inherited) {
	uint64_t own = (uint64_t)(WORKER_OWN_FILES + listeners_count(&m->listeners)) + inherited;
	uint64_t each = files > own ? files - own : 0;

	log_line(LOG_INFO, "connections allowed by the limit of open files", LF_U("files", files),
	    LF_U("connections_per_worker", each), LF_U("connections", each * (uint64_t)m->listeners.slots));
}

/* Half of what there is, unless it is said. */
static void set_memory_bound(struct master *m) {
	uint64_t bound = (uint64_t)m->config->memory_bytes;
	struct memory_watch *watch = &m->launch.memory;

	memory_watch_open(watch, "");
	if (watch->fd < 0)
		log_text(LOG_WARN, "the kernel does not say how much memory sockets take, so that is not counted");
	if (bound == 0)
		bound = watch->there_is / 2;
	atomic_store(&m->launch.stats->host.memory_bytes, bound);
	log_line(LOG_INFO, "memory that clients may take", LF_U("memory_bytes", bound), LF_U("there_is", watch->there_is),
	    LF_TEXT("of", watch->is_container ? "the container" : "the machine"));
}

static bool master_open(struct master *m, struct errbuf *e) {
	int slots = slots_wanted(m->config), block;

	proc_set_title("herold: master");
	proc_set_core_dumps(m->config->core_dumps == SWITCH_ON);
	if (!config_load_admin_token(m->config, &m->admin_token, e))
		return false;
	if (!certificates_open(&m->certificates, m->config, now_ms(), e) || !credentials_open(&m->credentials, m->config, e) ||
	    !listeners_open(&m->listeners, m->config, slots, e))
		return false;
	m->launch = (struct launcher){ .config = m->config, .source = m->source, .admin_token = &m->admin_token,
		.listeners = &m->listeners, .certificates = &m->certificates, .credentials = &m->credentials, .memory.fd = -1, .stats_fd = -1, .broker_fd = -1,
		.master_pid = (int)getpid() };
	m->launch.stats = stats_map_new(&m->launch.stats_fd, e);
	if (m->launch.stats == NULL || !launch_prepare_broker(&m->launch, e))
		return false;
	m->launch.limits = limits_new(m->config, slots, e);
	if (m->launch.limits == NULL)
		return false;
	block = stats_block_take(m->launch.stats, PROCESS_MASTER, 0);
	stats_use_block(m->launch.stats, block);
	set_log(m);
	log_follow(&m->launch.stats->host.log);
	atomic_store(&stats_own->is_ready, 1);
	atomic_store(&m->launch.stats->host.workers, slots);
	m->child_count = (size_t)slots + 2;
	m->children = mem_alloc(m->child_count * sizeof(*m->children));
	m->launch.children = m->children;
	m->launch.child_count = m->child_count;
	child_init(&m->children[0], PROCESS_BROKER, 0, now_ms());
	for (int i = 0; i < slots; i++)
		child_init(&m->children[1 + i], PROCESS_WORKER, i, now_ms());
	child_init(&m->children[1 + slots], PROCESS_ADMIN, 0, now_ms());
	return true;
}

static void master_close(struct master *m) {
	certificates_close(&m->certificates);
	credentials_close(&m->credentials);
	listeners_close(&m->listeners);
	limits_free(&m->launch.limits);
	memory_watch_close(&m->launch.memory);
	if (m->launch.stats_fd >= 0)
		close(m->launch.stats_fd);
	if (m->launch.broker_fd >= 0)
		close(m->launch.broker_fd);
	mem_free(m->children);
}

static bool are_all_ready(const struct master *m) {
	for (size_t i = 0; i < m->child_count; i++) {
		if (m->children[i].state != CHILD_READY)
			return false;
	}
	return true;
}

/* --- the loop --- */

static void earlier(uint64_t *due, uint64_t at) {
	if (at < *due)
		*due = at;
}

/* How long nothing is due: the time to sleep for, unless a signal comes. Readiness is a flag in shared memory that wakes
 * nobody, so it is looked at while somebody starts. */
static struct timespec time_to_wait(const struct master *m, uint64_t now) {
	uint64_t due = now + 3600 * 1000, left;

	if (m->phase >= PHASE_PREDRAIN)
		earlier(&due, m->phase_due_ms);
	earlier(&due, m->usage_due_ms);
	if (m->certificates.rotate_due_ms > 0)
		earlier(&due, m->certificates.rotate_due_ms);
	for (size_t i = 0; i < m->child_count; i++) {
		const struct child *c = &m->children[i];

		if (c->state == CHILD_DOWN)
			earlier(&due, c->due_ms);
		if (c->state == CHILD_STARTING)
			earlier(&due, now + READY_POLL_MS);
		if (c->state == CHILD_DOWN && c->kind == PROCESS_WORKER && c->borrower < 0 && now < c->down_since_ms + CHILD_LEND_MS)
			earlier(&due, c->down_since_ms + CHILD_LEND_MS);
	}
	left = due > now ? due - now : 0;
	return (struct timespec){ .tv_sec = (time_t)(left / 1000), .tv_nsec = (long)(left % 1000) * 1000000 };
}

static void count_usage(struct master *m, uint64_t now) {
	struct usage usage;

	if (now < m->usage_due_ms)
		return;
	m->usage_due_ms = now + USAGE_MS;
	stat_set(STAT_accept_queue, listeners_waiting(&m->listeners));
	/* Opened each time, so that no child inherits it. */
	usage_open(&usage);
	usage_count(&usage, 0);
	usage_close(&usage);
}

static void master_loop(struct master *m, const sigset_t *set) {
	while (m->phase != PHASE_END || is_anybody_running(m)) {
		struct timespec wait;
		int signo;

		trace_clock(wall_ms());
		log_tell_held(false);
		children_step(m, now_ms());
		if (m->phase == PHASE_START && are_all_ready(m)) {
			m->phase = PHASE_SERVE;
			listeners_log_ready(&m->listeners);
		}
		phase_step(m, now_ms());
		certificates_step(&m->certificates, m->config, now_ms());
		count_usage(m, now_ms());
		wait = time_to_wait(m, now_ms());
		signo = sigtimedwait(set, NULL, &wait);
		if (signo > 0)
			handle_signal(m, signo);
	}
}

int master_run(struct config *config, const struct config_source *source) {
	struct master m = { .config = config, .source = source, .launch = { .memory.fd = -1, .stats_fd = -1, .broker_fd = -1 } };
	/* Before the listeners: there can be thousands. */
	uint64_t files = proc_raise_file_limit();
	unsigned inherited;
	struct errbuf e;
	sigset_t set;

	log_setup((enum log_level)config->log_level, (enum log_format)config->log_format, "master");
	crash_init();
	config_warn(source);
	inherited = proc_open_files(files);
	block_signals(&set);
	if (master_open(&m, &e)) {
		set_memory_bound(&m);
		log_file_limit(&m, files, inherited);
		log_certificates(&m);
		log_credentials(&m);
		master_loop(&m, &set);
		log_line(LOG_INFO, "stopped", LF_I("status", m.exit_status));
	} else {
		log_line(LOG_ERROR, "cannot start", LF_TEXT("error", e.text));
		m.exit_status = HEROLD_EXIT_FAILED;
	}
	master_close(&m);
	return m.exit_status;
}
