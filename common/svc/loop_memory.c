/* loop_memory - libevent's memory: small blocks in pages of their own */
#include "common/svc/loop_memory.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/mem.h"

/* Room for the largest number of descriptors that Linux gives a process by default (fs.nr_open); what is never used is only an address. */
enum { SMALL_BYTES = 32, SMALL_MAX = 1 << 20 };

union small {
	union small *next;
	uint8_t bytes[SMALL_BYTES];
};

static union small *small;	/* SMALL_MAX of them, or NULL: not yet, or not to be had */
static union small *spare;
static size_t used;		/* handed out at least once */

static bool is_small(const void *ptr) {
	return small != NULL && (uintptr_t)ptr >= (uintptr_t)small && (uintptr_t)ptr < (uintptr_t)(small + SMALL_MAX);
}

static bool reserve(void) {
	void *at;

	if (small != NULL)
		return true;
	at = mmap(NULL, SMALL_MAX * sizeof(*small), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return false;
	small = at;
	return true;
}

void *loop_memory_alloc(size_t bytes) {
	union small *s = spare;

	if (bytes > SMALL_BYTES || !reserve())
		return mem_try_alloc(bytes);
	if (s != NULL) {
		spare = s->next;
		return s;
	}
	return used < SMALL_MAX ? &small[used++] : mem_try_alloc(bytes);
}

void loop_memory_free(void *ptr) {
	union small *s = ptr;

	if (!is_small(ptr)) {
		mem_free(ptr);
		return;
	}
	s->next = spare;
	spare = s;
}

void *loop_memory_realloc(void *ptr, size_t bytes) {
	void *moved;

	if (ptr != NULL && !is_small(ptr))
		return mem_try_realloc(ptr, bytes);
	if (ptr != NULL && bytes <= SMALL_BYTES)
		return ptr;
	moved = loop_memory_alloc(bytes);
	if (moved == NULL || ptr == NULL)
		return moved;
	memcpy(moved, ptr, SMALL_BYTES);
	loop_memory_free(ptr);
	return moved;
}
