/* measure - histogram and processor times */
#include "tests/load/measure.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void histogram_add(struct histogram *h, uint64_t value) {
	size_t at = (size_t)value;

	if (value >= 64) {
		unsigned shift = 63 - (unsigned)__builtin_clzll(value) - 6;

		at = (size_t)(shift + 1) * 64 + (size_t)(value >> shift & 63);
	}
	h->max = value > h->max ? value : h->max;
	h->bucket[at]++;
	h->count++;
}

uint64_t histogram_at(const struct histogram *h, double share) {
	uint64_t below = 0, wanted = (uint64_t)((double)h->count * share);

	for (size_t at = 0; at < HISTOGRAM_BUCKETS; at++) {
		below += h->bucket[at];
		if (below > wanted)
			return at < 64 ? at : (64 + (uint64_t)at % 64) << (at / 64 - 1);
	}
	return 0;
}

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
