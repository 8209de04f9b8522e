/* floor_echo - each message back with one sendmsg(); the argument is the port */
#include <stdlib.h>

#include "tests/bench/floor.h"

static void echo(int fd, struct slice frame) {
	struct iovec iov = { (void *)(uintptr_t)frame.ptr, frame.len };

	floor_send(fd, &iov);
}

int main(int argc, char **argv) {
	floor_run(argc > 1 ? (int)strtol(argv[1], NULL, 10) : 8090, echo, NULL, -1);
}
