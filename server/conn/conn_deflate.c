/* conn_deflate - what is compressed on its way out, and with which context */
#include "common/svc/stats.h"
#include "server/conn/conn_priv.h"
#include "server/ws/ws_extension.h"

enum { DEFLATED_KEEP_BYTES = 64 << 10 };

bool conn_deflate_agree(struct conn *c, const struct http_request *r, struct ws_deflate_terms *terms) {
	if (!ws_extension_agree(r, &c->cs->settings.deflate, terms))
		return false;
	c->window_bits = terms->server_bits;
	c->has_context = terms->server_keeps;
	ws_reader_set_deflate(&c->reader, terms);
	return true;
}

uint8_t conn_wire(const struct conn *c) {
	return c->has_context ? CONN_PLAIN : c->window_bits;
}

/* A broken context is no reason to end: what is not compressed is always understood. */
static bool deflate_with_context(struct conn *c, struct slice message, struct buf *out) {
	struct conn_side *side = conn_side(c);

	if (side->deflater == NULL)
		side->deflater = ws_deflater_new(c->window_bits, c->cs->settings.deflate.level);
	if (side->deflater != NULL && ws_deflater_add(side->deflater, message, out))
		return true;
	ws_deflater_free(&side->deflater);
	c->has_context = false;
	c->window_bits = 0;
	return false;
}

bool conn_deflate_message(struct conn *c, struct slice message, struct slice *deflated) {
	const struct ws_deflate_settings *settings = &c->cs->settings.deflate;
	struct buf *out = &c->cs->deflated;
	uint8_t bits;

	if (c->window_bits == 0 || !ws_deflate_is_worth(settings, message.len))
		return false;
	buf_reset(out);
	if (c->has_context) {
		/* The peer's context must see it, whether it got smaller or not. */
		if (!deflate_with_context(c, message, out))
			return false;
	} else {
		bits = ws_deflate_bits_for(c->window_bits, message.len);
		if (!ws_deflate_alone(bits, settings->level, message, out) || out->len >= message.len)
			return false;
	}
	*deflated = buf_slice(out);
	return true;
}

/* False: no memory. */
static bool add_frame(struct rcbuf **out, uint8_t first, struct slice payload) {
	uint8_t header[WS_SERVER_HEADER_MAX];
	size_t header_bytes = ws_frame_header(header, first, payload.len);

	if (!rcbuf_try_grow(out, header_bytes + payload.len))
		return false;
	rcbuf_add(*out, slice_of(header, header_bytes));
	rcbuf_add(*out, payload);
	return true;
}

struct rcbuf *conn_deflate_frames(struct conn *c, const struct rcbuf *frames) {
	struct slice rest = rcbuf_slice(frames), payload;
	struct rcbuf *out = rcbuf_try_new(frames->len);
	uint8_t first;

	while (out != NULL && rest.len > 0) {
		rest = slice_skip(rest, ws_frame_split(rest, &first, &payload));
		if (conn_deflate_message(c, payload, &payload))
			first |= WS_RSV1;
		if (!add_frame(&out, first, payload))
			rcbuf_unref(&out);
	}
	return out;
}

void conn_deflate_count(struct conns *cs) {
	const struct ws_deflate_counts *counts = ws_deflate_counted();

	stat_set(STAT_compression_memory_bytes, counts->memory_bytes);
	stat_set(STAT_deflate_calls, counts->deflate_calls);
	stat_set(STAT_deflate_bytes_in, counts->deflate_bytes_in);
	stat_set(STAT_deflate_bytes_out, counts->deflate_bytes_out);
	stat_set(STAT_inflate_calls, counts->inflate_calls);
	stat_set(STAT_inflate_bytes_in, counts->inflate_bytes_in);
	stat_set(STAT_inflate_bytes_out, counts->inflate_bytes_out);
	if (cs->deflated.cap > DEFLATED_KEEP_BYTES)
		buf_fini(&cs->deflated);
}
