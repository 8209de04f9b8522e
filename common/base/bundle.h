/*
 * bundle - secrets as one run of bytes, on their way from the master, who may read them, to the workers
 *
 * A sequence of parts: kind (one byte, which means what its readers agree on), length (four, big endian), bytes.
 * These bytes hold keys and tokens: whoever has them ends them with bundle_fini().
 */
#ifndef COMMON_BASE_BUNDLE_H
#define COMMON_BASE_BUNDLE_H

#include "common/base/buf.h"

enum { BUNDLE_MAX = 8 << 20 };

void bundle_add(struct buf *bundle, uint8_t kind, struct slice bytes);
/* Takes one part off the front; false: there is none, or what is there is none. */
bool bundle_next(struct slice *rest, uint8_t *kind, struct slice *bytes);
/* Leaves nothing of it in memory. */
void bundle_fini(struct buf *bundle);

#endif
