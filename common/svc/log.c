/* log - levels, kinds of which there are too many, and the latest warnings and errors */
#include "common/svc/log.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "common/svc/log_compose.h"
#include "common/svc/log_sink.h"
#include "common/svc/stats.h"

enum { SECOND_MS = 1000, LOSS_KEPT_MS = 60 * SECOND_MS };

static struct log_shared own = {
	.level = {
#define LOG_AREA_ROW(name, what) LOG_INFO,
#include "common/svc/log_areas.tbl"
	},
};
struct log_shared *log_followed = &own;

static struct {
	char process[LOG_PROCESS_BYTES];
	int pid;		/* 0: not yet asked for */
	uint64_t lost;		/* lines that nobody took since the last that was taken */
	uint64_t loss_kept_ms;	/* wall clock: when that was last put among the latest warnings */
	struct log_kind *held;	/* kinds with lines held back */
} state;

static const char *const level_names[LOG_LEVELS] = { "error", "warn", "info", "debug" };

static const char *const area_names[LOG_AREAS] = {
#define LOG_AREA_ROW(name, what) #name,
#include "common/svc/log_areas.tbl"
};

/* --- names --- */

const char *log_level_name(enum log_level level) {
	return level_names[level];
}

const char *log_area_name(enum log_area area) {
	return area_names[area];
}

static bool find(const char *const *names, int count, struct slice name, int *out) {
	for (*out = 0; *out < count; ++*out) {
		if (slice_eq_text(name, names[*out]))
			return true;
	}
	return false;
}

bool log_level_find(struct slice name, enum log_level *out) {
	int i;
	bool is_found = find(level_names, LOG_LEVELS, name, &i);

	*out = (enum log_level)i;
	return is_found;
}

bool log_area_find(struct slice name, enum log_area *out) {
	int i;
	bool is_found = find(area_names, LOG_AREAS, name, &i);

	*out = (enum log_area)i;
	return is_found;
}

/* --- what is in force --- */

void log_setup(enum log_level level, enum log_format format, const char *process) {
	log_followed = &own;
	log_set_level(level);
	atomic_store(&own.format, (int)format);
	atomic_store(&own.lines_per_second, 0);
	snprintf(state.process, sizeof(state.process), "%s", process);
	state.loss_kept_ms = 0;
	state.pid = (int)getpid();
	log_sink_open();
}

void log_set_level(enum log_level level) {
	for (int i = 0; i < LOG_AREAS; i++)
		atomic_store(&own.level[i], (int)level);
}

void log_follow(struct log_shared *shared) {
	log_followed = shared;
}

static uint64_t clock_ms(clockid_t id) {
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * SECOND_MS + (uint64_t)ts.tv_nsec / 1000000;
}

/* --- the latest warnings and errors --- */

/* Whoever comes first takes the place. Two writers in one place, a whole round of it apart, would mix their lines, no more; a process
 * that was killed amid one leaves a turn that is odd. */
static void keep(const struct log_head *h, const char *message, const struct log_field *fields) {
	uint64_t turn = atomic_fetch_add(&log_followed->recent_next, 1);
	struct log_recent_slot *slot = &log_followed->recent[turn % LOG_RECENT];

	atomic_store(&slot->turn, 2 * turn + 1);
	slot->line.wall_ms = h->wall_ms;
	slot->line.level = (int)h->level;
	slot->line.area = (int)h->area;
	slot->line.pid = h->pid;
	memcpy(slot->line.process, state.process, sizeof(slot->line.process));
	log_compose_short(slot->line.text, sizeof(slot->line.text), message, fields);
	atomic_store(&slot->turn, 2 * turn + 2);
}

static int nearest(int value, int count) {
	return value < 0 ? 0 : value < count ? value : count - 1;
}

static bool read_slot(const struct log_recent_slot *slot, uint64_t turn, struct log_recent *out) {
	if (atomic_load(&slot->turn) != 2 * turn + 2)
		return false;
	memcpy(out, &slot->line, sizeof(*out));
	/* Whoever wrote it may have been taken over. */
	out->level = nearest(out->level, LOG_LEVELS);
	out->area = nearest(out->area, LOG_AREAS);
	out->process[sizeof(out->process) - 1] = '\0';
	out->text[sizeof(out->text) - 1] = '\0';
	atomic_thread_fence(memory_order_acquire);
	return atomic_load(&slot->turn) == 2 * turn + 2;
}

