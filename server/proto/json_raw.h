/*
 * json_raw - parts of a JSON text as they came, byte for byte
 *
 * What others are handed on should not be parsed and written again: that costs time, and it changes numbers, escapes and the order
 * of members. So a parser says whether the text is valid, and this module finds where a value begins and ends.
 * Does not:  validate. On text that is no JSON the results are meaningless, but nothing is read past the end and no stack is
 *            used in the depth of the text. Pure.
 */
#ifndef SERVER_PROTO_JSON_RAW_H
#define SERVER_PROTO_JSON_RAW_H

#include "common/base/buf.h"

/* Are arrays and objects nested at most `max` deep? Asked before a recursive parser sees the text. */
bool json_raw_depth_within(struct slice text, unsigned max);
/* The value of the member of the object `text`, without blanks around it; borrowed from `text`. `name` is ASCII; in the text it
 * may be written with escapes. The first one counts. */
bool json_raw_member(struct slice text, const char *name, struct slice *value);
/* Appends the value without the blanks between its parts. */
void json_raw_compact(struct slice value, struct buf *out);

#endif
