/* main - herold-broker: started by the master, never by hand */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/broker.h"
#include "common/base/mem.h"
#include "common/base/outq.h"
#include "common/svc/config.h"
#include "common/svc/crash.h"
#include "common/svc/evloop.h"
#include "common/svc/log.h"
#include "common/svc/proc.h"
#include "common/svc/sandbox.h"
#include "common/svc/stats.h"
#include "common/svc/usage.h"

enum { CONFIG_MAX_BYTES = 16 << 20, REPLY_MARGIN_BYTES = 16 * 1024 };

struct arguments {
	int listen_fd, config_fd, stats_fd, stats_block;
};

static const struct {
	const char *name;
	size_t at;
} argument_rows[] = {
	{ "--listen-fd=", offsetof(struct arguments, listen_fd) },
	{ "--config-fd=", offsetof(struct arguments, config_fd) },
	{ "--stats-fd=", offsetof(struct arguments, stats_fd) },
	{ "--stats-block=", offsetof(struct arguments, stats_block) },
};

static bool take_argument(const char *text, struct arguments *out) {
	struct slice s = slice_text(text);
	uint64_t number;

	for (size_t i = 0; i < ARRAY_LEN(argument_rows); i++) {
		const char *name = argument_rows[i].name;

		if (!slice_starts_with(s, name))
			continue;
		if (!slice_to_u64(slice_skip(s, strlen(name)), &number) || number > INT32_MAX)
			return false;
		*(int *)(void *)((char *)out + argument_rows[i].at) = (int)number;
		return true;
	}
	return false;
}

static bool take_arguments(int argc, char **argv, struct arguments *out) {
	*out = (struct arguments){ -1, -1, -1, -1 };
	for (int i = 1; i < argc; i++) {
		if (!take_argument(argv[i], out))
			return false;
	}
	return out->listen_fd >= 0 && out->config_fd >= 0 && out->stats_fd >= 0 && out->stats_block >= 0;
}

static bool read_config(int fd, struct config *c, struct errbuf *e) {
	struct stat st;
	uint8_t *bytes;
	ssize_t n;
	bool is_ok;

	if (fstat(fd, &st) != 0 || st.st_size < 0 || st.st_size > CONFIG_MAX_BYTES)
		return errbuf_set(e, "the configuration cannot be read: %s", strerror(errno));
	bytes = mem_alloc((size_t)st.st_size);
	n = pread(fd, bytes, (size_t)st.st_size, 0);
	is_ok = n == st.st_size ? config_read_lines(c, slice_of(bytes, (size_t)n), e)
				: errbuf_set(e, "the configuration is cut off");
	explicit_bzero(bytes, (size_t)st.st_size);
	mem_free(bytes);
	close(fd);
	return is_ok;
}

static unsigned expected_links(const struct config *c) {
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned workers = c->workers > 0 ? (unsigned)c->workers : cores > 0 ? (unsigned)cores : 1;

	return workers + 1;	/* and the admin process */
}

static struct broker_settings settings_of(const struct config *c) {
	static const struct engine_ops *const engines[] = { [ENGINE_MEMORY] = &engine_memory, [ENGINE_REDIS] = &engine_redis };
	struct broker_settings s = { .engine = engines[c->engine], .config = c };

	s.message_max_bytes = config_link_message_bytes(c);
	s.queue_max_bytes = (size_t)c->link_queue_bytes;
	s.crash_grace_ms = (uint32_t)(c->crash_grace_seconds * 1000);
	s.expected_links = expected_links(c);
	s.limits.history_count = (size_t)c->room_history;
	s.limits.history_bytes = (size_t)c->history_bytes;
	s.limits.history_total_bytes = (size_t)c->history_total_bytes;
	s.limits.history_ms = (uint64_t)c->room_history_seconds * 1000;
	s.limits.idempotency_total_bytes = (size_t)c->idempotency_total_bytes;
	s.limits.idempotency_ms = (uint64_t)c->idempotency_seconds * 1000;
	s.limits.reply_max_bytes = s.message_max_bytes - REPLY_MARGIN_BYTES;
	s.limits.members_max = (uint32_t)c->room_members;
	return s;
}

