/* fuzz_proxy - who is behind a proxy. Input: 'h' and the first bytes of a connection; else trusted networks up to a line's end, and then
 * the value of X-Forwarded-For */
#include "tests/fuzz/fuzz.h"

#include "server/net/forwarded.h"
#include "server/net/proxy_header.h"

enum { NETS_MAX = 8 };

static const struct sock_peer before = { .ip = { 1, 2, 3 }, .port = 4 };

static bool is_same(const struct sock_peer *a, const struct sock_peer *b) {
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* An address survives being written and read. */
static void check_peer(const struct sock_peer *p) {
	char text[SOCK_TEXT_MAX];
	struct sock_peer again;

	sock_peer_text(p, text);
	BUG_ON(!sock_peer_parse(slice_text(text), &again) || !is_same(p, &again));
}

/* --- the PROXY protocol --- */

struct outcome {
	enum proxy_header_result result;
	struct sock_peer client;
	size_t len;
	const char *sentence;
};

/* In memory of exactly its size. */
static struct outcome parse(struct slice input) {
	uint8_t *copy = mem_dup(input.ptr, input.len);
	struct outcome o = { .client = before };

	o.result = proxy_header_parse(slice_of(copy, input.len), &o.client, &o.len, &o.sentence);
	mem_free(copy);
	return o;
}

/* A part of the input gives nothing yet, or the same. */
static void check_part(struct slice part, const struct outcome *whole) {
	struct outcome o = parse(part);

	if (o.result == PROXY_HEADER_MORE) {
		BUG_ON(!is_same(&o.client, &before));
		BUG_ON(whole->result == PROXY_HEADER_DONE && part.len >= whole->len);
	} else {
		BUG_ON(o.result != whole->result || !is_same(&o.client, &whole->client));
		BUG_ON(o.result == PROXY_HEADER_DONE && o.len != whole->len);
	}
}

static void fuzz_header(struct slice input) {
	struct outcome whole = parse(input);

	switch (whole.result) {
	case PROXY_HEADER_MORE:
		BUG_ON(input.len >= PROXY_HEADER_MAX);
		break;
	case PROXY_HEADER_DONE:
		BUG_ON(whole.len == 0 || whole.len > input.len || whole.len > PROXY_HEADER_MAX);
		if (!is_same(&whole.client, &before))
			check_peer(&whole.client);
		check_part(slice_of(input.ptr, whole.len - 1), &whole);
		check_part(slice_of(input.ptr, whole.len), &whole);
		break;
	case PROXY_HEADER_BAD:
		BUG_ON(whole.sentence == NULL || !is_same(&whole.client, &before));
		break;
	}
	check_part(slice_of(input.ptr, input.len > 0 ? fuzz_hash(input) % input.len : 0), &whole);
}

/* --- X-Forwarded-For --- */

static void fuzz_list(struct slice value, const struct nets *trusted) {
	uint8_t *copy = mem_dup(value.ptr, value.len);
	struct sock_peer client = before;
	bool goes_on = forwarded_walk(slice_of(copy, value.len), trusted, &client);

	if (!is_same(&client, &before))
		check_peer(&client);
	/* Nobody is gone past but those who are trusted. */
	BUG_ON(goes_on && !is_same(&client, &before) && !nets_has(trusted, &client));
	mem_free(copy);
}

static void fuzz_forwarded(struct slice input) {
	struct slice line = SLICE_EMPTY, part;
	struct errbuf e;
	struct nets trusted;
	char *text[NETS_MAX];
	size_t count = 0;

	(void)slice_next_part(&input, '\n', &line);
	while (count < NETS_MAX && line.len > 0 && slice_next_part(&line, ' ', &part))
		text[count++] = slice_dup_text(part);
	if (nets_init(&trusted, text, count, &e)) {
		fuzz_list(input, &trusted);
		nets_fini(&trusted);
	} else {
		BUG_ON(e.text[0] == '\0');
	}
	for (size_t i = 0; i < count; i++)
		mem_free(text[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct slice input = slice_of(data, size);

	if (fuzz_u8(&input) == 'h')
		fuzz_header(input);
	else
		fuzz_forwarded(input);
	return 0;
}
