/* stream_plain - the byte stream without TLS: plain recv and sendmsg */
#include "server/net/stream.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	STREAM_IOVECS = 256,	/* one system call takes so many buffers: 4 KiB of stack, and the kernel allows 1024 */
	SEND_BYTES = 256 << 10,	/* of one call of send(): the time for copying more would be taken from others */
};

static enum stream_result result_of_errno(void) {
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? STREAM_AGAIN : STREAM_ERROR;
}

static enum stream_result plain_recv(struct stream *s, uint8_t *out, size_t len, size_t *got) {
	ssize_t n;

	*got = 0;
	do
		n = recv(s->fd, out, len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return result_of_errno();
	if (n == 0)
		return STREAM_EOF;
	*got = (size_t)n;
	return STREAM_OK;
}

static ssize_t send_parts(int fd, struct iovec *iov, size_t count) {
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = count };
	ssize_t n;

	do
		n = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n;
}

/* One sendmsg of at most so many bytes; *is_short: the socket took less than it was offered, so another call would only say
 * EAGAIN. */
static ssize_t plain_send_once(struct stream *s, size_t most, bool *is_short) {
	struct iovec iov[STREAM_IOVECS];
	size_t count = outq_iovec(&s->out, iov, STREAM_IOVECS), offered = 0;
	ssize_t n;

	for (size_t i = 0; i < count; i++) {
		if (iov[i].iov_len > most - offered) {
			iov[i].iov_len = most - offered;
			count = i + 1;
		}
		offered += iov[i].iov_len;
	}
	n = send_parts(s->fd, iov, count);
	*is_short = n >= 0 && (size_t)n < offered;
	return n;
}

static enum stream_result plain_send(struct stream *s, size_t *sent) {
	*sent = 0;
	while (!outq_is_empty(&s->out) && *sent < SEND_BYTES) {
		bool is_short;
		ssize_t n = plain_send_once(s, SEND_BYTES - *sent, &is_short);

		if (n < 0)
			return result_of_errno();
		outq_consume(&s->out, (size_t)n);
		*sent += (size_t)n;
		if (is_short)
			return STREAM_AGAIN;
	}
	return outq_is_empty(&s->out) ? STREAM_OK : STREAM_AGAIN;
}

size_t stream_plain_send_now(struct stream *s, struct slice head, struct slice body) {
	struct iovec iov[] = { { (void *)(uintptr_t)head.ptr, head.len }, { (void *)(uintptr_t)body.ptr, body.len } };
	ssize_t n = send_parts(s->fd, iov, ARRAY_LEN(iov));

	return n > 0 ? (size_t)n : 0;
}

static void plain_shutdown(struct stream *s) {
	shutdown(s->fd, SHUT_WR);
}

static void plain_close(struct stream *s) {
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

const struct stream_ops stream_plain_ops = {
	.recv = plain_recv,
	.send = plain_send,
	.shutdown = plain_shutdown,
	.close = plain_close,
};

void stream_plain_init(struct stream *s, int fd) {
	*s = (struct stream){ .fd = fd };
	outq_init(&s->out);
}

void stream_drop_unstarted(struct stream *s) {
	outq_drop_behind(&s->out, s->offered);
}
