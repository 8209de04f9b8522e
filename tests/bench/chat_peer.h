/*
 * chat_peer - a client of the chat that waits for what it needs, and ends the program when it does not come
 *
 * For loads: one blocking connection to 127.0.0.1; frames are not fragmented and shorter than 64 KiB. All zero is one that has no
 * connection yet; close(fd) ends it.
 */
#ifndef TESTS_BENCH_CHAT_PEER_H
#define TESTS_BENCH_CHAT_PEER_H

#include "common/base/base.h"

enum { CHAT_PEER_IN_BYTES = 65536, CHAT_PEER_TEXT_MAX = 16384, CHAT_PEER_STALL_MS = 5000 };

struct chat_peer {
	int fd;
	size_t len;	/* of `in`, which begins with a frame */
	uint8_t in[CHAT_PEER_IN_BYTES];
};

/* Says what failed and errno's text, and exits. */
NORETURN void chat_peer_die(const char *what);
/* Monotonic. */
uint64_t chat_peer_now_ns(void);

/* Connects and logs in; the user, and a room of its own, so that nobody hears of anybody, are named by process and number. */
void chat_peer_enter(struct chat_peer *p, long port, long number);
/* Writes a frame of the text (at most CHAT_PEER_TEXT_MAX bytes) and returns its length: at most 8 bytes more than the text's. */
size_t chat_peer_frame(uint8_t *to, const char *text);
void chat_peer_send(struct chat_peer *p, const void *bytes, size_t len);
void chat_peer_say(struct chat_peer *p, const char *text);
/* Takes what has come; waits for the first of it if told to. */
void chat_peer_receive(struct chat_peer *p, bool waits);
/* Calls fn for each whole frame that is there. */
void chat_peer_each(struct chat_peer *p, void (*fn)(void *arg, const uint8_t *payload, size_t len), void *arg);
/* Drops frames up to the one that has this in it; an error on the way ends the program. */
void chat_peer_wait_for(struct chat_peer *p, const char *text);

bool chat_peer_has(const uint8_t *payload, size_t len, const char *text);
/* Says what the server answered, and exits. */
NORETURN void chat_peer_refused(const uint8_t *payload, size_t len);

#endif
