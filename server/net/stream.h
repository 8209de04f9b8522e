/*
 * stream - a byte stream over a socket: receive, send what is queued, end
 *
 * The ops are the seam for TLS: the same calls, other bytes on the wire. Nothing here is buffered except the out-queue.
 */
#ifndef SERVER_NET_STREAM_H
#define SERVER_NET_STREAM_H

#include "common/base/outq.h"

enum stream_result {
	STREAM_OK = 0,
	STREAM_AGAIN,	/* nothing now; wait for the socket */
	STREAM_EOF,	/* the peer has ended its side in order */
	STREAM_ERROR,	/* reset or broken; errno */
};

struct stream;

struct stream_ops {
	/* Up to `len` bytes into `out`; *got > 0 with STREAM_OK. */
	enum stream_result (*recv)(struct stream *s, uint8_t *out, size_t len, size_t *got);
	/* As much of the out-queue as the socket takes; STREAM_OK: the queue is empty. *sent: how many bytes went. */
	enum stream_result (*send)(struct stream *s, size_t *sent);
	/* No more will be sent. */
	void (*shutdown)(struct stream *s);
	/* Closes the descriptor and frees what the ops keep; not the stream. */
	void (*close)(struct stream *s);
};

/* Embedded by its user. */
struct stream {
	const struct stream_ops *ops;
	struct outq out;
	int fd;		/* owned; -1 when closed */
};

/* Takes fd. */
void stream_plain_init(struct stream *s, int fd);

#endif
