/*
 * chat_request - one message of a chat client, taken apart. The input is hostile.
 *
 * A member that is null counts as missing, because that is what clients send for "none".
 */
#ifndef SERVER_PROTO_CHAT_REQUEST_H
#define SERVER_PROTO_CHAT_REQUEST_H

#include "server/hub/hub.h"
#include "server/proto/chat_check.h"
#include "server/proto/chat_errors.h"
#include "server/proto/json_read.h"

enum chat_member {
#define CHAT_MEMBER(name) CHAT_MEMBER_##name,
#include "server/proto/chat_members.tbl"
	CHAT_MEMBER_COUNT
};

struct chat_request {
	struct slice text;	/* as it came; borrowed */
	struct slice type;
	struct slice ref;	/* JSON without blanks; empty: none */
	struct json_value members[CHAT_MEMBER_COUNT];
	uint8_t *unescaped;	/* owned: what texts with escapes say, each where it stands in `text`; NULL: there are none */
	uint8_t ref_bytes[CHAT_REF_MAX];
};

/* Fills r in any case; chat_request_fini() is due in any case. With an error, r->ref is there if it could be read. All that is read is
 * borrowed: from the text, which is UTF-8, or from r until chat_request_fini(). */
enum chat_error chat_request_init(struct chat_request *r, struct slice text);
void chat_request_fini(struct chat_request *r);

bool chat_request_has(const struct chat_request *r, enum chat_member member);
/* False: missing or no string; *out is empty then. */
bool chat_request_text(const struct chat_request *r, enum chat_member member, struct slice *out);
/* The value as it stands in the text, also null. False: missing. */
bool chat_request_raw(const struct chat_request *r, enum chat_member member, struct slice *out);
/* "since" into *out; *has: it was there. CHAT_OK or CHAT_bad_since. */
enum chat_error chat_request_since(const struct chat_request *r, bool *has, struct hub_position *out);
/* The offset "before"; likewise. */
enum chat_error chat_request_before(const struct chat_request *r, bool *has, uint64_t *out);
/* "seconds", which must be there, from 0 on. CHAT_OK or CHAT_bad_seconds. */
enum chat_error chat_request_seconds(const struct chat_request *r, uint32_t most, uint32_t *seconds);
/* "limit" or what stands in *limit already. CHAT_OK or CHAT_bad_limit. */
enum chat_error chat_request_limit(const struct chat_request *r, uint32_t *limit);

#endif
