/*
 * ws_reader - what a client sends, from bytes to messages (RFC 6455, sections 5 to 8), server side
 *
 * Does:      decode headers, unmask in place, join fragments, check UTF-8 as it arrives, enforce every MUST on the receiver.
 * Does not:  I/O, answer, log, know a clock. Input: hostile.
 * Memory:    none while no message or frame is half received; a message that lies whole in the input is handed out from there,
 *            without a copy. Else what has arrived is kept in a buffer that grows with what really came (never with what a
 *            header claims), up to max_message_bytes.
 *            A compressed message is inflated as it arrives; the bound is on what comes out, while it comes out. Its inflater is
 *            borrowed from a first byte to its last, unless the client keeps its context.
 */
#ifndef SERVER_WS_WS_READER_H
#define SERVER_WS_WS_READER_H

#include "common/base/rcbuf.h"
#include "server/ws/ws_deflate.h"
#include "server/ws/ws_frame.h"

struct ws_partial;

/* To copy less costs less than to keep the unused end of the buffer. */
enum { WS_TAKE_BYTES = 64 << 10 };

struct ws_reader {
	struct ws_partial *partial;	/* NULL between messages */
	uint32_t max_message_bytes;
	bool may_deflate;	/* permessage-deflate is agreed on */
	bool client_keeps;	/* its context, from one message to the next */
	uint8_t client_bits;
};

enum ws_item_type {
	WS_ITEM_MORE = 0,	/* the input is used up, or its rest should wait: see ws_reader_next() */
	WS_ITEM_TEXT,
	WS_ITEM_BINARY,
	WS_ITEM_PING,
	WS_ITEM_PONG,
	WS_ITEM_CLOSE,		/* close_code: the peer's, 1005 if it gave none; data: its reason. Feed nothing more */
	WS_ITEM_BAD,		/* close_code and sentence say why. Feed nothing more */
};

struct ws_item {
	enum ws_item_type type;
	uint16_t close_code;
	bool is_corrupt;	/* BAD: of what the message was compressed to */
	const char *sentence;	/* static */
	struct slice data;	/* borrowed until the next call */
	uint32_t frames;	/* how many frames the message came in; for the log */
};

void ws_reader_init(struct ws_reader *r, uint32_t max_message_bytes);
/* Before anything is fed. */
void ws_reader_set_deflate(struct ws_reader *r, const struct ws_deflate_terms *terms);
void ws_reader_fini(struct ws_reader *r);
/* Advances *in past what was used, and changes those bytes (unmasking). Call until WS_ITEM_MORE. A few compressed bytes can be the work
 * of a long time: after some of it there is WS_ITEM_MORE with a rest in *in, to be fed again when others had their turn. */
struct ws_item ws_reader_next(struct ws_reader *r, struct slice *in);
/* Returns owned: the whole message that was handed out last, without a copy; NULL if it is smaller than WS_TAKE_BYTES or lies in the
 * input. What was borrowed stays as long as that is not given back. */
struct rcbuf *ws_reader_take(struct ws_reader *r) MUST_CHECK;
/* Bytes kept between calls, without zlib's own. */
size_t ws_reader_kept_bytes(const struct ws_reader *r);

/* May this code stand in a close frame (RFC 6455, 7.4)? */
bool ws_close_code_is_valid(uint16_t code);

#endif
