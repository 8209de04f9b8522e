/*
 * floor_fan - each message to everybody
 *
 * floor_fan PORT --mode=send: a system call of its own for each message and subscriber.
 * floor_fan PORT --mode=turn: what came in one turn of the loop is gathered, and each subscriber gets it in one call.
 */
#include <stdlib.h>

#include "common/base/buf.h"
#include "tests/bench/floor.h"

static struct buf gathered;

static void to_everybody(struct slice bytes) {
	for (size_t i = 0; i < floor_open_count; i++) {
		struct iovec iov = { (void *)(uintptr_t)bytes.ptr, bytes.len };

		floor_send(floor_open[i], &iov);
	}
}

static void each(int fd, struct slice frame) {
	(void)fd;
	to_everybody(frame);
}

static void gather(int fd, struct slice frame) {
	(void)fd;
	buf_add(&gathered, frame);
}

static void send_gathered(void) {
	if (gathered.len == 0)
		return;
	to_everybody(buf_slice(&gathered));
	buf_reset(&gathered);
}

int main(int argc, char **argv) {
	int port = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 8090;

	buf_init(&gathered, 1 << 30);
	if (argc > 2 && slice_eq_text(slice_text(argv[2]), "--mode=send"))
		floor_run(port, each, NULL, -1);
	floor_run(port, gather, send_gathered, -1);
}
