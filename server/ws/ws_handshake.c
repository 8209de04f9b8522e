/* ws_handshake - is this a WebSocket handshake, and the answer that accepts it */
#include "server/ws/ws_handshake.h"

#include "common/base/codec.h"
#include "common/base/digest.h"
#include "server/ws/ws_extension.h"

enum { KEY_BYTES = 16 };

#define UPGRADE_HEADERS "Upgrade: websocket\r\nConnection: Upgrade\r\n"

bool ws_handshake_is_wanted(const struct http_request *r) {
	return http_header_has_token(r, "upgrade", "websocket");
}

static bool refuse(struct ws_refusal *why, unsigned status, const char *sentence, const char *extra_headers) {
	*why = (struct ws_refusal){ status, sentence, extra_headers };
	return false;
}

static bool check_version(const struct http_request *r, struct ws_refusal *why) {
	size_t count;
	struct slice version = http_header_find(r, "sec-websocket-version", &count);

	if (count > 1)
		return refuse(why, 400, "there is more than one Sec-WebSocket-Version header", NULL);
	if (!slice_eq_text(version, "13"))
		return refuse(why, 426, "only Sec-WebSocket-Version: 13 is spoken here",
		    UPGRADE_HEADERS "Sec-WebSocket-Version: 13\r\n");
	return true;
}

static bool check_key(const struct http_request *r, struct ws_refusal *why) {
	uint8_t bytes[BASE64_LEN(KEY_BYTES)];
	size_t count, len;
	struct slice key = http_header_find(r, "sec-websocket-key", &count);

	if (count == 0)
		return refuse(why, 400, "the Sec-WebSocket-Key header is missing", NULL);
	if (count > 1)
		return refuse(why, 400, "there is more than one Sec-WebSocket-Key header", NULL);
	if (key.len != BASE64_LEN(KEY_BYTES) || !base64_decode(key, bytes, &len) || len != KEY_BYTES)
		return refuse(why, 400, "Sec-WebSocket-Key is not the base64 of 16 bytes", NULL);
	return true;
}

bool ws_handshake_check(const struct http_request *r, struct ws_refusal *why) {
	if (r->method != HTTP_GET)
		return refuse(why, 405, "a WebSocket handshake is a GET request", "Allow: GET\r\n");
	if (!ws_handshake_is_wanted(r))
		return refuse(why, 426, "this is a WebSocket, ask for it with Upgrade: websocket",
		    UPGRADE_HEADERS "Sec-WebSocket-Version: 13\r\n");
	if (r->minor_version == 0)
		return refuse(why, 400, "a WebSocket handshake needs HTTP/1.1 (in nginx: proxy_http_version 1.1)", NULL);
	if (!http_header_has_token(r, "connection", "upgrade"))
		return refuse(why, 400, "the Connection header does not name upgrade", NULL);
	/* RFC 6455 gives it no meaning, and it could not be told from the first frame. */
	if (r->content_length > 0)
		return refuse(why, 400, "a WebSocket handshake has no body", NULL);
	if (!ws_extension_is_valid(r))
		return refuse(why, 400, "the Sec-WebSocket-Extensions header is malformed", NULL);
	return check_version(r, why) && check_key(r, why);
}

struct slice ws_handshake_protocol(const struct http_request *r) {
	return http_header_has_token(r, "sec-websocket-protocol", WS_PROTOCOL) ? slice_text(WS_PROTOCOL) : SLICE_EMPTY;
}

void ws_handshake_accept(const struct http_request *r, struct slice protocol, const struct ws_deflate_terms *deflate,
    struct buf *out) {
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	struct slice key = http_header_find(r, "sec-websocket-key", NULL);
	uint8_t joined[BASE64_LEN(KEY_BYTES) + sizeof(guid) - 1], digest[SHA1_BYTES];
	char accept[BASE64_LEN(SHA1_BYTES) + 1];

	BUG_ON(key.len != BASE64_LEN(KEY_BYTES));
	memcpy(joined, key.ptr, key.len);
	memcpy(joined + key.len, guid, sizeof(guid) - 1);
	digest_sha1(slice_of(joined, sizeof(joined)), digest);
	base64_encode(slice_of(digest, sizeof(digest)), accept);
	buf_addf(out, "HTTP/1.1 101 Switching Protocols\r\n" UPGRADE_HEADERS "Sec-WebSocket-Accept: %s\r\n", accept);
	if (protocol.len > 0)
		buf_addf(out, "Sec-WebSocket-Protocol: %.*s\r\n", SLICE_ARGS(protocol));
	if (deflate != NULL)
		ws_extension_answer(deflate, out);
	buf_add_text(out, "\r\n");
}
