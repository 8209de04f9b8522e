/* log_sink - one line into standard error, or not at all */
#include "common/svc/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static enum { SINK_POLLED = 0, SINK_FILE, SINK_PIPE, SINK_SOCKET } kind;
/* An open file description of our own: O_NONBLOCK on the inherited one would change it for those who gave it to us. */
static int pipe_fd = -1;

void log_sink_open(void) {
	struct stat st;

	if (pipe_fd >= 0)
		close(pipe_fd);
	pipe_fd = -1;
	kind = SINK_POLLED;
	if (fstat(STDERR_FILENO, &st) != 0)
		return;
	if (S_ISREG(st.st_mode))
		kind = SINK_FILE;
	else if (S_ISSOCK(st.st_mode))
		kind = SINK_SOCKET;
	else if (S_ISFIFO(st.st_mode) && (pipe_fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC)) >= 0)
		kind = SINK_PIPE;
}

static ssize_t sink_try(const char *bytes, size_t len) {
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	switch (kind) {
	case SINK_PIPE:
		return write(pipe_fd, bytes, len);
	case SINK_SOCKET:
		return send(STDERR_FILENO, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	case SINK_FILE:
		return write(STDERR_FILENO, bytes, len);
	default:
		/* A terminal that was stopped has no room. */
		return poll(&p, 1, 0) == 1 ? write(STDERR_FILENO, bytes, len) : -1;
	}
}

bool log_sink_write(const char *bytes, size_t len) {
	ssize_t written;

	do {
		errno = 0;
		written = sink_try(bytes, len);
	} while (written < 0 && errno == EINTR);
	return written == (ssize_t)len;
}
