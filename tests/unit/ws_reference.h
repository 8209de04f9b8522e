/*
 * ws_reference - what a stream of client frames means, written as plainly as the RFC says it, for comparing
 *
 * Needs the whole stream, looks at one byte at a time and copies everything.
 */
#ifndef TESTS_UNIT_WS_REFERENCE_H
#define TESTS_UNIT_WS_REFERENCE_H

#include "common/base/buf.h"
#include "server/ws/ws_reader.h"

/* One line for an item; what is not printable ASCII as \xNN. */
void ws_describe(const struct ws_item *item, bool with_sentence, struct buf *log);
/* The items of the stream, without sentences. */
void ws_reference_run(struct slice stream, uint32_t max_message_bytes, struct buf *log);

#endif
