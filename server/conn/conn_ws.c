/* conn_ws - frames in and out, control frames, the close handshake */
#define LOG_AREA LOG_AREA_frames
#include "common/svc/log.h"
#include "common/svc/stats.h"
#include "common/svc/trace.h"
#include "server/conn/conn_priv.h"

enum { CLOSE_CODE_NONE = 1005, CONTROL_COST_BYTES = 1024 };

/* --- in the log --- */

static const char *opcode_name(uint8_t opcode) {
	switch (opcode) {
	case WS_TEXT:
		return "text";
	case WS_BINARY:
		return "binary";
	case WS_CLOSE:
		return "close";
	case WS_PING:
		return "ping";
	case WS_PONG:
		return "pong";
	default:
		return "shared";
	}
}

static void log_frame(const struct conn *c, const char *way, uint8_t opcode, size_t bytes, uint32_t count) {
	char id[ID_TEXT_LEN + 1], peer[SOCK_TEXT_MAX];

	conn_id_text(c, id);
	sock_peer_text(&c->peer, peer);
	log_line(LOG_DEBUG, way, LF_TEXT("conn", id), LF_TEXT("peer", peer), LF_TEXT("opcode", opcode_name(opcode)),
	    LF_U("bytes", bytes), LF_U("frames", count));
}

/* --- out --- */

/* `first`: opcode, and WS_RSV1 if it is compressed. False: no memory. */
static bool queue_frame(struct conn *c, uint8_t first, struct slice payload) {
	uint8_t header[WS_SERVER_HEADER_MAX];
	size_t header_len = ws_frame_header(header, WS_FIN | first, payload.len);
	struct rcbuf *r = rcbuf_try_new(header_len + payload.len);

	if (r == NULL)
		return false;
	rcbuf_add(r, slice_of(header, header_len));
	rcbuf_add(r, payload);
	if (log_is_on(LOG_DEBUG))
		log_frame(c, "frame out", first & ~WS_RSV1, payload.len, 1);
	conn_queue(c, r);
	return true;
}

/* Takes the payload. */
static void queue_whole(struct conn *c, uint8_t opcode, struct rcbuf *payload) {
	uint8_t header[WS_SERVER_HEADER_MAX];
	size_t header_len = ws_frame_header(header, WS_FIN | opcode, payload->len);

	if (log_is_on(LOG_DEBUG))
		log_frame(c, "frame out", opcode, payload->len, 1);
	payload->is_tail = true;
	conn_queue(c, rcbuf_copy(slice_of(header, header_len)));
	conn_queue(c, payload);
}

static void queue_control(struct conn *c, uint8_t opcode, struct slice payload) {
	if (!queue_frame(c, opcode, payload))
		conn_end(c, CLOSE_internal_error, "no memory for a frame");
}

/* Whether it is closed because too much waits. What was queued in this turn was never offered to the socket, or only its share,
 * so that comes first. */
static bool is_too_slow(struct conn *c) {
	size_t most = c->cs->settings.client_queue_bytes, before;

	while (c->stream.out.bytes >= most) {
		before = c->stream.out.bytes;
		conn_flush(c);
		if (c->state != CONN_OPEN)
			return true;
		if (c->stream.out.bytes == before) {
			conn_close(c, CLOSE_slow_client, NULL);
			return true;
		}
	}
	return false;
}

static void count_sent(struct conn *c, uint32_t messages) {
	c->messages_out += messages;
	stat_add(STAT_messages_sent, messages);
}

/* Large ones go from where they lie, if nothing waits before them and the socket takes them: a copy costs more than a system call of
 * their own. False: it has to be queued. */
static bool send_at_once(struct conn *c, uint8_t opcode, struct slice data) {
	uint8_t header[WS_SERVER_HEADER_MAX];
	size_t header_len, sent;

	if (data.len < CONN_AT_ONCE_BYTES)
		return false;
	header_len = ws_frame_header(header, WS_FIN | opcode, data.len);
	sent = conn_offer(c, slice_of(header, header_len), data);
	if (sent == 0)
		return false;
	if (sent == header_len + data.len) {
		if (log_is_on(LOG_DEBUG))
			log_frame(c, "frame out", opcode, data.len, 1);
	} else if (queue_frame(c, opcode, data)) {
		conn_skip_begun(c, sent);
	} else {
		conn_end(c, CLOSE_internal_error, "no memory for the rest of a frame");
	}
	return true;
}

