/*
 * loop_memory - libevent's memory
 *
 * libevent keeps a small object for each number that a descriptor ever had, until the loop ends. Among the blocks of a crowd of
 * connections these would keep every page in use when the crowd has left. So small blocks come from pages of their own, which
 * stay; they are bounded by the number of descriptors. All others come from mem.
 */
#ifndef COMMON_SVC_LOOP_MEMORY_H
#define COMMON_SVC_LOOP_MEMORY_H

#include "common/base/base.h"

/* As malloc, realloc and free are; for event_set_mem_functions(). */
void *loop_memory_alloc(size_t bytes);
void *loop_memory_realloc(void *ptr, size_t bytes);
void loop_memory_free(void *ptr);

#endif
