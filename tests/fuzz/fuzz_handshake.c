/*
 * fuzz_handshake - the headers of a WebSocket handshake
 *
 * Input: header lines, each ended by a newline only. Lines that begin with '!' choose the request: !POST, !1.0.
 */
#include "tests/fuzz/fuzz.h"

#include "server/ws/ws_extension.h"
#include "server/ws/ws_handshake.h"

/* The head as it comes over the wire. */
static void build_head(struct slice lines, struct buf *out) {
	const char *method = "GET", *version = "1.1";
	struct slice rest = lines, line;

	while (slice_next_part(&rest, '\n', &line)) {
		if (slice_eq_text(line, "!POST"))
			method = "POST";
		if (slice_eq_text(line, "!1.0"))
			version = "1.0";
	}
	buf_addf(out, "%s /ws HTTP/%s\r\nHost: a\r\n", method, version);
	while (slice_next_part(&lines, '\n', &line)) {
		if (line.len == 0 || line.ptr[0] == '!')
			continue;
		buf_add(out, line);
		buf_add_text(out, "\r\n");
	}
	buf_add_text(out, "\r\n");
}

/* One head, whatever the client has written. */
static void check_answer(struct slice answer) {
	size_t lines = 0, empty = 0;
	struct slice line;

	BUG_ON(!slice_starts_with(answer, "HTTP/1.1 101 "));
	while (slice_next_part(&answer, '\n', &line)) {
		if (line.len == 0 && answer.len == 0)
			break;
		lines++;
		BUG_ON(empty > 0 || line.len == 0 || line.ptr[line.len - 1] != '\r');
		empty += line.len == 1;
		for (size_t i = 0; i + 1 < line.len; i++)
			BUG_ON(line.ptr[i] < ' ' || line.ptr[i] > '~');
	}
	BUG_ON(empty != 1 || lines < 5 || lines > 7);
}

static void accept(const struct http_request *r, enum ws_deflate_mode mode) {
	struct ws_deflate_settings settings = { .mode = mode, .level = 1, .memory = 64 << 10 };
	struct ws_deflate_terms terms;
	bool is_agreed = ws_extension_agree(r, &settings, &terms);
	struct buf out;

	buf_init(&out, 4096);
	ws_handshake_accept(r, mode == WS_DEFLATE_SHARED ? slice_text("chat") : SLICE_EMPTY, is_agreed ? &terms : NULL, &out);
	BUG_ON(out.failed);
	check_answer(buf_slice(&out));
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct slice input = slice_of(data, size);
	struct ws_refusal why = { 0 };
	struct http_parse_error error;
	struct http_request r;
	struct buf head;
	size_t len;

	buf_init(&head, HTTP_HEAD_MAX);
	build_head(input, &head);
	if (!head.failed && http_request_parse(buf_slice(&head), &r, &len, &error) == HTTP_PARSE_DONE) {
		if (ws_handshake_check(&r, &why)) {
			BUG_ON(!ws_handshake_is_wanted(&r) || r.method != HTTP_GET || r.minor_version != 1);
			accept(&r, WS_DEFLATE_OFF);
			accept(&r, WS_DEFLATE_SHARED);
			accept(&r, WS_DEFLATE_DEDICATED);
		} else {
			BUG_ON((why.status != 400 && why.status != 405 && why.status != 426) || why.sentence == NULL);
		}
	}
	buf_fini(&head);
	return 0;
}
