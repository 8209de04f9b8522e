/*
 * order - what a moderator has ordered, as a struct, as the bytes of a publication, and as a line of the log
 *
 * Bytes: u8 version, u8 action, u32 seconds, then with a u8 length each: user, by, reason.
 * Input: from other hosts, perhaps of another version: what cannot be read is refused, never asserted.
 */
#ifndef SERVER_MODERATION_ORDER_H
#define SERVER_MODERATION_ORDER_H

#include "common/ipc/ipc_msg.h"

enum {
	ORDER_SECONDS_MAX = IPC_MODERATION_SECONDS_MAX,
	ORDER_USER_MAX = 128,	/* bytes */
	ORDER_REASON_MAX = 96,	/* bytes: with the words before it, what a close frame has room for */
	ORDER_BYTES_MAX = 1 + 1 + 4 + 2 * (1 + ORDER_USER_MAX) + 1 + ORDER_REASON_MAX,
};

enum order_action { ORDER_KICK = 1, ORDER_BAN, ORDER_MUTE };

struct order {
	enum order_action action;
	uint32_t seconds;	/* of bans and mutes, from the publication on; 0: no longer */
	struct slice user;	/* 1 to ORDER_USER_MAX bytes */
	struct slice by;	/* the moderator's user id; empty: the server API */
	struct slice reason;	/* empty: none */
};

struct order_bytes {
	uint16_t len;
	uint8_t bytes[ORDER_BYTES_MAX];
};

/* Within the bounds above. */
void order_encode(const struct order *o, struct order_bytes *out);
/* Borrowed from the bytes. */
bool order_decode(struct slice bytes, struct order *out) MUST_CHECK;
/* May stand there as a reason: visible text, or nothing. */
bool order_is_reason(struct slice text);
/* What makes an order the same one when it comes again: who gave it under which name (`given`), its action, for whom and how long. */
void order_key(const uint8_t given[IPC_KEY_BYTES], const struct order *o, uint8_t key[IPC_KEY_BYTES]);
/* The line of the audit, and the counter: for whoever gives the order, when it is handed to the hub. Whoever gave it may be gone before
 * there is an answer. conn: the id of its connection. */
void order_log(const struct order *o, const char *conn, uint64_t wall_ms);
/* A second line, if the answer says that the order was not done, or perhaps not. */
void order_log_doubt(struct slice bytes, enum ipc_result result);

#endif
