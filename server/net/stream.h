/*
 * stream - a byte stream over a socket: receive, send what is queued, end
 *
 * Plain, or with TLS: the same calls, other bytes on the wire. Nothing here is buffered except the out-queue, and under TLS a record
 * that is not complete or not yet taken.
 */
#ifndef SERVER_NET_STREAM_H
#define SERVER_NET_STREAM_H

#include "common/base/outq.h"

enum stream_result {
	STREAM_OK = 0,
	STREAM_AGAIN,	/* nothing now; wait for the socket */
	STREAM_EOF,	/* the peer has ended its side in order */
	STREAM_ERROR,	/* reset or broken; errno, see stream_tls_init() */
};

struct stream;

struct stream_ops {
	/* Up to `len` bytes into `out`; *got > 0 with STREAM_OK. Sets has_more and recv_wants_write. */
	enum stream_result (*recv)(struct stream *s, uint8_t *out, size_t len, size_t *got);
	/* As much of the out-queue as the socket takes, but 256 KiB (TLS: 512) at most, so that others have their turn; STREAM_OK: the queue is
	 * empty. *sent: how many bytes went. Sets offered and send_wants_read. */
	enum stream_result (*send)(struct stream *s, size_t *sent);
	/* No more will be sent. */
	void (*shutdown)(struct stream *s);
	/* Closes the descriptor and frees what the ops keep; not the stream. */
	void (*close)(struct stream *s);
};

extern const struct stream_ops stream_plain_ops, stream_tls_ops;

struct ssl_st;
struct tls;

/* Embedded by its user. What is not said of TLS stays false and 0 without it. */
struct stream {
	struct outq out;
	int fd;		/* owned; -1 when closed */
	uint16_t offered;	/* bytes at the queue's front that are in a record already: they cannot be taken back any more */
	bool is_tls : 1;
	bool is_begun : 1;	/* its first bytes have come: `ssl` and not `tls` is valid */
	bool is_handshaking : 1;	/* until the handshake is done; nothing may be queued before */
	bool is_broken : 1;	/* there is no sense in an orderly end */
	bool is_cut : 1;	/* an error waits to be told, behind what was received before it */
	bool has_more : 1;	/* recv has bytes left, for which the socket will not become readable */
	bool recv_wants_write : 1;	/* recv after STREAM_AGAIN waits for the socket to be writable */
	bool send_wants_read : 1;	/* and send for it to be readable */
	union {
		struct tls *tls;	/* borrowed */
		struct ssl_st *ssl;	/* owned */
	};
};

static inline const struct stream_ops *stream_ops(const struct stream *s) {
	return s->is_tls ? &stream_tls_ops : &stream_plain_ops;
}

/* Takes fd. */
void stream_plain_init(struct stream *s, int fd);
/* What the caller has in its hands, past the out-queue, which is empty: how many of the bytes went, in order. 0 if none can now or
 * ever: queueing them leads to the reason. */
size_t stream_plain_send_now(struct stream *s, struct slice head, struct slice body);
/* Takes fd; borrows tls, which lives longer. The server's side; the handshake is a part of recv. Until the first bytes come there is
 * nothing but the socket. STREAM_ERROR with errno EPROTO: TLS refused, stream_tls_trouble() says why; EUSERS: there are too many
 * handshakes under way. */
void stream_tls_init(struct stream *s, int fd, struct tls *tls);
/* Of the latest EPROTO; borrowed until the next call of a stream. */
const char *stream_tls_trouble(void);
/* What no longer can be taken back stays, the rest of the queue is dropped. */
void stream_drop_unstarted(struct stream *s);

#endif
