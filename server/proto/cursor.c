/* cursor - where a page of members ended, as text */
#include "server/proto/cursor.h"

void cursor_write(const struct hub_cursor *c, struct buf *out) {
	buf_add_u64_text(out, c->number);
	buf_add_u8(out, '.');
	buf_add(out, c->member);
}

bool cursor_parse(struct slice text, struct hub_cursor *out) {
	struct slice number;

	if (!slice_next_part(&text, '.', &number) || !slice_to_u64(number, &out->number))
		return false;
	out->member = text;
	return out->number > 0 && text.len > 0;
}
