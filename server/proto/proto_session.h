/*
 * proto_session - what the front ends inside this folder share
 *
 * A session belongs to its connection and ends with it. Its end may come in the middle of its own functions (an answer that finds
 * its client too far behind closes it), so it is only put aside then, and freed at the end of the turn.
 */
#ifndef SERVER_PROTO_PROTO_SESSION_H
#define SERVER_PROTO_PROTO_SESSION_H

#include "server/proto/chat_errors.h"
#include "server/proto/proto.h"

/* The beginning of every front end's session. */
struct proto_session {
	struct hub_client hub;
	struct proto_context *context;
};

/* Returns owned: `size` zeroed bytes that begin with a struct proto_session, ready to ask the hub. */
void *proto_session_new(struct proto_context *context, struct conn *c, size_t size, uint8_t form) MUST_CHECK;
/* Takes s: leaves the hub now, is freed at the end of the turn. */
void proto_session_end(struct proto_session *s, uint32_t grace_ms);
/* The scratch buffer, empty. For one message: until something else is built. */
struct buf *proto_scratch(struct proto_context *context);

/* {"type":"error","code":"rate_limited",..,"retry_after":1.25}, for who has to wait, where nothing else is in JSON. */
void proto_send_wait(struct proto_context *context, struct conn *c, enum chat_error why, uint64_t wait_ms);
/* How long the user has to be silent; 0: not at all. */
uint64_t proto_muted_ms(const struct proto_context *context, const struct conn *c);

void echo_upgrade(struct proto_context *context, struct conn *c, const struct http_request *r);
void broadcast_upgrade(struct proto_context *context, struct conn *c, const struct http_request *r);
void chat_upgrade(struct proto_context *context, struct conn *c, const struct http_request *r);

void broadcast_form_init(struct hub_form *form);

#endif