/* What lies in the reader's hands. False: it has to be copied. */
static bool send_from_there(struct conn *c, uint8_t opcode, struct slice data) {
	struct rcbuf *whole = ws_reader_take(&c->reader);

	if (whole == NULL)
		return send_at_once(c, opcode, data);
	queue_whole(c, opcode, whole);
	return true;
}

static void send_message(struct conn *c, uint8_t opcode, struct slice data, bool is_at_hand) {
	bool is_deflated = conn_deflate_message(c, data, &data);

	if ((is_deflated || !is_at_hand || !send_from_there(c, opcode, data)) &&
	    !queue_frame(c, is_deflated ? opcode | WS_RSV1 : opcode, data)) {
		conn_close(c, CLOSE_internal_error, "no memory for a message");
		return;
	}
	count_sent(c, 1);
}

void conn_send(struct conn *c, uint8_t opcode, struct slice data) {
	if (c->state == CONN_OPEN && !is_too_slow(c))
		send_message(c, opcode, data, false);
}

void conn_send_back(struct conn *c, uint8_t opcode, struct slice data) {
	if (c->state == CONN_OPEN && !is_too_slow(c))
		send_message(c, opcode, data, true);
}

struct rcbuf *conn_take_message(struct conn *c) {
	return ws_reader_take(&c->reader);
}

void conn_send_frames(struct conn *c, struct rcbuf *frames, struct rcbuf *payload, uint32_t messages) {
	if (c->state != CONN_OPEN || is_too_slow(c))
		return;
	if (log_is_on(LOG_DEBUG))
		log_frame(c, "frame out", WS_CONTINUATION, frames->len + (payload != NULL ? payload->len : 0), messages);
	if (payload != NULL) {
		conn_queue_shared(c, frames);
		conn_queue_shared(c, payload);
	} else if (!c->has_context) {
		conn_queue_shared(c, frames);
	} else {
		struct rcbuf *own = conn_deflate_frames(c, frames);

		if (own == NULL) {
			conn_close(c, CLOSE_internal_error, "no memory for a message");
			return;
		}
		conn_queue(c, own);
	}
	count_sent(c, messages);
}

void conn_ws_ping(struct conn *c) {
	c->is_pinged = true;
	c->is_warned = false;
	c->beat_ms = conn_stamp(c);
	stat_add(STAT_pings_sent, 1);
	queue_control(c, WS_PING, SLICE_EMPTY);
}

/* How much of the text fits without half a character at its end. */
static size_t utf8_cut(const char *text, size_t most) {
	size_t len = strlen(text);

	if (len <= most)
		return len;
	for (len = most; len > 0 && ((uint8_t)text[len] & 0xC0) == 0x80;)
		len--;
	return len;
}

void conn_ws_send_close(struct conn *c, uint16_t code, const char *reason) {
	uint8_t payload[WS_CONTROL_MAX];
	size_t len = code != 0 ? utf8_cut(reason, sizeof(payload) - 2) : 0;

	payload[0] = (uint8_t)(code >> 8);
	payload[1] = (uint8_t)code;
	memcpy(payload + 2, reason, len);
	queue_control(c, WS_CLOSE, slice_of(payload, code != 0 ? 2 + len : 0));
}

/* --- in --- */

static void on_message(struct conn *c, const struct ws_item *item) {
	if (c->state != CONN_OPEN)
		return; /* our close frame is out */
	c->messages_in++;
	stat_add(STAT_messages_received, 1);
	trace_event(message, c->id, item->data.len, item->type == WS_ITEM_TEXT);
	if (!c->is_limited || conn_limits_message(c, item->type == WS_ITEM_TEXT, item->data))
		c->ops->on_message(c, item->type == WS_ITEM_TEXT, item->data);
}

