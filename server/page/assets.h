/*
 * assets - the files of the chat page and of the status page, which are part of the program
 *
 * Does not:  answer requests, open files.
 * Lifetime:  everything returned lives as long as the program.
 */
#ifndef SERVER_PAGE_ASSETS_H
#define SERVER_PAGE_ASSETS_H

#include "common/base/slice.h"

enum { ASSET_ETAG_DIGITS = 32 };

enum asset_page {
	PAGE_CHAT,	/* of the workers */
	PAGE_STATUS,	/* of the admin process */
};

struct asset {
	enum asset_page page;
	const char *path;
	const char *content_type;
	struct slice body;
	char etag[ASSET_ETAG_DIGITS + 3];	/* as in the header: quoted, then NUL */
};

/* Computes the ETags; once, before the first asset_find(). */
void assets_init(void);
/* NULL when the path is none of the page's. */
const struct asset *asset_find(enum asset_page page, struct slice path);

#endif
