/*
 * cursor - where a page of members ended, as text for those who ask for the next one
 *
 * NUMBER.MEMBER; to clients it is opaque. Pure; the input is hostile.
 */
#ifndef SERVER_PROTO_CURSOR_H
#define SERVER_PROTO_CURSOR_H

#include "common/base/buf.h"
#include "server/hub/hub.h"

void cursor_write(const struct hub_cursor *c, struct buf *out);
/* Borrows from the text. */
bool cursor_parse(struct slice text, struct hub_cursor *out) MUST_CHECK;

#endif
