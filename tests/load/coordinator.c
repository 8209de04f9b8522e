/* coordinator - phases, signals, progress, and the end */
#include "tests/load/coordinator.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/load/load.h"
#include "tests/load/report.h"
#include "tests/load/tls.h"
#include "tests/load/verdict.h"

enum { FILES_KEPT = 64, OPENING_STALL_SECONDS = 30, RUN_STALL_SECONDS = 5, LOOK_MS = 5, STATUS_INTERRUPTED = 128 + SIGINT };

static struct run {
	struct options *o;
	struct shared *s;
	pid_t *pid;
	int signals;
	bool is_interrupted, has_input_ended, has_stalled;
	uint64_t next_line_ns;
	struct counters line;	/* as they were at the line before */
	struct results results;
	struct pids measured;
	uint64_t cpu_ns;
} run;

/* The others end with this process. */
NORETURN static void fail(const char *why, const char *more) {
	fprintf(stderr, "herold-load: %s%s%s\n", why, more[0] != '\0' ? ": " : "", more);
	exit(EXIT_FAILURE);
}

static struct counters counted(void) {
	struct counters n = { 0 };

	for (uint32_t i = 0; i < run.s->process_count; i++) {
		const struct counters *one = &run.s->process[i].n;

		n.opened += one->opened;
		n.ready += one->ready;
		n.refused += one->refused;
		n.lost += one->lost;
		n.messages += one->messages;
		n.pings += one->pings;
		n.sent += one->sent;
	}
	return n;
}

static void progress(uint64_t now) {
	struct counters n;
	double seconds = (double)run.o->stats_interval;

	if (!run.o->progress || now < run.next_line_ns)
		return;
	n = counted();
	run.next_line_ns += (uint64_t)run.o->stats_interval * SECOND_NS;
	fprintf(stderr, "%4.0f s: opened %" PRIu64 ", ready %" PRIu64 ", refused %" PRIu64 ", lost %" PRIu64 "; per second: %.0f sent, %.0f messages, %.0f pings\n",
		(double)(now - run.s->opening_ns) / 1e9, n.opened, n.ready, n.refused, n.lost, (double)(n.sent - run.line.sent) / seconds,
		(double)(n.messages - run.line.messages) / seconds, (double)(n.pings - run.line.pings) / seconds);
	run.line = n;
}

/* A process that ends before it is told to has said why, or could not. */
static void child_ended(void) {
	int status;
	pid_t pid = waitpid(-1, &status, WNOHANG);
	char text[80];

	if (pid <= 0)
		return;
	if (WIFEXITED(status))
		exit(EXIT_FAILURE);
	snprintf(text, sizeof(text), "one of the load's processes was ended by signal %d", WTERMSIG(status));
	fail(text, "");
}

