/* stream_tls - the byte stream with TLS: OpenSSL on the socket itself */
#include "server/net/stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/net/tls.h"

enum {
	RECORD_BYTES = 16384,	/* the largest that there is */
	RECORD_IOVECS = 256,	/* buffers joined into one */
	RECORDS_PER_SEND = 32,	/* then others have their turn */
	DISCARD_BYTES = 16384,
};

/* Who types http:// for https:// is told so. */
static const char plain_refusal[] = "HTTP/1.1 400 Bad Request\r\n"
				    "Content-Type: application/json\r\n"
				    "Content-Length: 76\r\n"
				    "Connection: close\r\n"
				    "\r\n"
				    "{\"status\":400,\"error\":\"TLS is spoken here: use https:// or wss:// instead\"}\n";
static const char *trouble = "";

const char *stream_tls_trouble(void) {
	return trouble;
}

static void answer_plain(int fd) {
	char discarded[DISCARD_BYTES];

	if (send(fd, plain_refusal, sizeof(plain_refusal) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 || shutdown(fd, SHUT_WR) != 0)
		return;
	/* Unread bytes would reset the connection, and the answer with it. */
	while (recv(fd, discarded, sizeof(discarded), MSG_DONTWAIT) > 0)
		continue;
}

static enum stream_result refused(struct stream *s) {
	unsigned long code = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);

	s->is_broken = true;
	if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST)
		answer_plain(s->fd);
	trouble = reason != NULL ? reason : "unknown";
	errno = EPROTO;
	return STREAM_ERROR;
}

/* After a call that did not succeed; *other_way: it waits for what it is not named after. */
static enum stream_result result_of(struct stream *s, int returned, int other_want, bool *other_way) {
	int error = errno, want = SSL_get_error(s->ssl, returned);

	switch (want) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		*other_way = want == other_want;
		return STREAM_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return STREAM_EOF;
	case SSL_ERROR_SYSCALL:
		s->is_broken = true;
		if (error == 0 && ERR_peek_error() == 0)
			return STREAM_EOF;
		errno = error != 0 && error != EPROTO && error != EUSERS ? error : ECONNRESET;
		return STREAM_ERROR;
	default:
		return refused(s);
	}
}

static void before_call(void) {
	ERR_clear_error();
	errno = 0;
}

static void end_handshake(struct stream *s, bool is_done) {
	s->is_handshaking = false;
	tls_handshake_end(s->ssl, is_done);
}

static bool begin(struct stream *s) {
	struct ssl_st *ssl = tls_begin(s->tls, s->fd);

	if (ssl == NULL)
		return false;
	s->ssl = ssl;
	s->is_begun = true;
	return true;
}

static enum stream_result read_once(struct stream *s, uint8_t *out, size_t len, size_t *got) {
	bool waits_to_write = false;
	enum stream_result result = STREAM_OK;
	int returned;

	before_call();
	returned = SSL_read_ex(s->ssl, out, len, got);
	if (returned != 1) {
		*got = 0;
		result = result_of(s, returned, SSL_ERROR_WANT_WRITE, &waits_to_write);
	}
	s->recv_wants_write = waits_to_write;
	if (s->is_handshaking && SSL_is_init_finished(s->ssl))
		end_handshake(s, true);
	return result;
}

static enum stream_result tls_recv(struct stream *s, uint8_t *out, size_t len, size_t *got) {
	enum stream_result result;
	size_t n;

	*got = 0;
	s->has_more = false;
	if (s->is_cut) {
		trouble = "";
		errno = EPROTO;
		return STREAM_ERROR;
	}
	if (!s->is_begun && !begin(s))
		return STREAM_ERROR;
	do {
		result = read_once(s, out + *got, len - *got, &n);
		*got += n;
	} while (result == STREAM_OK && *got < len && SSL_has_pending(s->ssl));
	if (*got == 0)
		return result;
	/* What follows the bytes is told behind them. */
	s->is_cut = result == STREAM_ERROR;
	s->has_more = result == STREAM_ERROR || result == STREAM_EOF || (result == STREAM_OK && SSL_has_pending(s->ssl));
	return STREAM_OK;
}

/* The next record's bytes: as many as were offered before, if that was not finished (the queue's front has not changed since). */
static struct slice next_record(const struct stream *s) {
	static uint8_t joined[RECORD_BYTES];
	size_t want = s->offered > 0 ? s->offered : s->out.bytes < RECORD_BYTES ? s->out.bytes : RECORD_BYTES;
	struct iovec iov[RECORD_IOVECS];
	size_t count = outq_iovec(&s->out, iov, RECORD_IOVECS), len = 0;

	if (iov[0].iov_len >= want)
		return slice_of(iov[0].iov_base, want);
	for (size_t i = 0; i < count && len < want; i++) {
		size_t part = iov[i].iov_len < want - len ? iov[i].iov_len : want - len;

		memcpy(joined + len, iov[i].iov_base, part);
		len += part;
	}
	return slice_of(joined, len);
}

static enum stream_result tls_send(struct stream *s, size_t *sent) {
	*sent = 0;
	BUG_ON(s->is_handshaking && !outq_is_empty(&s->out));
	if (s->is_broken) {
		errno = EPIPE;
		return STREAM_ERROR;
	}
	for (int i = 0; i < RECORDS_PER_SEND && !outq_is_empty(&s->out); i++) {
		struct slice record = next_record(s);
		bool waits_to_read = false;
		size_t n;
		int returned;

		before_call();
		returned = SSL_write_ex(s->ssl, record.ptr, record.len, &n);
		if (returned != 1) {
			enum stream_result result = result_of(s, returned, SSL_ERROR_WANT_READ, &waits_to_read);

			s->offered = (uint16_t)record.len;
			s->send_wants_read = waits_to_read;
			return result == STREAM_EOF ? STREAM_ERROR : result;
		}
		s->offered = 0;
		s->send_wants_read = false;
		outq_consume(&s->out, n);
		*sent += n;
	}
	return outq_is_empty(&s->out) ? STREAM_OK : STREAM_AGAIN;
}

static void say_goodbye(struct stream *s) {
	if (!s->is_begun || s->is_handshaking || s->is_broken || s->offered > 0 ||
	    (SSL_get_shutdown(s->ssl) & SSL_SENT_SHUTDOWN) != 0)
		return;
	before_call();
	/* If the socket takes no more, it ends without. */
	(void)SSL_shutdown(s->ssl);
}

static void tls_shutdown(struct stream *s) {
	say_goodbye(s);
	shutdown(s->fd, SHUT_WR);
}

static void tls_close(struct stream *s) {
	if (s->fd < 0)
		return;
	if (s->is_begun) {
		say_goodbye(s);
		if (s->is_handshaking)
			end_handshake(s, false);
		SSL_free(s->ssl);
	}
	s->is_begun = false;
	close(s->fd);
	s->fd = -1;
}

const struct stream_ops stream_tls_ops = {
	.recv = tls_recv,
	.send = tls_send,
	.shutdown = tls_shutdown,
	.close = tls_close,
};

void stream_tls_init(struct stream *s, int fd, struct tls *tls) {
	*s = (struct stream){ .fd = fd, .is_tls = true, .is_handshaking = true, .tls = tls };
	outq_init(&s->out);
}
