/*
 * secret_file - a file that the master may read and the workers may not, into a bundle
 */
#ifndef SERVER_MASTER_SECRET_FILE_H
#define SERVER_MASTER_SECRET_FILE_H

#include "common/base/bundle.h"
#include "common/base/errbuf.h"

/* The longest file, and what a buffer must be allowed to have for it. */
enum { SECRET_FILE_MAX = 4 << 20, SECRET_FILE_ROOM = SECRET_FILE_MAX + 4096 };

/* Appends the bytes; a file that fills `out` is too long. False: `e` names the file. */
bool secret_file_read(const char *file, struct buf *out, struct errbuf *e) MUST_CHECK;
/* Adds them as a part. */
bool secret_file_add(struct buf *bundle, uint8_t kind, const char *file, struct errbuf *e) MUST_CHECK;

#endif
