/*
 * chat_request - one message of a chat client, taken apart. The input is hostile.
 *
 * A member that is null counts as missing, because that is what clients send for "none".
 */
#ifndef SERVER_PROTO_CHAT_REQUEST_H
#define SERVER_PROTO_CHAT_REQUEST_H

#include <jansson.h>

#include "server/hub/hub.h"
#include "server/proto/chat_check.h"
#include "server/proto/chat_errors.h"

struct chat_request {
	struct slice text;	/* as it came; borrowed */
	struct slice type;
	struct slice ref;	/* JSON without blanks, in ref_bytes; empty: none */
	json_t *root;		/* owned; what is borrowed from it lives until chat_request_fini() */
	uint8_t ref_bytes[CHAT_REF_MAX];
};

/* Fills r in any case; chat_request_fini() is due in any case. With an error, r->ref is there if it could be read. */
enum chat_error chat_request_init(struct chat_request *r, struct slice text);
void chat_request_fini(struct chat_request *r);

bool chat_request_has(const struct chat_request *r, const char *name);
/* False: missing or no string; *out is empty then. */
bool chat_request_text(const struct chat_request *r, const char *name, struct slice *out);
/* "since" into *out; *has: it was there. CHAT_OK or CHAT_bad_since. */
enum chat_error chat_request_since(const struct chat_request *r, bool *has, struct hub_position *out);
/* The offset "before"; likewise. */
enum chat_error chat_request_before(const struct chat_request *r, bool *has, uint64_t *out);
/* "seconds", which must be there, from 0 on. CHAT_OK or CHAT_bad_seconds. */
enum chat_error chat_request_seconds(const struct chat_request *r, uint32_t most, uint32_t *seconds);
/* "limit" or what stands in *limit already. CHAT_OK or CHAT_bad_limit. */
enum chat_error chat_request_limit(const struct chat_request *r, uint32_t *limit);

#endif