static void signalled(void) {
	struct signalfd_siginfo info;

	while (read(run.signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			child_ended();
		else if (run.is_interrupted)
			exit(STATUS_INTERRUPTED);
		else
			run.is_interrupted = true;
	}
}

/* For so long, or until something has happened. */
static void wait_ns(uint64_t ns) {
	struct pollfd fds[] = { { .fd = run.signals, .events = POLLIN },
		{ .fd = run.o->hold && !run.has_input_ended ? STDIN_FILENO : -1, .events = POLLIN } };
	struct timespec most = { .tv_sec = (time_t)(ns / SECOND_NS), .tv_nsec = (long)(ns % SECOND_NS) };
	char ignored[256];

	if (ppoll(fds, ARRAY_LEN(fds), &most, NULL) > 0) {
		if (fds[0].revents != 0)
			signalled();
		if (fds[1].revents != 0 && read(STDIN_FILENO, ignored, sizeof(ignored)) <= 0)
			run.has_input_ended = true;
	}
	progress(now_ns());
}

static void give_order(int phase) {
	uint64_t one = 1;

	atomic_store(&run.s->phase, phase);
	if (write(run.s->order, &one, sizeof(one)) < 0)
		fail("eventfd", strerror(errno));
}

static void start_processes(void) {
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	run.signals = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	run.pid = mem_zalloc(run.s->process_count * sizeof(run.pid[0]));
	fflush(NULL);
	for (uint32_t i = 0; i < run.s->process_count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			fail("no further process", strerror(errno));
		if (pid == 0)
			load_process(run.o, run.s, i);
		run.pid[i] = pid;
	}
}

/* Of a server that was named. Its processes may have changed: then there is no figure. */
static bool measure_cpu(uint64_t *ns) {
	struct pids p = run.o->pids;

	if (p.count == 0 || (run.o->pid > 0 && !pids_tree(&p, (int)run.o->pid)))
		return false;
	if (p.count != run.measured.count || memcmp(p.pid, run.measured.pid, p.count * sizeof(p.pid[0])) != 0)
		return false;
	return pids_cpu_ns(&p, ns);
}

static uint64_t measure_pss(bool *is_known) {
	struct pids p = run.o->pids;
	uint64_t bytes = 0;

	*is_known = *is_known && p.count > 0 && (run.o->pid == 0 || pids_tree(&p, (int)run.o->pid)) && pids_pss_bytes(&p, &bytes);
	return bytes;
}

/* Returns when each connection is ready, or will not be. */
static void open_all(void) {
	uint64_t moved_ns = now_ns(), before = 0, connections = (uint64_t)run.o->connections;
	char text[120];

	for (;;) {
		struct counters n = counted();
		uint64_t settled = 0, now = now_ns();

		for (uint32_t i = 0; i < run.s->process_count; i++)
			settled += atomic_load(&run.s->process[i].settled);
		if (settled == connections || run.is_interrupted)
			break;
		if (n.refused > 0 && n.opened == 0)
			fail("no connection", run.s->problem);
		if (settled + n.opened != before)
			moved_ns = now;
		before = settled + n.opened;
		if (now - moved_ns > OPENING_STALL_SECONDS * SECOND_NS) {
			snprintf(text, sizeof(text), "%" PRIu64 " of %" PRIu64 " connections are ready, and nothing has moved for %d s", n.ready,
				connections, OPENING_STALL_SECONDS);
			fail(text, run.s->problem);
		}
		wait_ns(LOOK_MS * MILLISECOND_NS);
	}
	if (counted().ready == 0 && !run.is_interrupted)
		fail(counted().opened == 0 ? "no connection" : "no connection is left", run.s->problem);
}

static bool all_are(size_t offset) {
	for (uint32_t i = 0; i < run.s->process_count; i++) {
		if (!atomic_load((atomic_bool *)((char *)&run.s->process[i] + offset)))
			return false;
	}
	return true;
}

#define ALL_HAVE(flag) all_are(offsetof(struct process, flag))

static void stop_now(void) {
	uint64_t one = 1;

	atomic_store(&run.s->until_ns, now_ns());
	if (write(run.s->order, &one, sizeof(one)) < 0)
		fail("eventfd", strerror(errno));
}

/* A closed loop in which nothing moves is over, and so is everything without connections. */
static void look_for_stall(uint64_t now, uint64_t *moved_ns, struct counters *before) {
	struct counters n = counted();

	if (n.lost + n.refused >= (uint64_t)run.o->connections) {
		stop_now();
		return;
	}

	if (n.messages != before->messages || n.sent != before->sent || n.pings != before->pings || run.o->scenario->id == IDLE ||
		now < run.s->from_ns)
		*moved_ns = now;
	*before = n;
	if (now - *moved_ns <= RUN_STALL_SECONDS * SECOND_NS)
		return;
	run.has_stalled = true;
	shared_set_problem(run.s, "nothing came for %d s", RUN_STALL_SECONDS);
	stop_now();
}

static void wait_until(uint64_t until) {
	uint64_t moved_ns = now_ns(), now = moved_ns;
	struct counters before = counted();
	bool is_told = false;

	while ((now = now_ns()) < until && !ALL_HAVE(has_stopped)) {
		uint64_t left = until - now, look = LOOK_MS * MILLISECOND_NS;

		wait_ns(left < look ? left : look);
		if ((run.is_interrupted || run.has_input_ended) && !is_told) {
			is_told = true;
			stop_now();
		}
		if (!is_told)
			look_for_stall(now, &moved_ns, &before);
		is_told = is_told || run.s->until_ns <= now;
	}
}

/* Closed loop: when the last process stopped. Open loop: when the last message came, if that was later. */
static uint64_t measured_end(bool is_open_loop) {
	uint64_t stopped = 0, last = 0, end;

	for (uint32_t i = 0; i < run.s->process_count; i++) {
		const struct process *p = &run.s->process[i];

		stopped = p->stopped_ns > stopped ? p->stopped_ns : stopped;
		last = p->last_ns > last ? p->last_ns : last;
	}
	end = stopped < run.s->until_ns ? stopped : run.s->until_ns;
	if (!is_open_loop || last <= end)
		return end;
	run.results.last_seconds = (double)(last - end) / 1e9;
	return last;
}

static void measure(void) {
	/* Stamps have steps of their own: a message that is due at the very beginning must not seem to be from before it. */
	uint64_t step = 1 << STAMP_TIME_SHIFT, began = run.s->opening_ns + ((now_ns() - run.s->opening_ns) / step * step) + MILLISECOND_NS;
	uint64_t from = began + (uint64_t)run.o->warmup_ms * MILLISECOND_NS, end = 0, cpu = 0;
	bool is_open_loop = run.o->has_rate && !run.o->scenario->connects_in_run;
	uint64_t until = run.o->hold ? UINT64_MAX : from + (uint64_t)run.o->seconds * SECOND_NS;

	run.s->began_ns = began;
	run.s->from_ns = from;
	run.s->until_ns = run.is_interrupted ? began : until;
	give_order(PHASE_RUN);
	wait_until(from);
	run.measured = run.o->pids;
	if (run.o->pid > 0 && !pids_tree(&run.measured, (int)run.o->pid))
		run.measured.count = 0;
	run.results.has_cpu = measure_cpu(&run.cpu_ns);
	wait_until(until);
	if (!is_open_loop)
		run.results.has_cpu = run.results.has_cpu && measure_cpu(&cpu);
	while (!ALL_HAVE(has_stopped))
		wait_ns(LOOK_MS * MILLISECOND_NS);
	give_order(PHASE_DRAIN);
	while (!ALL_HAVE(has_drained))
		wait_ns(LOOK_MS * MILLISECOND_NS);
	/* What an overloaded server delivers late costs it time and processor, too. */
	if (is_open_loop)
		run.results.has_cpu = run.results.has_cpu && measure_cpu(&cpu);
	end = measured_end(is_open_loop);
	run.results.seconds = end > from ? (double)(end - from) / 1e9 : 0;
	run.results.cpu_seconds = (double)(cpu - run.cpu_ns) / 1e9;
}

static void end_processes(void) {
	give_order(PHASE_END);
	for (uint32_t i = 0; i < run.s->process_count; i++)
		waitpid(run.pid[i], NULL, 0);
	mem_free(run.pid);
}

static int judge(const struct results *r) {
	bool is_good = !run.has_stalled && verdict_is_good(&r->n, (uint64_t)run.o->lost_ok, (uint64_t)run.o->reset_ok);

	/* The first sentence is worth more than a count, but decides nothing: it may be of what was tried again, or is allowed. */
	if (run.s->problem[0] != '\0')
		fprintf(stderr, "herold-load: first: %s\n", run.s->problem);
	if (run.is_interrupted)
		return STATUS_INTERRUPTED;
	return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* As many processes as the limit of open files asks for. */
static uint32_t process_count(struct options *o) {
	struct rlimit files;
	uint64_t each, wanted;
	char text[160];

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		fail("getrlimit", strerror(errno));
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	each = files.rlim_max > 2 * FILES_KEPT ? files.rlim_max - FILES_KEPT : FILES_KEPT;
	wanted = ((uint64_t)o->connections + each - 1) / each;
	if (o->processes == 0 && wanted <= PROCESSES_MAX)
		return (uint32_t)wanted;
	if (wanted <= (uint64_t)o->processes)
		return (uint32_t)o->processes;
	snprintf(text, sizeof(text), "a process may open %" PRIu64 " files (ulimit -n): %ld connections need %" PRIu64 " processes",
		(uint64_t)files.rlim_max, o->connections, wanted);
	fail(text, wanted > PROCESSES_MAX ? "that is too many" : "");
}

/* Ports are given out for each pair of addresses. */
static void check_ports(const struct options *o) {
	unsigned long low = 32768, high = 60999, ports;
	uint64_t sources = o->has_source ? o->source_count : 1;
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	char text[240];

	if (f != NULL && fscanf(f, "%lu %lu", &low, &high) != 2)
		low = 1, high = 65535;
	if (f != NULL)
		fclose(f);
	ports = high - low + 1;
	if ((uint64_t)o->connections <= sources * ports || (o->scenario->id == CONNECT_ONLY && !o->keep))
		return;
	snprintf(text, sizeof(text),
		"%ld connections from %" PRIu64 " address%s, which ha%s %lu ports each: --source=ADDRESS,%" PRIu64
		" or more (on the loopback 127.0.1.1 and on), or sysctl net.ipv4.ip_local_port_range",
		o->connections, sources, sources == 1 ? "" : "es", sources == 1 ? "s" : "ve", ports, (uint64_t)o->connections / ports + 1);
	fail(text, "");
}

int coordinate(struct options *o) {
	bool is_known = true;
	struct errbuf err;

	run.o = o;
	if (!target_resolve(&o->target, &err))
		fail(err.text, "");
	if (o->has_source && o->target.address.ss_family != AF_INET)
		fail("--source is for IPv4, and the server's address is not", "");
	check_ports(o);
	if (o->target.is_tls && !tls_init(o, &err))
		fail(err.text, "");
	run.s = shared_new(process_count(o), (uint32_t)o->publishers, (uint32_t)o->rooms);
	run.s->opening_ns = now_ns();
	run.next_line_ns = run.s->opening_ns + (uint64_t)o->stats_interval * SECOND_NS;
	run.results.pss_bytes[MOMENT_BEFORE] = measure_pss(&is_known);
	start_processes();
	if (!o->scenario->connects_in_run)
		open_all();
	run.results.opening_seconds = (double)(now_ns() - run.s->opening_ns) / 1e9;
	run.results.pss_bytes[MOMENT_READY] = measure_pss(&is_known);
	if (o->scenario->id == IDLE && !run.is_interrupted) {
		puts("ready");
		fflush(stdout);
	}
	measure();
	run.results.pss_bytes[MOMENT_AFTER] = measure_pss(&is_known);
	end_processes();
	run.results.has_pss = is_known;
	results_collect(&run.results, run.s);
	report_print(o, run.s, &run.results);
	return judge(&run.results);
}
