/* usage - what this process takes, from its clock and from /proc */
#include "common/svc/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/svc/proc.h"
#include "common/svc/stats.h"

static int root_fd = -1;

static uint64_t count_files(void) {
	/* The two that every folder has, and the folder itself. */
	enum { NOT_OURS = 3 };
	DIR *folder = opendir("/proc/self/fd");
	uint64_t count = 0;

	if (folder == NULL)
		return proc_open_files(UINT64_MAX);
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count > NOT_OURS ? count - NOT_OURS : 0;
}

static int open_memory(void) {
	return open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

void usage_open_as_root(void) {
	root_fd = open_memory();
}

void usage_open(struct usage *u) {
	u->memory_fd = root_fd >= 0 ? root_fd : open_memory();
	root_fd = -1;
	u->files = count_files();
}

void usage_close(struct usage *u) {
	if (u->memory_fd >= 0)
		close(u->memory_fd);
	u->memory_fd = -1;
}

/* The second number: pages that are resident. */
static uint64_t resident_bytes(const struct usage *u) {
	char text[128], *end;
	ssize_t n = u->memory_fd >= 0 ? pread(u->memory_fd, text, sizeof(text) - 1, 0) : -1;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	(void)strtoull(text, &end, 10);
	return strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

void usage_count(const struct usage *u, uint64_t files_more) {
	struct rlimit files = { 0, 0 };
	struct timespec cpu;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	getrlimit(RLIMIT_NOFILE, &files);
	stat_set(STAT_cpu, (uint64_t)cpu.tv_sec * 1000000 + (uint64_t)cpu.tv_nsec / 1000);
	stat_set(STAT_resident_bytes, resident_bytes(u));
	stat_set(STAT_open_files, u->files + files_more);
	stat_set(STAT_max_open_files, (uint64_t)files.rlim_cur);
}
