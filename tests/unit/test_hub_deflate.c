/* hub_deflate - one publication, many wires: who gets what, in which order, and how often it is compressed */
#include <check.h>
#include <stdio.h>

#include "server/ws/ws_frame.h"
#include "tests/unit/hub_fixture.h"

enum { MIN_BYTES = 100 };

static void open_with(enum ws_deflate_mode mode) {
	hub_fixture_deflate = (struct ws_deflate_settings){ .mode = mode, .level = 3, .min_bytes = MIN_BYTES, .memory = 65536 };
	hub_fixture_open();
}

/* Text of so many bytes that compresses well and is not the same twice. */
static char *text_of(unsigned number, size_t bytes) {
	static char text[400001];
	size_t len = 0;

	while (len < bytes)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "{\"message\":%u,\"at\":%zu,\"text\":\"hello\"}", number, len / 700);
	text[bytes] = '\0';
	return text;
}

static void join(struct test_client *c) {
	subscribe(c, "c", 0);
	client_expect(c, "snap:e:0|");
}

static void add(struct buf *out, uint8_t form, unsigned offset, const char *text) {
	if (form == FORM_TEST)
		buf_addf(out, "p:%u:", offset);
	buf_add_text(out, text);
	buf_add_u8(out, '|');
}

/* Delivers texts of these sizes in one turn and expects them at all. Returns how often something was compressed. */
static uint64_t deliver(unsigned *offset, const size_t *sizes, size_t count, struct test_client **clients, size_t client_count) {
	uint64_t before = ws_deflate_counted()->deflate_calls;
	struct buf expected[2];

	for (size_t i = 0; i < 2; i++)
		buf_init(&expected[i], 16 << 20);
	for (size_t i = 0; i < count; i++) {
		const char *text = text_of(++*offset, sizes[i]);

		broker_deliver("c", "e", *offset, text, NULL);
		add(&expected[FORM_TEST], FORM_TEST, *offset, text);
		add(&expected[FORM_BARE], FORM_BARE, *offset, text);
	}
	for (size_t i = 0; i < 2; i++)
		buf_add_u8(&expected[i], 0);
	for (size_t i = 0; i < client_count; i++)
		client_expect(clients[i], (const char *)expected[clients[i]->form].data);
	for (size_t i = 0; i < 2; i++)
		buf_fini(&expected[i]);
	return ws_deflate_counted()->deflate_calls - before;
}

/* FORM_TEST adds a few bytes, so no size lies near a border. */
START_TEST(once_for_all) {
	static const struct {
		size_t sizes[8];
		uint64_t calls;	/* per form: 15 bits, and one more for each window that is too small */
	} rows[] = {
		{ { 50 }, 0 },
		{ { 300 }, 1 + 1 },
		{ { 900 }, 2 + 1 },
		{ { 3000 }, 2 + 1 },
		{ { 9000 }, 3 + 1 },
		{ { 200000 }, 3 + 1 },
		{ { 300000 }, 0 },
		{ { 50, 9000, 50, 900, 50, 300, 300 }, 0 + 4 + 0 + 3 + 0 + 2 + 2 },
		{ { 9000, 50, 50, 9000, 300000, 50, 3000 }, 4 + 0 + 0 + 4 + 0 + 0 + 3 },
	};
	struct test_client *c[7];
	unsigned offset = 0;

	open_with(WS_DEFLATE_SHARED);
	c[0] = client_open(FORM_TEST);
	join_live(c[0], "c", 0);
	c[1] = client_open_deflate(FORM_TEST, "");
	c[2] = client_open_deflate(FORM_TEST, "; client_max_window_bits");
	c[3] = client_open_deflate(FORM_TEST, "; server_max_window_bits=9");
	c[4] = client_open_deflate(FORM_TEST, "; server_max_window_bits=12");
	c[5] = client_open_deflate(FORM_BARE, "; server_max_window_bits=15");
	c[6] = client_open(FORM_BARE);
	for (size_t i = 1; i < ARRAY_LEN(c); i++) {
		join(c[i]);
		ck_assert(!c[i]->keeps_context);
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t count = 0;

		while (count < ARRAY_LEN(rows[i].sizes) && rows[i].sizes[count] > 0)
			count++;
		ck_assert_msg(deliver(&offset, rows[i].sizes, count, c, ARRAY_LEN(c)) == rows[i].calls, "row %zu", i);
	}
	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		ck_assert_uint_eq(c[i]->compressed, (c[i]->window_bits == 0 ? 0u : 12u));
	hub_fixture_close();
}
END_TEST