/* RFC 6455, 5.5.1: answered with a close frame of the same code. */
static void on_peer_close(struct conn *c, const struct ws_item *item) {
	char detail[CONN_DETAIL_MAX];
	size_t len = item->data.len < sizeof(detail) ? item->data.len : sizeof(detail) - 1;

	if (c->state == CONN_CLOSING) {
		conn_linger(c);
		return;
	}
	if (len > 0)
		memcpy(detail, item->data.ptr, len);
	detail[len] = '\0';
	c->close_code = item->close_code;
	conn_set_reason(c, CLOSE_client_close, detail);
	conn_leave(c);
	if (c->state == CONN_OPEN)
		conn_ws_send_close(c, item->close_code == CLOSE_CODE_NONE ? 0 : item->close_code, "");
	if (c->state == CONN_OPEN)
		conn_linger(c);
}

static enum close_reason reason_of_bad(const struct ws_item *item) {
	static const enum close_reason reasons[] = { CLOSE_bad_data, CLOSE_bad_utf8, CLOSE_policy, CLOSE_too_big,
		CLOSE_internal_error };

	if (item->is_corrupt)
		return CLOSE_bad_compression;
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (close_reason_code(reasons[i]) == item->close_code)
			return reasons[i];
	}
	return CLOSE_protocol_error;
}

/* Where the next frame begins is not known any more, so the peer's close frame cannot be waited for. */
static void on_bad(struct conn *c, const struct ws_item *item) {
	c->is_deaf = true;
	/* What was half received may be large, and the end takes its time. */
	ws_reader_fini(&c->reader);
	if (c->state == CONN_CLOSING)
		conn_linger(c);
	else
		conn_close(c, reason_of_bad(item), item->sentence);
}

static void log_item(const struct conn *c, const struct ws_item *item) {
	static const uint8_t opcodes[] = {
		[WS_ITEM_TEXT] = WS_TEXT,
		[WS_ITEM_BINARY] = WS_BINARY,
		[WS_ITEM_PING] = WS_PING,
		[WS_ITEM_PONG] = WS_PONG,
		[WS_ITEM_CLOSE] = WS_CLOSE,
	};
	bool has_code = item->type == WS_ITEM_CLOSE && item->close_code != CLOSE_CODE_NONE;

	if (item->type != WS_ITEM_MORE && item->type != WS_ITEM_BAD)
		log_frame(c, "frame in", opcodes[item->type], item->data.len + (has_code ? 2 : 0), item->frames);
}

/* A few bytes that cost us as much as many. */
static void count_control(struct conn *c) {
	if (c->is_limited && c->state == CONN_OPEN)
		conn_limits_bytes(c, CONTROL_COST_BYTES);
}

/* False: nothing more is to be fed. */
static bool on_item(struct conn *c, const struct ws_item *item) {
	switch (item->type) {
	case WS_ITEM_MORE:
		break;
	case WS_ITEM_PONG:
		if (!c->is_pinged)
			count_control(c);
		c->is_pinged = false;
		break;
	case WS_ITEM_TEXT:
	case WS_ITEM_BINARY:
		on_message(c, item);
		break;
	case WS_ITEM_PING:
		count_control(c);
		if (c->state == CONN_OPEN)
			queue_control(c, WS_PONG, item->data);
		break;
	case WS_ITEM_CLOSE:
		on_peer_close(c, item);
		ws_reader_fini(&c->reader);
		return false;
	case WS_ITEM_BAD:
		on_bad(c, item);
		return false;
	}
	return c->state == CONN_OPEN || c->state == CONN_CLOSING;
}

void conn_ws_input(struct conn *c, struct slice *in) {
	size_t done = 0;

	for (;;) {
		struct ws_item item = ws_reader_next(&c->reader, in);

		if (log_is_on(LOG_DEBUG))
			log_item(c, &item);
		done += item.data.len;
		if (!on_item(c, &item)) {
			in->len = 0;
			return;
		}
		if (item.type == WS_ITEM_MORE || (done >= CONN_TURN_BYTES && in->len > 0))
			return;
	}
}
