/*
 * ws_deflate - messages deflated and inflated as permessage-deflate has them (RFC 7692, 7.2); the only user of zlib
 *
 * Does:      one message in, its compressed payload out, and back; bounds while it inflates; counts its memory.
 * Does not:  frames, negotiation (ws_extension), I/O. Input of the inflaters: hostile.
 * Without context (a message stands for itself) everybody shares a few deflaters, one per window size, and borrows an inflater
 * for as long as a message is half received. With context a connection has its own.
 */
#ifndef SERVER_WS_WS_DEFLATE_H
#define SERVER_WS_WS_DEFLATE_H

#include "common/base/buf.h"

enum {
	WS_WINDOW_BITS_MIN = 8,
	WS_DEFLATE_BITS_MIN = 9,	/* zlib makes no raw deflate with 8 */
	WS_WINDOW_BITS_MAX = 15,
	/* Larger messages are sent as they are: compressing them at once would hold up everybody else. */
	WS_DEFLATE_MOST_BYTES = 256 << 10,
};

enum ws_deflate_mode { WS_DEFLATE_OFF = 0, WS_DEFLATE_SHARED, WS_DEFLATE_DEDICATED };

/* What is set for a process; all zero: off. */
struct ws_deflate_settings {
	enum ws_deflate_mode mode;
	int level;		/* 1..9 */
	size_t min_bytes;	/* smaller messages are sent as they are */
	size_t memory;		/* dedicated: most for both contexts of a connection */
};

/* What a connection has agreed on. */
struct ws_deflate_terms {
	uint8_t server_bits;	/* window of what we send: 9..15 */
	uint8_t client_bits;	/* of what we get: 8..15 */
	bool server_keeps;	/* context takeover of that side */
	bool client_keeps;
	bool says_server_bits;	/* whether the answer names them */
	bool says_client_bits;
};

/* Makes the windows (and if need be a context) smaller, so that both contexts fit into so many bytes. */
void ws_deflate_fit(size_t memory, bool may_limit_client, struct ws_deflate_terms *terms);

static inline bool ws_deflate_is_worth(const struct ws_deflate_settings *s, size_t message_bytes) {
	return message_bytes >= s->min_bytes && message_bytes <= WS_DEFLATE_MOST_BYTES;
}

/* --- out --- */

struct ws_deflater;

/* Returns owned; NULL when memory is out. */
struct ws_deflater *ws_deflater_new(uint8_t window_bits, int level) MUST_CHECK;
/* Accepts a pointer to NULL, and leaves it. */
void ws_deflater_free(struct ws_deflater **d);
/* Appends a message that may refer to those before. False: no room or memory; d is good for nothing then. */
bool ws_deflater_add(struct ws_deflater *d, struct slice message, struct buf *out) MUST_CHECK;
/* Appends a message that stands for itself, by a deflater that all share. */
bool ws_deflate_alone(uint8_t window_bits, int level, struct slice message, struct buf *out) MUST_CHECK;
/* With which window a message that stands for itself is made for somebody whose window has so many bits: what is made with 15
 * is good for every window at least as large as the message. Gives 15 or window_bits. */
uint8_t ws_deflate_bits_for(uint8_t window_bits, size_t message_bytes);

/* --- in --- */

struct ws_inflater;

enum ws_inflate_result { WS_INFLATE_OK = 0, WS_INFLATE_TOO_BIG, WS_INFLATE_CORRUPT, WS_INFLATE_NO_MEMORY };

/* Returns owned; NULL when memory is out. Data that refers farther back than the window is corrupt, but taken where zlib has what it
 * refers to at hand, which depends on how the data is cut. */
struct ws_inflater *ws_inflater_new(uint8_t window_bits) MUST_CHECK;
/* Borrowed from those that all share, fresh, good for every window; NULL when memory is out. */
struct ws_inflater *ws_inflater_borrow(void) MUST_CHECK;
/* Either way. Accepts a pointer to NULL, and leaves it. */
void ws_inflater_release(struct ws_inflater **f);
/* Appends what these bytes of a message give; never beyond out->max (TOO_BIG). What came out before an error is there. */
enum ws_inflate_result ws_inflater_add(struct ws_inflater *f, struct slice part, struct buf *out) MUST_CHECK;
/* The message is whole: its last bytes, and whether it ends where a block ends. */
enum ws_inflate_result ws_inflater_end(struct ws_inflater *f, struct buf *out) MUST_CHECK;

/* --- the process --- */

struct ws_deflate_counts {
	uint64_t memory_bytes;	/* of zlib, now */
	uint64_t deflate_calls, deflate_bytes_in, deflate_bytes_out;
	uint64_t inflate_calls, inflate_bytes_in, inflate_bytes_out;
};

const struct ws_deflate_counts *ws_deflate_counted(void);
/* Frees what is kept for reuse, at exit. */
void ws_deflate_free_shared(void);

#endif
