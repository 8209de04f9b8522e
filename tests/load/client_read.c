/* client_read - the answer's head, and frames one after the other */
#include "tests/load/client_read.h"

#include <stdio.h>
#include <strings.h>

#include "common/base/mem.h"

enum { OP_CONTINUATION = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };
enum { CONTROL_MAX = sizeof(((struct part *)0)->control), RESPONSE_MAX = 8192, RETRY_MAX = 600 };

/* That of the key which all requests have. */
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

void part_free(struct part *p) {
	if (p != NULL)
		buf_fini(&p->text);
	mem_free(p);
}

/* Of the answer's head, which ends with the last header's line end. 0: it does not say. */
static uint32_t retry_after(struct slice head) {
	static const char name[] = "\r\nretry-after:";
	uint64_t seconds = 0;

	for (size_t i = 0; i + sizeof(name) - 1 < head.len; i++) {
		struct slice rest = slice_skip(head, i + sizeof(name) - 1);
		const uint8_t *end = memchr(rest.ptr, '\r', rest.len);

		if (strncasecmp((const char *)head.ptr + i, name, sizeof(name) - 1) == 0 && end != NULL &&
			slice_to_u64(slice_trim(slice_of(rest.ptr, (size_t)(end - rest.ptr))), &seconds))
			break;
	}
	return seconds < RETRY_MAX ? (uint32_t)seconds : RETRY_MAX;
}

/* "connection 5: the server does not upgrade /ws but answers 429 Too Many Requests: .." */
static void refused(struct clients *all, struct client *c, struct slice head, struct slice body) {
	const uint8_t *end = memchr(head.ptr, '\r', head.len), *body_end = memchr(body.ptr, '\n', body.len);
	struct slice line = end != NULL ? slice_of(head.ptr, (size_t)(end - head.ptr)) : head;
	char cause[CAUSE_TEXT] = "no HTTP";

	body.len = body_end != NULL ? (size_t)(body_end - body.ptr) : body.len;
	body.len = body.len < 160 ? body.len : 160;
	if (line.len >= 12 && slice_starts_with(line, "HTTP/1.")) {
		snprintf(cause, sizeof(cause), "status %.3s", (const char *)line.ptr + 9);
		line = slice_skip(line, 9);
	}
	line.len = line.len < 80 ? line.len : 80;
	all->retry_after = retry_after(head);
	client_fail(all, c, cause, "the server does not upgrade %s but answers \"%.*s\"%s%.*s", all->o->target.path, SLICE_ARGS(line),
		body.len > 0 ? ": " : "", SLICE_ARGS(body));
}

/* Returns what follows the head. */
static struct slice upgraded(struct clients *all, struct client *c, struct part *p, struct slice s) {
	size_t before = p->text.len;
	struct slice head, rest;
	const uint8_t *end;

	if (before > 0)
		buf_add(&p->text, s);
	head = before > 0 ? buf_slice(&p->text) : s;
	end = memmem(head.ptr, head.len, "\r\n\r\n", 4);
	if (end == NULL) {
		if (before == 0)
			buf_add(&p->text, s);
		if (p->text.failed)
			client_fail(all, c, "no HTTP", "the server's answer has no end");
		return SLICE_EMPTY;
	}
	rest = slice_skip(head, (size_t)(end - head.ptr) + 4);
	head.len -= rest.len;
	if (!slice_starts_with(head, "HTTP/1.1 101 ")) {
		refused(all, c, head, rest);
		return SLICE_EMPTY;
	}
	if (memmem(head.ptr, head.len, ACCEPT, strlen(ACCEPT)) == NULL) {
		client_fail(all, c, "wrong accept", "the server's Sec-WebSocket-Accept is wrong");
		return SLICE_EMPTY;
	}
	if (c->offers_deflate && memmem(head.ptr, head.len, "permessage-deflate", 18) == NULL)
		c->offers_deflate = false;
	buf_fini(&p->text);
	c->state = CLIENT_OPEN;
	c->was_open = true;
	all->me->n.opened += c->comes_back ? 0 : 1;
	all->on.on_open(all, c);
	return slice_skip(s, s.len - rest.len);
}

static void closed(struct clients *all, struct client *c, struct slice payload) {
	int code = payload.len >= 2 ? payload.ptr[0] << 8 | payload.ptr[1] : 1005;
	struct slice reason = payload.len > 2 ? slice_skip(payload, 2) : SLICE_EMPTY;
	char cause[CAUSE_TEXT];

	snprintf(cause, sizeof(cause), "close %d", code);
	client_fail(all, c, cause, "closed by the server with code %d%s%.*s", code, reason.len > 0 ? ", " : "", SLICE_ARGS(reason));
}

static void control_frame(struct clients *all, struct client *c, uint8_t opcode, struct slice payload) {
	struct buf pong;

	if (opcode == OP_CLOSE)
		closed(all, c, payload);
	if (opcode != OP_PING)
		return;
	all->me->n.pings++;
	buf_init(&pong, CONTROL_MAX + 14);
	client_add_frame(&pong, OP_PONG, payload);
	client_send_bytes(all, c, buf_slice(&pong));
	buf_fini(&pong);
}

