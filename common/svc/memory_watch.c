/* memory_watch - limits and use of memory, from the files of /proc and of cgroups */
#include "common/svc/memory_watch.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/svc/stats.h"

enum { TEXT_BYTES = 8192 };

static int open_at(const char *root, const char *path) {
	char full[PATH_MAX];

	return snprintf(full, sizeof(full), "%s%s", root, path) < (int)sizeof(full) ? open(full, O_RDONLY | O_CLOEXEC) : -1;
}

/* The beginning of the file, as a text. False: there is none. */
static bool read_fd(int fd, char text[TEXT_BYTES]) {
	ssize_t n = fd >= 0 ? pread(fd, text, TEXT_BYTES - 1, 0) : -1;

	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static bool read_at(const char *root, const char *path, char text[TEXT_BYTES]) {
	int fd = open_at(root, path);
	bool is_there = read_fd(fd, text);

	if (fd >= 0)
		close(fd);
	return is_there;
}

/* The number behind `name`, which begins a line, and behind `more` later in it. 0: it is not there. */
static uint64_t number_after(const char *text, const char *name, const char *more) {
	const char *at = text, *end;

	while (at != NULL && strncmp(at, name, strlen(name)) != 0) {
		at = strchr(at, '\n');
		at = at != NULL ? at + 1 : NULL;
	}
	if (at == NULL)
		return 0;
	at += strlen(name);
	end = strchr(at, '\n');
	if (more[0] != '\0') {
		at = strstr(at, more);
		if (at == NULL || (end != NULL && at > end))
			return 0;
		at += strlen(more);
	}
	return strtoull(at, NULL, 10);
}

/* --- the limit --- */

/* Where a version of cgroups has its groups, in which file of each the limit is, and how its line in /proc/self/cgroup is told. */
static const struct hierarchy {
	const char *mount, *limit, *controller;
	bool has_stat;
} hierarchies[] = {
	{ "/sys/fs/cgroup", "memory.max", "", true },
	{ "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory", false },
};

/* Is `wanted` in a list with commas? */
static bool has_controller(const char *list, size_t len, const char *wanted) {
	size_t wanted_len = strlen(wanted);

	for (const char *at = list, *end = list + len; at <= end;) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		size_t n = (size_t)((comma != NULL ? comma : end) - at);

		if (n == wanted_len && memcmp(at, wanted, n) == 0)
			return true;
		at += n + 1;
	}
	return false;
}

/* Its path in that hierarchy, from a line "NUMBER:CONTROLLERS:PATH". False: it has none there. */
static bool find_group(const char *groups, const char *controller, char path[PATH_MAX]) {
	for (const char *line = groups; line != NULL && *line != '\0';) {
		const char *end = strchrnul(line, '\n'), *list = memchr(line, ':', (size_t)(end - line));
		const char *colon = list != NULL ? memchr(list + 1, ':', (size_t)(end - list) - 1) : NULL;

		if (colon != NULL && has_controller(list + 1, (size_t)(colon - list) - 1, controller)) {
			int len = (int)(end - colon) - 1;

			return snprintf(path, PATH_MAX, "%.*s", len, colon + 1) < PATH_MAX;
		}
		line = *end != '\0' ? end + 1 : end;
	}
	return false;
}

/* Of this group, or ULLONG_MAX: none ("max", or more than there can be). */
static uint64_t limit_of_group(const char *root, const struct hierarchy *h, const char *group) {
	char path[PATH_MAX], text[TEXT_BYTES], *end;
	uint64_t limit;

	if (snprintf(path, sizeof(path), "%s%s/%s", h->mount, group, h->limit) >= (int)sizeof(path) || !read_at(root, path, text))
		return UINT64_MAX;
	limit = strtoull(text, &end, 10);
	return end == text || limit == 0 ? UINT64_MAX : limit;
}

/* The least limit of the group and those above it. A container may see its own group as the top, whatever its path says. */
static void apply_limits(struct memory_watch *w, const char *root, const struct hierarchy *h, char *group) {
	char path[PATH_MAX];

	for (;;) {
		char *slash = strrchr(group, '/');
		uint64_t limit = limit_of_group(root, h, group);

		if (limit < w->there_is) {
			w->there_is = limit;
			w->is_container = true;
			if (w->fd >= 0)
				close(w->fd);
			w->fd = -1;
			if (h->has_stat && snprintf(path, sizeof(path), "%s%s/memory.stat", h->mount, group) < (int)sizeof(path))
				w->fd = open_at(root, path);
			w->is_stat = w->fd >= 0;
		}
		if (slash == NULL)
			return;
		*slash = '\0';
	}
}

void memory_watch_open(struct memory_watch *w, const char *root) {
	char text[TEXT_BYTES], group[PATH_MAX];

	*w = (struct memory_watch){ .fd = -1 };
	if (read_at(root, "/proc/meminfo", text))
		w->there_is = number_after(text, "MemTotal:", "") * 1024;
	if (read_at(root, "/proc/self/cgroup", text)) {
		for (size_t i = 0; i < ARRAY_LEN(hierarchies); i++) {
			if (find_group(text, hierarchies[i].controller, group))
				apply_limits(w, root, &hierarchies[i], group);
		}
	}
	if (w->fd < 0)
		w->fd = open_at(root, "/proc/net/sockstat");
}

void memory_watch_close(struct memory_watch *w) {
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

/* --- the use --- */

static uint64_t socket_bytes(const struct memory_watch *w) {
	char text[TEXT_BYTES];

	if (!read_fd(w->fd, text))
		return 0;
	if (w->is_stat)
		return number_after(text, "sock ", "");
	return number_after(text, "TCP:", " mem ") * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void add_block(const struct stats_block *b, struct memory_use *out) {
	out->queues += stat_get(b, STAT_client_queue_bytes);
	out->input += stat_get(b, STAT_client_input_bytes);
	out->links += stat_get(b, STAT_link_queue_bytes);
}

void memory_use_now(const struct memory_watch *w, struct memory_use *out) {
	const struct stats_block *b;
	int index = 0;

	*out = (struct memory_use){ .sockets = socket_bytes(w) };
	if (stats_shared == NULL)
		add_block(stats_own, out);
	while (stats_shared != NULL && (b = stats_next(stats_shared, &index)) != NULL)
		add_block(b, out);
}
