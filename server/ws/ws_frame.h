/*
 * ws_frame - WebSocket frame headers and masking (RFC 6455, section 5.2). Pure.
 */
#ifndef SERVER_WS_WS_FRAME_H
#define SERVER_WS_WS_FRAME_H

#include "common/base/slice.h"

enum ws_opcode {
	WS_CONTINUATION = 0x0,
	WS_TEXT = 0x1,
	WS_BINARY = 0x2,
	WS_CLOSE = 0x8,
	WS_PING = 0x9,
	WS_PONG = 0xA,
};
enum { WS_FIN = 0x80, WS_RSV1 = 0x40, WS_RSV2 = 0x20, WS_RSV3 = 0x10 };
enum { WS_HEADER_MAX = 14, WS_SERVER_HEADER_MAX = 10, WS_CONTROL_MAX = 125 };

/* Header of an unmasked frame, as a server sends it; its length (2, 4 or 10). `first`: WS_FIN | opcode. */
size_t ws_frame_header(uint8_t out[WS_SERVER_HEADER_MAX], uint8_t first, uint64_t payload_bytes);
/* The other way round, for frames of our own: the length of the first one, header and payload. */
size_t ws_frame_split(struct slice frames, uint8_t *first, struct slice *payload);
/* XORs in place; `offset` is the position of data in the payload. Whether all that came out is ASCII, which is seen on the way. */
bool ws_unmask(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset);
/* The same without what only some processors have; for its test and its measuring. */
bool ws_unmask_plain(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset);

#endif
