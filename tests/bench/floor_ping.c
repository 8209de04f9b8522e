/* floor_ping - workers that ping each of their connections once in a while, evenly, and look at nothing. Arguments: the port, how many
 * workers, the seconds between two pings. A message comes back. */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/floor.h"

enum { WAIT_MS = 50 };

static uint64_t interval_ms, last_ms, owed;
static size_t next;

static void echo(int fd, struct slice frame) {
	struct iovec iov = { (void *)(uintptr_t)frame.ptr, frame.len };

	floor_send(fd, &iov);
}

static uint64_t now_ms(void) {
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* What is owed is counted in connections times milliseconds. */
static void ping(void) {
	static char frame[] = { (char)0x89, 0 };
	uint64_t now = now_ms();

	owed += floor_open_count * (now - last_ms);
	last_ms = now;
	for (; owed >= interval_ms && floor_open_count > 0; owed -= interval_ms) {
		if (next >= floor_open_count)
			next = 0;
		floor_send(floor_open[next++], &(struct iovec){ frame, sizeof(frame) });
	}
}

int main(int argc, char **argv) {
	int port = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 8090;
	long workers = argc > 2 ? strtol(argv[2], NULL, 10) : 1;

	interval_ms = (argc > 3 ? strtoul(argv[3], NULL, 10) : 30) * 1000;
	last_ms = now_ms();
	for (; workers > 1; workers--) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			break;
		}
	}
	floor_run(port, echo, ping, WAIT_MS);
}
