/* secret_file - reading secrets, and leaving nothing of them behind */
#include "server/master/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { READ_BYTES = 4096 };

bool secret_file_read(const char *file, struct buf *out, struct errbuf *e) {
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0) {
		uint8_t *at = buf_reserve(out, READ_BYTES);

		if (at == NULL) {
			close(fd);
			return errbuf_set(e, "%.300s: more than %d bytes", file, SECRET_FILE_MAX);
		}
		n = read(fd, at, READ_BYTES);
		out->len += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		errbuf_set(e, "%.300s: %s", file, strerror(errno));
	if (fd >= 0)
		close(fd);
	return n == 0;
}

bool secret_file_add(struct buf *bundle, uint8_t kind, const char *file, struct errbuf *e) {
	struct buf bytes;
	bool is_read;

	buf_init(&bytes, SECRET_FILE_ROOM);
	is_read = secret_file_read(file, &bytes, e);
	if (is_read)
		bundle_add(bundle, kind, buf_slice(&bytes));
	bundle_fini(&bytes);
	return is_read;
}