/* With the last one that has a wire goes the work for it. */
START_TEST(only_what_somebody_has) {
	static const size_t size = 9000;
	struct test_client *c[3];
	unsigned offset = 0;

	open_with(WS_DEFLATE_SHARED);
	c[0] = client_open(FORM_TEST);
	join_live(c[0], "c", 0);
	ck_assert_uint_eq(deliver(&offset, &size, 1, c, 1), 0);
	c[1] = client_open_deflate(FORM_TEST, "");
	subscribe(c[1], "c", 0);
	client_expect(c[1], "snap:e:1|");
	ck_assert_uint_eq(deliver(&offset, &size, 1, c, 2), 1);
	c[2] = client_open_deflate(FORM_TEST, "; server_max_window_bits=10");
	subscribe(c[2], "c", 0);
	client_expect(c[2], "snap:e:2|");
	ck_assert_uint_eq(deliver(&offset, &size, 1, c, 3), 2);
	ck_assert(hub_unsubscribe(&c[2]->hub, slice_text("c")));
	ck_assert_uint_eq(deliver(&offset, &size, 1, c, 2), 1);
	ck_assert(hub_unsubscribe(&c[1]->hub, slice_text("c")));
	ck_assert_uint_eq(deliver(&offset, &size, 1, c, 1), 0);
	hub_fixture_close();
}
END_TEST

/* What gets no smaller is sent as it is. */
START_TEST(noise) {
	struct test_client *c;
	char text[201];

	open_with(WS_DEFLATE_SHARED);
	c = client_open_deflate(FORM_BARE, "");
	subscribe(c, "c", 0);
	broker_snapshot(broker_take_subscribe("c", NULL, 0), 0, "e", 0, NULL);
	client_expect(c, "snap:e:0|");
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i < sizeof(text) - 1 ? (char)(33 + i) : '\0';
	broker_deliver("c", "e", 1, text, NULL);
	fake_broker_turns(&broker, 4);
	client_receive(c);
	ck_assert_uint_eq(c->in.len, 4 + sizeof(text) - 1);
	ck_assert_uint_eq(c->in.data[0], WS_FIN | WS_BINARY);
	hub_fixture_close();
}
END_TEST

/* Each connection for itself, with what it has seen before; windows as large as the memory allows. */
START_TEST(dedicated) {
	static const size_t sizes[] = { 50, 900, 900, 5000, 40000, 50, 300000, 900 };
	struct test_client *c[4];
	uint64_t calls;
	unsigned offset = 0;

	open_with(WS_DEFLATE_DEDICATED);
	c[0] = client_open(FORM_TEST);
	join_live(c[0], "c", 0);
	c[1] = client_open_deflate(FORM_TEST, "; client_max_window_bits");
	c[2] = client_open_deflate(FORM_BARE, "; server_max_window_bits=9");
	c[3] = client_open_deflate(FORM_TEST, "; server_no_context_takeover");
	for (size_t i = 1; i < ARRAY_LEN(c); i++)
		join(c[i]);
	ck_assert(c[1]->keeps_context && c[2]->keeps_context && !c[3]->keeps_context);
	for (unsigned round = 0; round < 3; round++) {
		calls = deliver(&offset, sizes, ARRAY_LEN(sizes), c, ARRAY_LEN(c));
		ck_assert_uint_eq(calls, 3 * 5);
	}
	ck_assert_uint_gt(ws_deflate_counted()->memory_bytes, 10000);
	hub_fixture_close();
}
END_TEST

START_TEST(off) {
	open_with(WS_DEFLATE_OFF);
	ck_assert_uint_eq(client_open(FORM_TEST)->window_bits, 0);
	hub_fixture_close();
}
END_TEST

Suite *suite_hub_deflate(void);

Suite *suite_hub_deflate(void) {
	Suite *s = suite_create("hub_deflate");
	TCase *t = tcase_create("all");

	tcase_add_test(t, once_for_all);
	tcase_add_test(t, only_what_somebody_has);
	tcase_add_test(t, noise);
	tcase_add_test(t, dedicated);
	tcase_add_test(t, off);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return s;
}
