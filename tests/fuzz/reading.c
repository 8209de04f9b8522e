/* reading - a stream of frames read by a ws_reader, whole or in parts */
#include "tests/fuzz/reading.h"

#include "common/base/buf.h"
#include "common/base/utf8.h"

static void check_item(const struct ws_item *item, uint32_t max_message_bytes) {
	switch (item->type) {
	case WS_ITEM_TEXT:
	case WS_ITEM_BINARY:
		BUG_ON(item->type == WS_ITEM_TEXT && !utf8_is_valid(item->data));
		BUG_ON(item->data.len > max_message_bytes || item->frames == 0);
		break;
	case WS_ITEM_PING:
	case WS_ITEM_PONG:
		BUG_ON(item->data.len > WS_CONTROL_MAX);
		break;
	case WS_ITEM_CLOSE:
		BUG_ON(item->data.len > WS_CONTROL_MAX - 2 || !utf8_is_valid(item->data));
		BUG_ON(item->close_code != 1005 && !ws_close_code_is_valid(item->close_code));
		break;
	case WS_ITEM_BAD:
		BUG_ON(item->close_code != 1002 && item->close_code != 1007 && item->close_code != 1009);
		BUG_ON(item->sentence == NULL);
		break;
	case WS_ITEM_MORE:
		break;
	}
}

static void log_item(const struct ws_item *item, struct buf *log) {
	buf_addf(log, "%d %u %u %zu %s%s ", (int)item->type, item->close_code, item->frames, item->data.len,
	    item->sentence != NULL ? item->sentence : "", item->is_corrupt ? " corrupt" : "");
	buf_add(log, item->data);
	buf_add_u8(log, '\n');
}

/* Who takes a message away has the bytes that were handed out. */
static void take_message(struct ws_reader *r, const struct ws_item *item) {
	struct rcbuf *whole = ws_reader_take(r);

	BUG_ON(whole != NULL && ((item->type != WS_ITEM_TEXT && item->type != WS_ITEM_BINARY) || !slice_eq(rcbuf_slice(whole), item->data)));
	rcbuf_unref(&whole);
}

/* False: nothing more is to be fed. */
static bool read_part(struct ws_reader *r, struct slice part, struct buf *log) {
	uint8_t *copy = mem_dup(part.ptr, part.len);
	struct slice in = slice_of(copy, part.len);
	struct ws_item item;

	do {
		item = ws_reader_next(r, &in);
		BUG_ON(in.ptr + in.len != copy + part.len);
		check_item(&item, r->max_message_bytes);
		if (item.type != WS_ITEM_MORE)
			log_item(&item, log);
		take_message(r, &item);
		/* MORE with a rest: inflating has had enough for one turn. */
		BUG_ON(item.type == WS_ITEM_MORE && in.len > 0 && !r->may_deflate);
	} while (item.type != WS_ITEM_CLOSE && item.type != WS_ITEM_BAD && (item.type != WS_ITEM_MORE || in.len > 0));
	mem_free(copy);
	return item.type == WS_ITEM_MORE;
}

void reading_run(const struct reading *how, struct slice stream, struct buf *log) {
	struct slice parts = how->parts;
	struct ws_reader r;
	bool wants_more = true;

	ws_reader_init(&r, how->max_message_bytes);
	if (how->deflate != NULL)
		ws_reader_set_deflate(&r, how->deflate);
	while (wants_more && stream.len > 0) {
		size_t len = parts.len > 0 ? (size_t)fuzz_u8(&parts) + 1 : stream.len;

		wants_more = read_part(&r, fuzz_bytes(&stream, len), log);
		BUG_ON(ws_reader_kept_bytes(&r) > (size_t)r.max_message_bytes + 1024);
	}
	ws_reader_fini(&r);
}
