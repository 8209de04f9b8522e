/*
 * mem - allocation
 *
 * mem_* never return NULL: they end the process when memory is out. They are for sizes this program chooses.
 * mem_try_* may return NULL: they are for sizes a peer chooses, who then pays with its connection.
 * What is returned is owned by the caller and given back with mem_free(), which accepts NULL.
 * All of it is counted: one process, one thread.
 * Blocks of up to 64 KiB that are given back are kept for the next ones of their size, MEM_STOCK_BYTES of them at most: whoever makes and
 * frees the same things again and again asks malloc for nothing.
 */
#ifndef COMMON_BASE_MEM_H
#define COMMON_BASE_MEM_H

#include "common/base/base.h"

enum { MEM_STOCK_BYTES = 512 << 10 };

/* At the start of a program: large blocks come from the kernel and go back to it, and grow without being copied. Else the first one
 * that is freed would make malloc keep all that are not larger. */
void mem_init(void);
void *mem_alloc(size_t bytes) MUST_CHECK;
void *mem_zalloc(size_t bytes) MUST_CHECK;
void *mem_realloc(void *ptr, size_t bytes) MUST_CHECK;
void *mem_dup(const void *ptr, size_t bytes) MUST_CHECK;
void *mem_try_alloc(size_t bytes) MUST_CHECK;
void *mem_try_realloc(void *ptr, size_t bytes) MUST_CHECK;
void mem_free(void *ptr);
/* Bytes of all blocks that are in use here, as large as malloc made them, with those of libraries that get theirs from here. */
size_t mem_in_use(void);
/* Of those that wait to be used again. */
size_t mem_in_stock(void);
/* Gives these back, and free memory between blocks in use to the kernel. Takes milliseconds. */
void mem_give_back(void);
/* For whoever keeps many things, now and then: how many there are, and in *most, which begins at 0 and is kept by this, how many there
 * were. When a crowd of them has gone, and with it at least half, memory is given back: else one attack would make a process large for
 * ever. */
void mem_give_back_after(size_t *most, size_t count);
/* Ends the process: for whoever had mem_try_* and has nobody to refuse. */
NORETURN void mem_exhausted(size_t bytes);

#endif
