/* mem - allocation that either succeeds or ends the process, and its cautious twin */
#include "common/base/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE_BYTES = 1 << 20 };

static size_t in_use;

void mem_init(void) {
	mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
	mallopt(M_TRIM_THRESHOLD, 2 * LARGE_BYTES);
}

void mem_exhausted(size_t bytes) {
	fprintf(stderr, "herold: out of memory (%zu bytes wanted)\n", bytes);
	abort();
}

static void *counted(void *ptr) {
	in_use += ptr != NULL ? malloc_usable_size(ptr) : 0;
	return ptr;
}

static void *mem_checked(void *ptr, size_t bytes) {
	if (ptr == NULL)
		mem_exhausted(bytes);
	return ptr;
}

void *mem_alloc(size_t bytes) {
	return mem_checked(mem_try_alloc(bytes), bytes);
}

void *mem_zalloc(size_t bytes) {
	return mem_checked(counted(calloc(1, bytes > 0 ? bytes : 1)), bytes);
}

void *mem_realloc(void *ptr, size_t bytes) {
	return mem_checked(mem_try_realloc(ptr, bytes), bytes);
}

void *mem_dup(const void *ptr, size_t bytes) {
	void *copy = mem_alloc(bytes);

	if (bytes > 0)
		memcpy(copy, ptr, bytes);
	return copy;
}

void *mem_try_alloc(size_t bytes) {
	return counted(malloc(bytes > 0 ? bytes : 1));
}

void *mem_try_realloc(void *ptr, size_t bytes) {
	size_t before = ptr != NULL ? malloc_usable_size(ptr) : 0;
	void *moved = realloc(ptr, bytes > 0 ? bytes : 1);

	/* Without memory for it, the old block stays. */
	if (moved != NULL)
		in_use -= before;
	return counted(moved);
}

void mem_free(void *ptr) {
	if (ptr != NULL)
		in_use -= malloc_usable_size(ptr);
	free(ptr);
}

size_t mem_in_use(void) {
	return in_use;
}

void mem_give_back(void) {
	malloc_trim(0);
}
