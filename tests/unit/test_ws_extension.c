/* ws_extension - offers of permessage-deflate and what is answered */
#include <check.h>

#include "server/ws/ws_extension.h"

#define LINE(value) "Sec-WebSocket-Extensions: " value "\r\n"
#define BOTH "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

#define S WS_DEFLATE_SHARED
#define D WS_DEFLATE_DEDICATED

static const char NONE[] = "(none)", MALFORMED[] = "(malformed)";

static const struct {
	const char *lines;
	enum ws_deflate_mode mode;
	const char *want;	/* the answer's value; NONE; MALFORMED: refused with 400 */
} vectors[] = {
	{ "", S, NONE },
	{ LINE("permessage-deflate"), WS_DEFLATE_OFF, NONE },
	{ LINE("permessage-deflate"), S, BOTH },
	{ LINE("PerMessage-Deflate"), S, BOTH },
	{ LINE("permessage-deflate; client_max_window_bits"), S, BOTH },
	{ LINE("permessage-deflate; client_max_window_bits=15"), S, BOTH },
	{ LINE("permessage-deflate; client_max_window_bits=10"), S, BOTH "; client_max_window_bits=10" },
	{ LINE("permessage-deflate; client_max_window_bits=8"), S, BOTH "; client_max_window_bits=8" },
	{ LINE("permessage-deflate; server_max_window_bits=15"), S, BOTH "; server_max_window_bits=15" },
	{ LINE("permessage-deflate; server_max_window_bits=9"), S, BOTH "; server_max_window_bits=9" },
	{ LINE("permessage-deflate; server_max_window_bits=\"10\""), S, BOTH "; server_max_window_bits=10" },
	{ LINE("permessage-deflate; server_max_window_bits=\"1\\0\""), S, BOTH "; server_max_window_bits=10" },
	{ LINE("permessage-deflate;server_no_context_takeover;client_no_context_takeover"), S, BOTH },
	{ LINE("permessage-deflate ; server_max_window_bits = 12\t; CLIENT_MAX_WINDOW_BITS=9"), S,
	    BOTH "; server_max_window_bits=12; client_max_window_bits=9" },
	{ LINE("permessage-deflate"), D, "permessage-deflate; server_max_window_bits=11" },
	{ LINE("permessage-deflate; client_max_window_bits"), D,
	    "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12" },
	{ LINE("permessage-deflate; client_max_window_bits=9; server_max_window_bits=10"), D,
	    "permessage-deflate; server_max_window_bits=10; client_max_window_bits=9" },
	{ LINE("permessage-deflate; server_no_context_takeover"), D, "permessage-deflate; server_no_context_takeover" },
	{ LINE("permessage-deflate; client_no_context_takeover"), D,
	    "permessage-deflate; client_no_context_takeover; server_max_window_bits=12" },
	{ LINE("permessage-deflate; client_no_context_takeover; server_no_context_takeover"), D, BOTH },
	/* Declined: the parameters. */
	{ LINE("permessage-deflate; server_max_window_bits=8"), S, NONE },
	{ LINE("permessage-deflate; server_max_window_bits=16"), S, NONE },
	{ LINE("permessage-deflate; server_max_window_bits=7"), S, NONE },
	{ LINE("permessage-deflate; server_max_window_bits=010"), S, NONE },
	{ LINE("permessage-deflate; server_max_window_bits=+10"), S, NONE },
	{ LINE("permessage-deflate; server_max_window_bits=4294967306"), S, NONE },
	{ LINE("permessage-deflate; server_max_window_bits=ten"), S, NONE },
	{ LINE("permessage-deflate; server_max_window_bits"), S, NONE },
	{ LINE("permessage-deflate; client_max_window_bits=7"), S, NONE },
	{ LINE("permessage-deflate; client_max_window_bits=16"), S, NONE },
	{ LINE("permessage-deflate; client_max_window_bits=0"), S, NONE },
	{ LINE("permessage-deflate; server_no_context_takeover=1"), S, NONE },
	{ LINE("permessage-deflate; client_no_context_takeover=\"x\""), S, NONE },
	{ LINE("permessage-deflate; window_bits=10"), S, NONE },
	{ LINE("permessage-deflate; client_max_window_bits; client_max_window_bits=10"), S, NONE },
	{ LINE("permessage-deflate; server_max_window_bits=10; server_max_window_bits=10"), S, NONE },
	{ LINE("permessage-deflate; server_no_context_takeover; server_no_context_takeover"), S, NONE },
	{ LINE("x-webkit-deflate-frame"), S, NONE },
	{ LINE("permessage-deflate-2"), S, NONE },
	/* Several offers: the first that can be met. */
	{ LINE("permessage-deflate; server_max_window_bits=8, permessage-deflate"), S, BOTH },
	{ LINE("permessage-deflate; nonsense, permessage-deflate; server_max_window_bits=11"), S, BOTH "; server_max_window_bits=11" },
	{ LINE("permessage-deflate; server_max_window_bits=9, permessage-deflate"), S, BOTH "; server_max_window_bits=9" },
	{ LINE("x-a; b=\"c\"; d, permessage-bzip2,permessage-deflate"), S, BOTH },
	{ LINE("x-a") LINE("permessage-deflate; server_max_window_bits=16") LINE("permessage-deflate"), S, BOTH },
	{ LINE(", ,permessage-deflate,, "), S, BOTH },
	{ LINE("") LINE("permessage-deflate"), S, BOTH },
	/* Against the grammar. */
	{ LINE("permessage-deflate;"), S, MALFORMED },
	{ LINE("permessage-deflate; ,"), S, MALFORMED },
	{ LINE("; permessage-deflate"), S, MALFORMED },
	{ LINE("permessage deflate"), S, MALFORMED },
	{ LINE("permessage-deflate=1"), S, MALFORMED },
	{ LINE("permessage-deflate; server_max_window_bits="), S, MALFORMED },
	{ LINE("permessage-deflate; =10"), S, MALFORMED },
	{ LINE("permessage-deflate; server_max_window_bits=1 0"), S, MALFORMED },
	{ LINE("permessage-deflate; server_max_window_bits=\"10"), S, MALFORMED },
	{ LINE("permessage-deflate; server_max_window_bits=\"10\\"), S, MALFORMED },
	{ LINE("permessage-deflate; server_max_window_bits=\"10\"0"), S, MALFORMED },
	{ LINE("permessage-deflate; server_max_window_bits=\"\""), S, MALFORMED },
	{ LINE("permessage-deflate; server_max_window_bits=\"1 0\""), S, MALFORMED },
	{ LINE("permessage-deflate; a=b=c"), S, MALFORMED },
	{ LINE("permessage-deflate") LINE("x/y"), S, MALFORMED },
};

