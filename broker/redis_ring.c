/* redis_ring - consistent hashing of channels over servers */
#include "broker/redis_ring.h"

#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/codec.h"
#include "common/base/digest.h"
#include "common/base/mem.h"

enum { POINTS_PER_DIGEST = 2, NAMES_MAX_BYTES = 1 << 20 };

static uint64_t read_u64(const uint8_t *bytes) {
	uint64_t n = 0;

	for (int i = 0; i < 8; i++)
		n = n << 8 | bytes[i];
	return n;
}

static int compare_names(const void *a, const void *b) {
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_points(const void *a, const void *b) {
	const struct redis_ring_point *p = a, *q = b;

	return p->at < q->at ? -1 : p->at > q->at;
}

/* Sorted: NULL, or one that stands there twice, which would get no channel. */
static const char *find_twice(const char *const *names, size_t count) {
	for (size_t i = 1; i < count; i++) {
		if (strcmp(names[i - 1], names[i]) == 0)
			return names[i];
	}
	return NULL;
}

static void make_digest(char out[RING_DIGEST_LEN + 1], const char *const *names, size_t count) {
	uint8_t sha[SHA256_BYTES];
	struct buf text;

	buf_init(&text, NAMES_MAX_BYTES);
	for (size_t i = 0; i < count; i++)
		buf_addf(&text, "%s\n", names[i]);
	digest_sha256(buf_slice(&text), sha);
	hex_encode(slice_of(sha, RING_DIGEST_LEN / 2), out);
	buf_fini(&text);
}

static void add_points(struct redis_ring *r, const char *name, uint32_t server) {
	uint8_t sha[SHA1_BYTES];
	struct buf text;

	buf_init(&text, NAMES_MAX_BYTES);
	for (uint32_t i = 0; i < RING_POINTS / POINTS_PER_DIGEST; i++) {
		buf_reset(&text);
		buf_addf(&text, "%s %u", name, i);
		digest_sha1(buf_slice(&text), sha);
		for (size_t half = 0; half < POINTS_PER_DIGEST; half++)
			r->points[r->point_count++] = (struct redis_ring_point){ read_u64(sha + 8 * half), server };
	}
	buf_fini(&text);
}

static void make_points(struct redis_ring *r, const char *const *names) {
	r->points = mem_alloc(r->server_count * RING_POINTS * sizeof(*r->points));
	for (size_t i = 0; i < r->server_count; i++)
		add_points(r, names[i], (uint32_t)i);
	qsort(r->points, r->point_count, sizeof(*r->points), compare_points);
}

bool redis_ring_init(struct redis_ring *r, const char *const *names, size_t count, struct errbuf *e) {
	const char **sorted = mem_dup(names, count * sizeof(*names));
	const char *twice;

	BUG_ON(count == 0);
	qsort(sorted, count, sizeof(*sorted), compare_names);
	twice = find_twice(sorted, count);
	memset(r, 0, sizeof(*r));
	if (twice == NULL) {
		r->server_count = count;
		make_digest(r->digest, sorted, count);
		make_points(r, names);
	}
	mem_free(sorted);
	return twice == NULL || errbuf_set(e, "%s stands there twice", twice);
}

void redis_ring_fini(struct redis_ring *r) {
	mem_free(r->points);
	memset(r, 0, sizeof(*r));
}

size_t redis_ring_find(const struct redis_ring *r, struct slice channel) {
	size_t low = 0, high = r->point_count;
	uint8_t sha[SHA1_BYTES];
	uint64_t at;

	if (r->server_count == 1)
		return 0;
	digest_sha1(channel, sha);
	at = read_u64(sha);
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->points[middle].at < at)
			low = middle + 1;
		else
			high = middle;
	}
	return r->points[low == r->point_count ? 0 : low].server;
}
