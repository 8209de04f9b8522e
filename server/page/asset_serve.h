/* asset_serve - a file of a page as an answer: its type, how long it may be kept, what it may do */
#ifndef SERVER_PAGE_ASSET_SERVE_H
#define SERVER_PAGE_ASSET_SERVE_H

#include "server/conn/conn.h"
#include "server/page/assets.h"

/* 200, or 304 to who has it already. The method is GET or HEAD. */
void asset_serve(struct conn *c, const struct http_request *r, const struct asset *asset);

#endif
