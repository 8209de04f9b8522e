/* procs - schedstat, stat, children and smaps_rollup of /proc */
#include "tests/load/procs.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool pids_parse(struct pids *p, const char *text) {
	p->count = 0;
	while (*text != '\0') {
		char *end;
		long pid = strtol(text, &end, 10);

		if (end == text || pid <= 0 || (*end != ',' && *end != '\0') || p->count == PIDS_MAX)
			return false;
		p->pid[p->count++] = (int)pid;
		text = *end == ',' ? end + 1 : end;
	}
	return true;
}

static bool read_file(const char *path, char *text, size_t size) {
	FILE *f = fopen(path, "re");
	size_t len;

	if (f == NULL)
		return false;
	len = fread(text, 1, size - 1, f);
	text[len] = '\0';
	fclose(f);
	return len > 0;
}

/* Of one thread; children that ended meanwhile are none any more. */
static bool add_children(struct pids *p, int pid, const char *task) {
	char path[80];
	FILE *f;
	int child;
	bool fits = true;

	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", pid, task);
	f = fopen(path, "re");
	if (f == NULL)
		return true;
	while (fits && fscanf(f, "%d", &child) == 1) {
		fits = p->count < PIDS_MAX;
		if (fits)
			p->pid[p->count++] = child;
	}
	fclose(f);
	return fits;
}

bool pids_tree(struct pids *p, int pid) {
	p->count = 1;
	p->pid[0] = pid;
	for (size_t at = 0; at < p->count; at++) {
		struct dirent *entry;
		bool fits = true;
		char path[64];
		DIR *tasks;

		snprintf(path, sizeof(path), "/proc/%d/task", p->pid[at]);
		tasks = opendir(path);
		if (tasks == NULL && at == 0)
			return false;
		while (tasks != NULL && fits && (entry = readdir(tasks)) != NULL)
			fits = entry->d_name[0] == '.' || add_children(p, p->pid[at], entry->d_name);
		if (tasks != NULL)
			closedir(tasks);
		if (!fits)
			return false;
	}
	return true;
}

static bool threads_ns(int pid, uint64_t *ns) {
	char path[64], text[256];
	struct dirent *entry;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	if (tasks == NULL)
		return false;
	*ns = 0;
	while ((entry = readdir(tasks)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/schedstat", pid, entry->d_name);
		if (!read_file(path, text, sizeof(text))) {
			closedir(tasks);
			return false;
		}
		*ns += strtoull(text, NULL, 10);
	}
	closedir(tasks);
	return true;
}

/* proc(5): fields 14 and 15, counted behind the name, which is in parentheses and may hold anything. */
static bool process_ns(int pid, uint64_t *ns) {
	char path[64], text[1024];
	uint64_t utime, stime;
	const char *rest;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (!read_file(path, text, sizeof(text)))
		return false;
	rest = strrchr(text, ')');
	if (rest == NULL || sscanf(rest, ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64 " %" SCNu64, &utime, &stime) != 2)
		return false;
	*ns = (utime + stime) * (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK));
	return true;
}

bool pids_cpu_ns(const struct pids *p, uint64_t *ns) {
	*ns = 0;
	for (size_t i = 0; i < p->count; i++) {
		uint64_t one;

		if (!threads_ns(p->pid[i], &one) && !process_ns(p->pid[i], &one))
			return false;
		*ns += one;
	}
	return true;
}

bool pids_pss_bytes(const struct pids *p, uint64_t *bytes) {
	char path[64], text[4096];

	*bytes = 0;
	for (size_t i = 0; i < p->count; i++) {
		const char *line;

		snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", p->pid[i]);
		if (!read_file(path, text, sizeof(text)))
			return false;
		line = strstr(text, "\nPss:");
		if (line == NULL)
			return false;
		*bytes += strtoull(line + 5, NULL, 10) * 1024;
	}
	return true;
}
