/*
 * fuzz_offer - offers of extensions
 *
 * Input: a byte that chooses the mode, one for the memory of a dedicated context (KiB, 2 each), then the values of
 * Sec-WebSocket-Extensions headers, one a line.
 */
#include "tests/fuzz/fuzz.h"

#include "server/ws/ws_extension.h"

static void add_headers(struct http_request *r, struct slice lines) {
	struct slice line;

	r->header_count = 0;
	while (r->header_count < HTTP_HEADERS_MAX && slice_next_part(&lines, '\n', &line))
		r->header[r->header_count++] = (struct http_header){ slice_text("Sec-WebSocket-Extensions"), slice_trim(line) };
}

/* What the grammar has no place for. */
static void check_grammar(struct slice valid) {
	for (size_t i = 0; i < valid.len; i++) {
		uint8_t c = valid.ptr[i];

		BUG_ON((c < ' ' && c != '\t') || c > '~' || strchr("@()[]{}<>?/:", c) != NULL);
	}
}

static void check_terms(const struct ws_deflate_terms *t, const struct ws_deflate_settings *settings) {
	struct ws_deflate_terms fitted = *t;

	BUG_ON(t->server_bits < WS_DEFLATE_BITS_MIN || t->server_bits > WS_WINDOW_BITS_MAX);
	BUG_ON(t->client_bits < WS_WINDOW_BITS_MIN || t->client_bits > WS_WINDOW_BITS_MAX);
	BUG_ON(settings->mode == WS_DEFLATE_SHARED && (t->server_keeps || t->client_keeps));
	BUG_ON(!t->says_server_bits && t->server_bits < WS_WINDOW_BITS_MAX);
	/* What fits is left as it is. */
	ws_deflate_fit(settings->memory, true, &fitted);
	if (settings->mode == WS_DEFLATE_DEDICATED)
		BUG_ON(fitted.server_keeps != t->server_keeps || fitted.client_keeps != t->client_keeps ||
		       fitted.server_bits != t->server_bits || fitted.client_bits != t->client_bits);
}

/* The answer is one header line, and as an offer it would give the same terms. */
static void check_answer(const struct ws_deflate_terms *terms, const struct ws_deflate_settings *settings) {
	static const char name[] = "Sec-WebSocket-Extensions: ";
	struct ws_deflate_terms again;
	struct http_request r;
	struct slice value;
	struct buf out;

	buf_init(&out, 1024);
	ws_extension_answer(terms, &out);
	BUG_ON(out.failed || out.len < 2 || !slice_starts_with(buf_slice(&out), name));
	value = slice_of(out.data + sizeof(name) - 1, out.len - (sizeof(name) - 1) - 2);
	BUG_ON(memcmp(out.data + out.len - 2, "\r\n", 2) != 0 || memchr(value.ptr, '\r', value.len) != NULL);
	add_headers(&r, value);
	BUG_ON(r.header_count != 1 || !ws_extension_is_valid(&r) || !ws_extension_agree(&r, settings, &again));
	BUG_ON(again.server_bits != terms->server_bits || again.server_keeps != terms->server_keeps ||
	       (again.client_keeps && !terms->client_keeps));
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct slice input = slice_of(data, size);
	struct ws_deflate_settings settings = { .level = 1 };
	struct ws_deflate_terms terms;
	struct http_request r;

	settings.mode = (enum ws_deflate_mode)(fuzz_u8(&input) % 3);
	settings.memory = (size_t)fuzz_u8(&input) * 2048;
	add_headers(&r, input);
	if (ws_extension_is_valid(&r)) {
		for (size_t i = 0; i < r.header_count; i++)
			check_grammar(r.header[i].value);
	}
	if (!ws_extension_agree(&r, &settings, &terms))
		return 0;
	BUG_ON(settings.mode == WS_DEFLATE_OFF);
	/* RFC 7692, 7.1.2.2: never said to a client that has not. */
	BUG_ON(terms.says_client_bits && memchr(input.ptr, '_', input.len) == NULL);
	check_terms(&terms, &settings);
	check_answer(&terms, &settings);
	return 0;
}
