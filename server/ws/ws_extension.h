/*
 * ws_extension - the handshake's extension header: its grammar (RFC 6455, 9.1) and the terms of permessage-deflate (RFC 7692, 7.1)
 *
 * Does:      read all offers of all headers in their order, take the first permessage-deflate that can be met, write the answer.
 * Does not:  compress. Pure, no memory. Input: hostile.
 * Unknown extensions are passed over. An offer with a parameter that is unknown, twice there, or has a value out of its range is
 * declined, as RFC 7692 has it, and the next one is looked at. So is one that wants a window of 8 bits from us, which zlib
 * cannot make. A header against the grammar ends the handshake.
 */
#ifndef SERVER_WS_WS_EXTENSION_H
#define SERVER_WS_WS_EXTENSION_H

#include "common/base/buf.h"
#include "server/http/http_request.h"
#include "server/ws/ws_deflate.h"

/* Are all Sec-WebSocket-Extensions headers as the grammar has them? */
bool ws_extension_is_valid(const struct http_request *r) MUST_CHECK;
/* False: no offer can be met, or compression is off. Then messages are sent as they are. */
bool ws_extension_agree(const struct http_request *r, const struct ws_deflate_settings *settings, struct ws_deflate_terms *terms)
    MUST_CHECK;
/* The header line of the answer, with CRLF. */
void ws_extension_answer(const struct ws_deflate_terms *terms, struct buf *out);

#endif
