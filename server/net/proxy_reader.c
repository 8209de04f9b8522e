/* proxy_reader - looks first, then takes what belongs to the header */
#include "server/net/proxy_reader.h"

#include <errno.h>
#include <sys/socket.h>

/* What was looked at is there. */
static bool take(int fd, size_t len) {
	uint8_t discarded[PROXY_HEADER_MAX];

	return recv(fd, discarded, len, 0) == (ssize_t)len;
}

enum stream_result proxy_reader_take(int fd, struct buf *kept, struct sock_peer *client, const char **sentence) {
	size_t before = kept->len, len = 0;
	uint8_t *room = buf_reserve(kept, PROXY_HEADER_MAX - before);
	enum proxy_header_result result;
	ssize_t n;

	if (room == NULL) {
		errno = ENOMEM;
		return STREAM_ERROR;
	}
	n = recv(fd, room, PROXY_HEADER_MAX - before, MSG_PEEK);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? STREAM_AGAIN : STREAM_ERROR;
	if (n == 0)
		return STREAM_EOF;
	kept->len += (size_t)n;
	result = proxy_header_parse(buf_slice(kept), client, &len, sentence);
	if (result == PROXY_HEADER_BAD) {
		errno = EPROTO;
		return STREAM_ERROR;
	}
	if (!take(fd, result == PROXY_HEADER_DONE ? len - before : (size_t)n))
		return STREAM_ERROR;
	return result == PROXY_HEADER_DONE ? STREAM_OK : STREAM_AGAIN;
}
