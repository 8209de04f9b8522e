/*
 * count_calls - put before a program with LD_PRELOAD, counts what it and its libraries ask of the allocator and of the kernel
 *
 * COUNT_CALLS names a file of COUNT_ROWS rows, which is mapped: each process takes a row of its own when it begins, by exec or by
 * fork, and whoever started it reads them while it runs. What libc calls inside of itself is not seen.
 */
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { COUNT_ROWS = 128 };

/* Eight bytes each, in the order in which calls.mjs reads them. */
struct row {
	_Atomic uint64_t pid, mallocs, frees, sendmsgs, recvs, waits;
};

static struct row none;
static struct row *rows, *own = &none;

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *ptr, size_t bytes);
extern void __libc_free(void *ptr);

/* One thread each. */
static void count(_Atomic uint64_t *of) {
	atomic_store_explicit(of, atomic_load_explicit(of, memory_order_relaxed) + 1, memory_order_relaxed);
}

static void take_row(void) {
	own = &none;
	for (int i = 0; rows != NULL && i < COUNT_ROWS; i++) {
		uint64_t nobody = 0;

		if (!atomic_compare_exchange_strong(&rows[i].pid, &nobody, (uint64_t)getpid()))
			continue;
		own = &rows[i];
		return;
	}
}

__attribute__((constructor)) static void begin(void) {
	const char *name = getenv("COUNT_CALLS");
	int fd = name != NULL ? open(name, O_RDWR | O_CLOEXEC) : -1;
	void *map = fd < 0 ? MAP_FAILED : mmap(NULL, COUNT_ROWS * sizeof(struct row), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	rows = map != MAP_FAILED ? map : NULL;
	take_row();
	pthread_atfork(NULL, NULL, take_row);
}

/* --- the allocator --- */

void *malloc(size_t bytes) {
	count(&own->mallocs);
	return __libc_malloc(bytes);
}

void *calloc(size_t number, size_t bytes) {
	count(&own->mallocs);
	return __libc_calloc(number, bytes);
}

void *realloc(void *ptr, size_t bytes) {
	count(&own->mallocs);
	return __libc_realloc(ptr, bytes);
}

void free(void *ptr) {
	if (ptr != NULL)
		count(&own->frees);
	__libc_free(ptr);
}

/* --- the kernel --- */

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
	count(&own->sendmsgs);
	return syscall(SYS_sendmsg, fd, message, flags);
}

ssize_t recv(int fd, void *out, size_t bytes, int flags) {
	count(&own->recvs);
	return syscall(SYS_recvfrom, fd, out, bytes, flags, NULL, NULL);
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout) {
	count(&own->waits);
	return (int)syscall(SYS_epoll_pwait, fd, events, most, timeout, NULL, 0);
}