size_t log_recent(const struct log_shared *shared, struct log_recent out[LOG_RECENT]) {
	uint64_t next = atomic_load(&shared->recent_next);
	size_t n = 0;

	for (uint64_t back = 1; back <= LOG_RECENT && back <= next; back++) {
		if (read_slot(&shared->recent[(next - back) % LOG_RECENT], next - back, &out[n]))
			n++;
	}
	return n;
}

/* --- writing --- */

static struct log_head head_of(enum log_area area, enum log_level level) {
	if (state.pid == 0)
		state.pid = (int)getpid();
	return (struct log_head){ clock_ms(CLOCK_REALTIME), level, area, state.process, state.pid };
}

static bool write_line(const struct log_head *head, const char *message, const struct log_field *fields) {
	struct log_composed l;

	log_compose(&l, atomic_load_explicit(&log_followed->format, memory_order_relaxed) == LOG_FORMAT_JSON, head, message, fields);
	if (!log_sink_write(l.text, l.len))
		return false;
	stat_add((enum stat_id)(STAT_log_lines_error + head->level), 1);
	return true;
}

/* A reader who is slow for long makes many such lines: of the latest warnings they get one place in a minute. */
static void tell_lost(void) {
	static const char message[] = "log lines were lost, their reader did not keep up";
	const struct log_field fields[] = { LF_U("lines", state.lost), { 0 } };
	struct log_head head = head_of(LOG_AREA_process, LOG_WARN);

	if (!write_line(&head, message, fields))
		return;
	state.lost = 0;
	if (head.wall_ms - state.loss_kept_ms < LOSS_KEPT_MS)
		return;
	keep(&head, message, fields);
	state.loss_kept_ms = head.wall_ms;
}

static void write_or_lose(enum log_area area, enum log_level level, const char *message, const struct log_field *fields) {
	struct log_head head = head_of(area, level);

	if (level <= LOG_WARN)
		keep(&head, message, fields);
	if (state.lost > 0)
		tell_lost();
	if (state.lost == 0 && write_line(&head, message, fields))
		return;
	state.lost++;
	stat_add(STAT_log_lost, 1);
}

/* --- kinds of which there are too many --- */

static void tell(struct log_kind *kind) {
	uint32_t held = kind->held;

	kind->held = 0;
	write_or_lose((enum log_area)kind->area, (enum log_level)kind->level, "lines of a kind were held back",
	    (const struct log_field[]){ LF_TEXT("kind", kind->message), LF_U("held", held), { 0 } });
}

/* Those that have nothing to tell any more are taken out. */
void log_tell_held(bool of_all) {
	uint64_t now = clock_ms(CLOCK_MONOTONIC_COARSE);
	struct log_kind **at = &state.held;

	while (*at != NULL) {
		struct log_kind *kind = *at;

		if (!of_all && now - kind->since_ms < SECOND_MS) {
			at = &kind->next;
			continue;
		}
		*at = kind->next;
		tell(kind);
	}
}

bool log_is_holding(void) {
	return state.held != NULL;
}

static bool is_one_too_many(struct log_kind *kind) {
	uint32_t most = (uint32_t)atomic_load_explicit(&log_followed->lines_per_second, memory_order_relaxed);
	uint64_t now;

	if (most == 0)
		return false;
	now = clock_ms(CLOCK_MONOTONIC_COARSE);
	if (now - kind->since_ms >= SECOND_MS) {
		/* Its second is over: it is among those that are told of now. */
		if (kind->held > 0)
			log_tell_held(false);
		kind->since_ms = now;
		kind->written = 0;
	}
	return ++kind->written > most;
}

static void hold(struct log_kind *kind, enum log_area area, enum log_level level, const char *message) {
	kind->message = message;
	kind->area = (uint8_t)area;
	kind->level = (uint8_t)level;
	stat_add(STAT_log_held_back, 1);
	if (kind->held++ > 0)
		return;
	kind->next = state.held;
	state.held = kind;
}

void log_write(struct log_kind *kind, enum log_area area, enum log_level level, const char *message, const struct log_field *fields) {
	int saved = errno;

	if (is_one_too_many(kind))
		hold(kind, area, level, message);
	else
		write_or_lose(area, level, message, fields);
	errno = saved;
}
