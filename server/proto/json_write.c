/* json_write - JSON text, appended to a buffer */
#include "server/proto/json_write.h"

#include "server/proto/json_scan.h"

static void write_escape(struct buf *b, uint8_t c) {
	static const char hex[] = "0123456789abcdef";
	uint8_t sequence[6] = { '\\', c, '0', '0', 0, 0 };
	size_t len = 2;

	switch (c) {
	case '"':
	case '\\':
		break;
	case '\b':
		sequence[1] = 'b';
		break;
	case '\f':
		sequence[1] = 'f';
		break;
	case '\n':
		sequence[1] = 'n';
		break;
	case '\r':
		sequence[1] = 'r';
		break;
	case '\t':
		sequence[1] = 't';
		break;
	default:
		sequence[1] = 'u';
		sequence[4] = (uint8_t)hex[c >> 4];
		sequence[5] = (uint8_t)hex[c & 15];
		len = 6;
	}
	buf_add(b, slice_of(sequence, len));
}

void json_write_escaped(struct buf *b, struct slice text) {
	/* Nearly all text needs no escape at all and goes in one piece. */
	while (text.len > 0) {
		size_t plain = json_plain_len(text);

		buf_add(b, slice_of(text.ptr, plain));
		if (plain == text.len)
			break;
		write_escape(b, text.ptr[plain]);
		text = slice_skip(text, plain + 1);
	}
}

void json_write_text(struct buf *b, struct slice text) {
	buf_add_u8(b, '"');
	json_write_escaped(b, text);
	buf_add_u8(b, '"');
}

/* And makes room for so much more behind it. */
static void write_name(struct buf *b, const char *name, size_t room) {
	size_t len = strlen(name);
	uint8_t *at = buf_reserve(b, len + 4 + room);

	if (at == NULL)
		return;
	memcpy(at, ",\"", 2);
	memcpy(at + 2, name, len);
	memcpy(at + 2 + len, "\":", 2);
	b->len += len + 4;
}

void json_write_member_text(struct buf *b, const char *name, struct slice text) {
	write_name(b, name, text.len + 2);
	json_write_text(b, text);
}

void json_write_member_u64(struct buf *b, const char *name, uint64_t value) {
	write_name(b, name, 20);
	buf_add_u64_text(b, value);
}

void json_write_member_seconds(struct buf *b, const char *name, uint64_t ms) {
	uint64_t rest = ms % 1000;
	int digits = 3;

	json_write_member_u64(b, name, ms / 1000);
	if (rest == 0)
		return;
	for (; rest % 10 == 0; rest /= 10)
		digits--;
	buf_addf(b, ".%0*u", digits, (unsigned)rest);
}

void json_write_member_bool(struct buf *b, const char *name, bool value) {
	write_name(b, name, 5);
	buf_add_text(b, value ? "true" : "false");
}

void json_write_member_raw(struct buf *b, const char *name, struct slice value) {
	write_name(b, name, value.len);
	buf_add(b, value);
}
