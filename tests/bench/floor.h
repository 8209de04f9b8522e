/*
 * floor - a bare epoll loop that speaks just enough WebSocket to be measured beside a server
 *
 * No checks, no limits, no timers, one process: what the system calls alone cost. It trusts its clients; nothing but a bench
 * on the same machine may talk to it.
 */
#ifndef TESTS_BENCH_FLOOR_H
#define TESTS_BENCH_FLOOR_H

#include <sys/uio.h>

#include "common/base/slice.h"

enum { FLOOR_FILES_MAX = 1 << 16 };

/* `frame` is an unmasked frame with the payload that came, to be sent as it is; valid until the end of the call. */
typedef void (*floor_message_fn)(int fd, struct slice frame);
/* After everything that arrived in one turn of the loop. */
typedef void (*floor_turn_fn)(void);

/* Listens on 127.0.0.1:port, beside others who do, and does not return. `turn` may be NULL; wait_ms: until the next one at most, -1: until
 * something arrives. */
NORETURN void floor_run(int port, floor_message_fn message, floor_turn_fn turn, int wait_ms);
/* Sends all of it, waiting for room if there is none. Changes what iov points to. */
void floor_send(int fd, struct iovec *iov);

/* The upgraded connections, in no order. */
extern int floor_open[FLOOR_FILES_MAX];
extern size_t floor_open_count;

#endif
