/*
 * json_write - JSON text, appended to a buffer
 *
 * Members are written with a comma before them, so an object begins with one that is always there: {"type":"ack" ...
 * Text must be valid UTF-8; it is escaped only where RFC 8259 (section 7) demands it. Pure.
 */
#ifndef SERVER_PROTO_JSON_WRITE_H
#define SERVER_PROTO_JSON_WRITE_H

#include "common/base/buf.h"

/* "text" with its quotes. */
void json_write_text(struct buf *b, struct slice text);
/* The same without the quotes. */
void json_write_escaped(struct buf *b, struct slice text);
/* ,"name":"text"  The name needs no escaping. */
void json_write_member_text(struct buf *b, const char *name, struct slice text);
void json_write_member_u64(struct buf *b, const char *name, uint64_t value);
void json_write_member_bool(struct buf *b, const char *name, bool value);
/* Milliseconds as a number of seconds: ,"name":1.5 */
void json_write_member_seconds(struct buf *b, const char *name, uint64_t ms);
/* value: JSON, written as it is. */
void json_write_member_raw(struct buf *b, const char *name, struct slice value);

#endif
