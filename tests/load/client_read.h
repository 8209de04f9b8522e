/*
 * client_read - what a client receives: the answer to its request, and frames
 *
 * Input: a server's. It may be wrong, then the client fails.
 */
#ifndef TESTS_LOAD_CLIENT_READ_H
#define TESTS_LOAD_CLIENT_READ_H

#include "tests/load/client.h"

/* What has come of an answer, or of a message that is not complete. While its bytes are being looked at it lies on the stack. */
struct part {
	struct buf text;	/* an answer's head, or a message's text if it is wanted */
	uint8_t head[14];
	uint8_t head_len;	/* bytes of a frame's head that came, when it came in pieces */
	uint8_t opcode;
	uint8_t control_len;	/* of a control frame, which may come amid a message */
	bool in_frame, fin, is_compressed;
	uint32_t left;		/* payload bytes of this frame still to come */
	uint32_t offset;	/* payload bytes of this message that came */
	uint8_t stamp[STAMP_BYTES];
	uint8_t control[125];
};

/* Takes all of s. */
void client_feed(struct clients *all, struct client *c, struct slice s);
void part_free(struct part *p);

#endif
