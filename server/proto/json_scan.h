/*
 * json_scan - how far a string of JSON stands for itself. Pure.
 */
#ifndef SERVER_PROTO_JSON_SCAN_H
#define SERVER_PROTO_JSON_SCAN_H

#include "common/base/slice.h"

/* How many bytes at the front are none of " and \ and no control characters (RFC 8259, section 7). */
size_t json_plain_len(struct slice s);
/* The same without what only some processors have; for its test. */
size_t json_plain_len_portable(struct slice s);

#endif