/* Returns the length of the frame's head, or 0 when more of it is needed, or the client has failed. */
static size_t take_head(struct clients *all, struct client *c, struct part *p, const uint8_t *b, size_t len) {
	size_t length_bytes;
	uint64_t left;

	if (len < 2)
		return 0;
	length_bytes = b[1] < 126 ? 0 : b[1] == 126 ? 2 : 8;
	if (len < 2 + length_bytes)
		return 0;
	left = length_bytes == 0 ? b[1] : 0;
	for (size_t i = 0; i < length_bytes; i++)
		left = left << 8 | b[2 + i];
	p->fin = (b[0] & 0x80) != 0;
	p->opcode = b[0] & 0x0f;
	p->is_compressed = p->is_compressed || (b[0] & 0x40) != 0;
	if ((b[0] & 0x30) != 0 || (b[1] & 0x80) != 0 || ((b[0] & 0x40) != 0 && !c->offers_deflate) ||
		(p->opcode >= OP_CLOSE ? left > CONTROL_MAX : left > CLIENT_MESSAGE_MAX - p->offset)) {
		client_fail(all, c, "bad frame", "the server sent a frame that begins %02x %02x, with %llu bytes of payload", b[0], b[1],
			(unsigned long long)left);
		return 0;
	}
	p->left = (uint32_t)left;
	p->in_frame = true;
	return 2 + length_bytes;
}

/* Returns what follows the part of the head that is in s. */
static struct slice frame_head(struct clients *all, struct client *c, struct part *p, struct slice s) {
	size_t len;

	if (p->head_len == 0) {
		len = take_head(all, c, p, s.ptr, s.len);
		if (len > 0)
			return slice_skip(s, len);
	}
	while (s.len > 0 && !p->in_frame && c->state == CLIENT_OPEN) {
		p->head[p->head_len++] = s.ptr[0];
		s = slice_skip(s, 1);
		if (take_head(all, c, p, p->head, p->head_len) > 0)
			p->head_len = 0;
	}
	return s;
}

static bool is_same(const struct clients *all, const struct part *p, struct slice s) {
	return p->is_compressed || (p->offset + s.len <= all->payload_len && memcmp(all->payload + p->offset, s.ptr, s.len) == 0);
}

/* A piece of a message's payload, whose text nobody wants. */
static void look_at(struct clients *all, struct client *c, struct part *p, struct slice s) {
	if (all->on.compares && s.len > 0 && !is_same(all, p, s)) {
		client_fail(all, c, "other bytes", "what came back is not what was sent");
		return;
	}
	if (p->offset < STAMP_BYTES && s.len > 0) {
		size_t room = STAMP_BYTES - p->offset;

		memcpy(p->stamp + p->offset, s.ptr, s.len < room ? s.len : room);
	}
}

static void message(struct clients *all, struct client *c, struct part *p, struct slice last) {
	struct slice text = slice_of(p->stamp, p->offset < STAMP_BYTES ? p->offset : STAMP_BYTES);

	if (all->on.wants_text)
		text = p->text.len > 0 ? buf_slice(&p->text) : last;
	else if (all->on.compares && !p->is_compressed && p->offset != all->payload_len) {
		client_fail(all, c, "other bytes", "what came back is shorter than what was sent");
		return;
	}
	if (p->is_compressed)
		text = SLICE_EMPTY;
	all->on.on_message(all, c, text);
	buf_reset(&p->text);
	p->offset = 0;
	p->is_compressed = false;
}

/* A piece of a frame's payload. Text is put together only when it comes in several. */
static void payload(struct clients *all, struct client *c, struct part *p, struct slice s) {
	bool is_control = p->opcode >= OP_CLOSE, is_last;

	p->left -= (uint32_t)s.len;
	is_last = p->left == 0;
	if (is_control) {
		memcpy(p->control + p->control_len, s.ptr, s.len);
		p->control_len += (uint8_t)s.len;
	} else if (all->on.wants_text) {
		if (!is_last || p->text.len > 0 || !p->fin)
			buf_add(&p->text, s);
		if (p->text.failed)
			client_fail(all, c, "bad frame", "the server sent a message of more than %d bytes", CLIENT_MESSAGE_MAX);
	} else {
		look_at(all, c, p, s);
	}
	p->in_frame = !is_last;
	p->offset += is_control ? 0 : (uint32_t)s.len;
	if (!is_last || c->state != CLIENT_OPEN)
		return;
	if (is_control) {
		control_frame(all, c, p->opcode, slice_of(p->control, p->control_len));
		p->control_len = 0;
	} else if (p->fin) {
		message(all, c, p, s);
	}
}

static void frames(struct clients *all, struct client *c, struct part *p, struct slice s) {
	while (s.len > 0 && c->state == CLIENT_OPEN) {
		size_t take;

		if (!p->in_frame)
			s = frame_head(all, c, p, s);
		if (!p->in_frame)
			return;
		take = s.len < p->left ? s.len : p->left;
		if (take == 0 && p->left > 0)
			return;
		payload(all, c, p, slice_of(s.ptr, take));
		s = slice_skip(s, take);
	}
}

static bool is_empty(const struct part *p) {
	return !p->in_frame && p->head_len == 0 && p->offset == 0 && !p->is_compressed && p->text.len == 0;
}

void client_feed(struct clients *all, struct client *c, struct slice s) {
	struct part p, *kept = c->part;

	/* What fails frees what the client has, and that is in p now. */
	c->part = NULL;
	if (kept != NULL) {
		p = *kept;
	} else {
		memset(&p, 0, offsetof(struct part, stamp));
		buf_init(&p.text, c->state == CLIENT_UPGRADING ? RESPONSE_MAX : CLIENT_MESSAGE_MAX);
	}
	if (c->state == CLIENT_UPGRADING)
		s = upgraded(all, c, &p, s);
	if (c->state == CLIENT_OPEN) {
		p.text.max = CLIENT_MESSAGE_MAX;
		frames(all, c, &p, s);
	}
	if (c->state != CLIENT_GONE && !is_empty(&p)) {
		c->part = kept != NULL ? kept : mem_alloc(sizeof(*kept));
		*c->part = p;
		return;
	}
	buf_fini(&p.text);
	mem_free(kept);
}
