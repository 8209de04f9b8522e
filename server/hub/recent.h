/*
 * recent - the keys of publications that were delivered lately
 *
 * Why: a broker with engine memory forgets its keys when it dies. A publisher that was left in uncertainty sends the
 * same publication again, and the new broker gives it a new offset in a new epoch; those who had it before must not get
 * it twice.
 * Memory: bounded by RECENT_MAX entries, the oldest are forgotten first.
 */
#ifndef SERVER_HUB_RECENT_H
#define SERVER_HUB_RECENT_H

#include "common/base/htab.h"
#include "common/ipc/ipc_msg.h"

enum { RECENT_MAX = 8192, RECENT_MS = 5 * 60 * 1000 };

struct recent_entry;

struct recent {
	struct htab table;
	struct recent_entry *entries;	/* a ring */
	uint32_t count, next;
};

void recent_init(struct recent *r);
void recent_fini(struct recent *r);
/* Was it delivered under another epoch of this channel? It is noted as delivered under this one. The key of zeros is
 * never known. */
bool recent_is_repeated(struct recent *r, struct slice channel, struct slice epoch, const uint8_t key[IPC_KEY_BYTES],
    uint64_t now_ms);

#endif
