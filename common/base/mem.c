/* mem - allocation that either succeeds or ends the process, and its cautious twin */
#include "common/base/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE_BYTES = 1 << 20 };

void mem_init(void) {
	mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
	mallopt(M_TRIM_THRESHOLD, 2 * LARGE_BYTES);
}

void mem_exhausted(size_t bytes) {
	fprintf(stderr, "herold: out of memory (%zu bytes wanted)\n", bytes);
	abort();
}

static void *mem_checked(void *ptr, size_t bytes) {
	if (ptr == NULL)
		mem_exhausted(bytes);
	return ptr;
}

void *mem_alloc(size_t bytes) {
	return mem_checked(malloc(bytes > 0 ? bytes : 1), bytes);
}

void *mem_zalloc(size_t bytes) {
	return mem_checked(calloc(1, bytes > 0 ? bytes : 1), bytes);
}

void *mem_realloc(void *ptr, size_t bytes) {
	return mem_checked(realloc(ptr, bytes > 0 ? bytes : 1), bytes);
}

void *mem_dup(const void *ptr, size_t bytes) {
	void *copy = mem_alloc(bytes);

	if (bytes > 0)
		memcpy(copy, ptr, bytes);
	return copy;
}

void *mem_try_realloc(void *ptr, size_t bytes) {
	return realloc(ptr, bytes > 0 ? bytes : 1);
}

void mem_free(void *ptr) {
	free(ptr);
}

void mem_give_back(void) {
	malloc_trim(0);
}
