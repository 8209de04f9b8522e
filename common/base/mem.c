/* mem - allocation that either succeeds or ends the process, its cautious twin, and the stock between them and malloc */
#include "common/base/mem.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE_BYTES = 1 << 20, CROWD = 256 };

/* --- the stock: blocks that were given back, by size --- */

/* Blocks of class c have room for class_bytes(c) at least: steps of 16 bytes, as malloc has them, and above SMALL_MOST four to each
 * doubling. Larger ones than STOCK_MOST come and go as they are. */
enum {
	SMALL_LEAST = 24,
	SMALL_CLASSES = 64,
	SMALL_MOST = SMALL_LEAST + 16 * (SMALL_CLASSES - 1),	/* 1032 */
	LARGE_STEPS = 4,
	LARGE_DOUBLINGS = 6,
	CLASSES = SMALL_CLASSES + LARGE_STEPS * LARGE_DOUBLINGS,
	STOCK_MOST = 64 << 10,
	NEAR_CLASSES = 4,
	SPARE_BLOCKS = 3,
};

/* A sanitizer, which tells of blocks used after they were given back, needs to see them go. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_STOCK false
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_STOCK false
#endif
#ifndef HAS_STOCK
#define HAS_STOCK true
#endif

struct spare {
	struct spare *next;
};

static struct {
	struct spare *first[CLASSES];
	size_t bytes;	/* <= MEM_STOCK_BYTES */
} stock;

static size_t in_use;

static size_t class_bytes(unsigned c) {
	unsigned doubling = (c - SMALL_CLASSES) / LARGE_STEPS, step = (c - SMALL_CLASSES) % LARGE_STEPS;

	if (c < SMALL_CLASSES)
		return SMALL_LEAST + 16 * (size_t)c;
	return ((size_t)LARGE_STEPS + 1 + step) << doubling << 8;
}

/* The first class with so much room: bytes <= STOCK_MOST. */
static unsigned class_for(size_t bytes) {
	size_t units = (bytes + 255) / 256;
	unsigned doubling = 0;

	if (bytes <= SMALL_LEAST)
		return 0;
	if (bytes <= SMALL_MOST)
		return (unsigned)((bytes - SMALL_LEAST + 15) / 16);
	for (; units > 2 * LARGE_STEPS; units = (units + 1) / 2)
		doubling++;
	return SMALL_CLASSES + doubling * LARGE_STEPS + (unsigned)units - LARGE_STEPS - 1;
}

static void *stock_take(unsigned c) {
	struct spare *s = stock.first[c];

	if (s == NULL)
		return NULL;
	stock.first[c] = s->next;
	stock.bytes -= class_bytes(c);
	return s;
}

/* Rather one that is somewhat larger than a new one. */
static void *stock_take_near(unsigned c) {
	for (unsigned i = c; i < CLASSES && i < c + NEAR_CLASSES; i++) {
		void *block = stock_take(i);

		if (block != NULL)
			return block;
	}
	return NULL;
}

/* False: it is none for the stock. malloc may have given some more than was asked for. */
static bool stock_keep(void *ptr, size_t room) {
	struct spare *s = ptr;
	unsigned c;

	if (!HAS_STOCK || room < SMALL_LEAST || room > STOCK_MOST + 255 || stock.bytes + room > MEM_STOCK_BYTES)
		return false;
	c = class_for(room < STOCK_MOST ? room : STOCK_MOST);
	if (class_bytes(c) > room)
		c--;
	s->next = stock.first[c];
	stock.first[c] = s;
	stock.bytes += class_bytes(c);
	return true;
}

static void stock_clear(void) {
	for (unsigned c = 0; c < CLASSES; c++) {
		void *block;

		while ((block = stock_take(c)) != NULL)
			free(block);
	}
}

/* A new block. For small ones some more are made, since what was needed most until now may be needed by a few more later. */
static void *stock_make(unsigned c) {
	for (int i = 0; c < SMALL_CLASSES && stock.bytes < MEM_STOCK_BYTES / 2 && i < SPARE_BLOCKS; i++) {
		void *block = malloc(class_bytes(c));

		if (block != NULL && !stock_keep(block, malloc_usable_size(block)))
			free(block);
	}
	return malloc(class_bytes(c));
}

/* --- blocks --- */

void mem_init(void) {
	mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
	mallopt(M_TRIM_THRESHOLD, 2 * LARGE_BYTES);
}

void mem_exhausted(size_t bytes) {
	abort_because("out of memory (%zu bytes wanted)", bytes);
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
	void *ptr;

	/* So large, it may be pages that the kernel has cleared. */
	if (!HAS_STOCK || bytes > STOCK_MOST)
		return mem_checked(counted(calloc(1, bytes > 0 ? bytes : 1)), bytes);
	ptr = mem_alloc(bytes);
	return memset(ptr, 0, bytes);
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
	void *ptr;
	unsigned c;

	if (!HAS_STOCK || bytes > STOCK_MOST)
		return counted(malloc(bytes > 0 ? bytes : 1));
	c = class_for(bytes);
	ptr = stock_take_near(c);
	return counted(ptr != NULL ? ptr : stock_make(c));
}

/* Within the stock it moves from block to block, so that what grows as often as it is made anew does so without malloc. */
void *mem_try_realloc(void *ptr, size_t bytes) {
	size_t before = ptr != NULL ? malloc_usable_size(ptr) : 0;
	void *moved;

	if (HAS_STOCK && bytes <= STOCK_MOST) {
		if (ptr != NULL && bytes <= before && bytes >= before / 2)
			return ptr;
		moved = mem_try_alloc(bytes);
		if (moved != NULL && before > 0)
			memcpy(moved, ptr, before < bytes ? before : bytes);
		if (moved != NULL)
			mem_free(ptr);
		return moved;
	}
	moved = realloc(ptr, bytes > 0 ? bytes : 1);
	/* Without memory for it, the old block stays. */
	if (moved != NULL)
		in_use -= before;
	return counted(moved);
}

void mem_free(void *ptr) {
	size_t room = ptr != NULL ? malloc_usable_size(ptr) : 0;

	in_use -= room;
	if (!stock_keep(ptr, room))
		free(ptr);
}

size_t mem_in_use(void) {
	return in_use;
}

size_t mem_in_stock(void) {
	return stock.bytes;
}

void mem_give_back(void) {
	stock_clear();
	malloc_trim(0);
}

void mem_give_back_after(size_t *most, size_t count) {
	if (count > *most)
		*most = count;
	if (*most - count < CROWD || count > *most / 2)
		return;
	*most = count;
	mem_give_back();
}
