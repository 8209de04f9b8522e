/*
 * ids - identifiers that never collide, on any host
 *
 * An id is 8 random bytes of its process and a 6-byte counter, in base64url: 19 characters. The random part is drawn once per
 * process (after fork), so making an id costs no system call.
 */
#ifndef COMMON_BASE_IDS_H
#define COMMON_BASE_IDS_H

#include "common/base/slice.h"

enum { ID_TEXT_LEN = 19, EPOCH_TEXT_MAX = 31 };

struct id_source {
	uint8_t prefix[8];
	uint64_t next;
};

void id_source_init(struct id_source *s);
/* The number an id is made of, to be kept in its place (8 bytes instead of 20). */
static inline uint64_t id_next(struct id_source *s) {
	return s->next++;
}
void id_text(const struct id_source *s, uint64_t id, char out[ID_TEXT_LEN + 1]);
/* False: it is no id, or another source's. */
bool id_parse(const struct id_source *s, struct slice text, uint64_t *id) MUST_CHECK;

#endif