static void on_signal(int fd, short ready UNUSED, void *arg) {
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_pid == (uint32_t)getppid())
			evloop_stop(arg);
	}
}

/* Only the master's SIGTERM ends us: a Ctrl-C or a service manager reaches the whole group, and the workers still need us while they
 * drain. */
static int open_signals(void) {
	sigset_t set;

	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_SETMASK, &set, NULL);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void turn_end(void *arg) {
	broker_turn_end(arg);
}

/* What it takes, each second. */
struct watch {
	struct broker *broker;
	struct usage usage;
	struct evloop_timer timer;
};

static void count_usage(void *arg) {
	struct watch *w = arg;

	usage_count(&w->usage, broker_links(w->broker));
	evloop_timer_start(&w->timer, USAGE_MS);
}

static int serve(const struct config *c, int listen_fd, int signal_fd) {
	struct broker_settings settings = settings_of(c);
	struct evloop *loop = evloop_new();
	struct broker *b = broker_new(loop, listen_fd, &settings);
	struct evloop_io signals = { 0 };
	struct watch watch = { .broker = b };

	if (b == NULL) {
		evloop_free(&loop);
		return EXIT_FAILURE;
	}
	evloop_io_start(loop, &signals, signal_fd, EVLOOP_READ, on_signal, loop);
	evloop_on_turn_end(loop, turn_end, b);
	evloop_count_turns(loop, STAT_broker_turn, STAT_broker_turn_longest);
	usage_open(&watch.usage);
	evloop_timer_init(loop, &watch.timer, count_usage, &watch);
	count_usage(&watch);
	sandbox_start(c->sandbox == SWITCH_ON, c->engine == ENGINE_REDIS ? SANDBOX_NETWORK : SANDBOX_LOCAL);
	atomic_store(&stats_own->is_ready, 1);
	log_line(LOG_INFO, "broker is ready", LF_TEXT("engine", settings.engine->name));
	evloop_run(loop);
	log_text(LOG_INFO, "broker ends");
	evloop_io_stop(&signals);
	evloop_timer_stop(&watch.timer);
	usage_count(&watch.usage, 0);
	usage_close(&watch.usage);
	broker_free(&b);
	evloop_free(&loop);
	outq_free_spare();
	return EXIT_SUCCESS;
}

static bool prepare(const struct arguments *a, struct config *c, struct errbuf *e) {
	int parent = getppid();
	struct stats_map *map;

	if (!read_config(a->config_fd, c, e))
		return false;
	log_setup((enum log_level)c->log_level, (enum log_format)c->log_format, "broker");
	crash_init();
	proc_set_title("herold: broker");
	map = stats_map_open(a->stats_fd, e);
	if (map == NULL)
		return false;
	if (a->stats_block >= STATS_BLOCKS)
		return errbuf_set(e, "there is no block %d of counters", a->stats_block);
	stats_use_block(map, a->stats_block);
	log_follow(&map->host.log);
	proc_raise_file_limit();
	usage_open_as_root();
	if (!proc_drop_root(c->user, e))
		return false;
	proc_set_core_dumps(c->core_dumps == SWITCH_ON);
	/* After that, because the kernel forgets it when the user changes. */
	return proc_die_with_parent(parent) || errbuf_set(e, "the master is gone");
}

int main(int argc, char **argv, char **environment) {
	struct arguments a;
	struct config c;
	struct errbuf e;
	int signal_fd, status = EXIT_FAILURE;

	mem_init();
	proc_init(argc, argv, environment);
	if (!take_arguments(argc, argv, &a)) {
		fprintf(stderr, "herold-broker is started by herold, not by hand\n");
		return 2;
	}
	signal_fd = open_signals();
	config_init(&c);
	if (signal_fd < 0)
		log_line(LOG_ERROR, "broker cannot start", LF_TEXT("error", strerror(errno)));
	else if (!prepare(&a, &c, &e))
		log_line(LOG_ERROR, "broker cannot start", LF_TEXT("error", e.text));
	else
		status = serve(&c, a.listen_fd, signal_fd);
	config_fini(&c);
	if (signal_fd >= 0)
		close(signal_fd);
	return status;
}
