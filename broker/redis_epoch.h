/*
 * redis_epoch - names for new lives of channels: none comes twice, on any host
 *
 * 8 of 62 characters: from a random start in steps that meet every value before one comes again. A call for each would be to the
 * kernel; one is needed with every publication, as the channel may turn out to be new.
 */
#ifndef BROKER_REDIS_EPOCH_H
#define BROKER_REDIS_EPOCH_H

#include "common/base/slice.h"

enum { REDIS_EPOCH_LEN = 8 };

struct redis_epochs {
	uint64_t next;
	char text[REDIS_EPOCH_LEN];
};

void redis_epochs_init(struct redis_epochs *e);
/* Borrowed until the next one. */
struct slice redis_epochs_next(struct redis_epochs *e);

#endif