/* The request borrows from `input`, until the next call. */
static void parse(const char *lines, struct http_request *r) {
	static struct buf input = { .max = HTTP_HEAD_MAX };
	struct http_parse_error error;
	size_t head_len;

	buf_reset(&input);
	buf_add_text(&input, "GET /ws HTTP/1.1\r\nHost: h\r\n");
	buf_add_text(&input, lines);
	buf_add_text(&input, "\r\n");
	ck_assert_int_eq(http_request_parse(buf_slice(&input), r, &head_len, &error), HTTP_PARSE_DONE);
}

START_TEST(vector) {
	struct ws_deflate_settings settings = { .mode = vectors[_i].mode, .level = 3, .memory = 65536 };
	struct ws_deflate_terms terms;
	struct http_request r;
	struct buf want, got;

	buf_init(&want, 1024);
	buf_init(&got, 1024);
	if (vectors[_i].want == NONE || vectors[_i].want == MALFORMED)
		buf_add_text(&want, vectors[_i].want);
	else
		buf_addf(&want, LINE("%s"), vectors[_i].want);
	parse(vectors[_i].lines, &r);
	if (!ws_extension_is_valid(&r))
		buf_add_text(&got, MALFORMED);
	else if (!ws_extension_agree(&r, &settings, &terms))
		buf_add_text(&got, NONE);
	else
		ws_extension_answer(&terms, &got);
	ck_assert_msg(slice_eq(buf_slice(&want), buf_slice(&got)), "%s: got %.*s", vectors[_i].lines, SLICE_ARGS(buf_slice(&got)));
	buf_fini(&want);
	buf_fini(&got);
}
END_TEST

/* What two contexts of these terms really take is within what is set; with little memory, they are given up. */
START_TEST(memory) {
	static const size_t sizes[] = { 16384, 20000, 32768, 65536, 131072, 315392 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct ws_deflate_settings settings = { .mode = D, .level = 3, .memory = sizes[i] };
		struct ws_deflate_terms terms;
		struct http_request r;

		for (int may_limit = 0; may_limit < 2; may_limit++) {
			parse(may_limit ? LINE("permessage-deflate; client_max_window_bits") : LINE("permessage-deflate"), &r);
			ck_assert(ws_extension_agree(&r, &settings, &terms));
			ck_assert(terms.server_keeps);
			ck_assert(terms.client_keeps == (sizes[i] >= 65536 || (may_limit == 1 && sizes[i] >= 20000)));
			ck_assert_uint_eq(terms.server_bits == 15 && terms.client_bits == 15, sizes[i] == 315392);
		}
	}
}
END_TEST

Suite *suite_ws_extension(void);

Suite *suite_ws_extension(void) {
	Suite *s = suite_create("ws_extension");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, vector, 0, ARRAY_LEN(vectors));
	tcase_add_test(t, memory);
	suite_add_tcase(s, t);
	return s;
}
