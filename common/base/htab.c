/* htab - linear hashing over SipHash-1-3 */
#include "common/base/htab.h"

#include "common/base/digest.h"
#include "common/base/mem.h"

enum { HTAB_FIRST_BUCKETS = 8 };

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate_left(uint64_t v, int by) {
	return v << by | v >> (64 - by);
}

static inline void sip_round(struct sip *s) {
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotate_left(s->v1, 13) ^ s->v0;
	s->v3 = rotate_left(s->v3, 16) ^ s->v2;
	s->v0 = rotate_left(s->v0, 32) + s->v3;
	s->v2 += s->v1;
	s->v3 = rotate_left(s->v3, 21) ^ s->v0;
	s->v1 = rotate_left(s->v1, 17) ^ s->v2;
	s->v2 = rotate_left(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word) {
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

uint64_t htab_hash_with(const uint64_t secret[2], struct slice key) {
	struct sip s = { secret[0] ^ 0x736f6d6570736575, secret[1] ^ 0x646f72616e646f6d, secret[0] ^ 0x6c7967656e657261,
		secret[1] ^ 0x7465646279746573 };
	uint64_t word;
	uint64_t length_bits = (uint64_t)key.len << 56;

	for (; key.len >= sizeof(word); key = slice_skip(key, sizeof(word))) {
		memcpy(&word, key.ptr, sizeof(word));
		sip_word(&s, word);
	}
	word = length_bits;
	for (size_t i = 0; i < key.len; i++)
		word |= (uint64_t)key.ptr[i] << (8 * i);
	sip_word(&s, word);
	s.v2 ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t htab_hash(struct slice key) {
	static uint64_t secret[2];
	static bool drawn;

	if (!drawn) {
		random_bytes(secret, sizeof(secret));
		drawn = true;
	}
	return htab_hash_with(secret, key);
}

static size_t bucket_of(const struct htab *h, uint64_t hash) {
	size_t at = (size_t)hash & (h->base - 1);

	return at < h->split ? (size_t)hash & (2 * h->base - 1) : at;
}

void htab_init(struct htab *h, htab_key_fn key) {
	*h = (struct htab){ .key = key };
}

void htab_fini(struct htab *h) {
	mem_free(h->buckets);
	htab_init(h, h->key);
}

struct htab_node *htab_find(const struct htab *h, struct slice key) {
	return h->count > 0 ? htab_find_hashed(h, htab_hash(key), key) : NULL;
}

struct htab_node *htab_find_hashed(const struct htab *h, uint64_t hash, struct slice key) {
	if (h->count == 0)
		return NULL;
	for (struct htab_node *node = h->buckets[bucket_of(h, hash)]; node != NULL; node = node->next) {
		if (node->hash == hash && slice_eq(h->key(node), key))
			return node;
	}
	return NULL;
}

/* Moves half of the bucket at `split` into a new last one. */
static void split_one(struct htab *h) {
	struct htab_node **from, **to;
	size_t bit = h->base;

	if (h->bucket_count == h->allocated) {
		h->allocated *= 2;
		h->buckets = mem_realloc(h->buckets, h->allocated * sizeof(h->buckets[0]));
	}
	from = &h->buckets[h->split];
	to = &h->buckets[h->bucket_count];
	*to = NULL;
	while (*from != NULL) {
		struct htab_node *node = *from;

		if ((node->hash & bit) == 0) {
			from = &node->next;
			continue;
		}
		*from = node->next;
		node->next = *to;
		*to = node;
	}
	h->bucket_count++;
	if (++h->split == h->base) {
		h->base *= 2;
		h->split = 0;
	}
	/* In a large table this node lies anywhere; it is needed at the next insertion. */
	__builtin_prefetch(h->buckets[h->split]);
}

void htab_prefetch(const struct htab *h, uint64_t hash) {
	if (h->count > 0)
		__builtin_prefetch(&h->buckets[bucket_of(h, hash)]);
}

void htab_prefetch_node(const struct htab *h, uint64_t hash) {
	if (h->count > 0)
		__builtin_prefetch(h->buckets[bucket_of(h, hash)]);
}

void htab_add(struct htab *h, struct htab_node *node) {
	htab_add_hashed(h, node, htab_hash(h->key(node)));
}

void htab_add_hashed(struct htab *h, struct htab_node *node, uint64_t hash) {
	struct htab_node **bucket;

	if (h->buckets == NULL) {
		h->base = h->bucket_count = h->allocated = HTAB_FIRST_BUCKETS;
		h->buckets = mem_zalloc(h->allocated * sizeof(h->buckets[0]));
	}
	node->hash = hash;
	bucket = &h->buckets[bucket_of(h, hash)];
	node->next = *bucket;
	*bucket = node;
	if (++h->count > h->bucket_count)
		split_one(h);
}

void htab_remove(struct htab *h, struct htab_node *node) {
	struct htab_node **at;

	BUG_ON(h->count == 0);
	for (at = &h->buckets[bucket_of(h, node->hash)]; *at != node; at = &(*at)->next)
		BUG_ON(*at == NULL);
	*at = node->next;
	node->next = NULL;
	h->count--;
}

struct htab_node *htab_next(const struct htab *h, const struct htab_node *node) {
	size_t at = 0;

	if (node != NULL) {
		if (node->next != NULL)
			return node->next;
		at = bucket_of(h, node->hash) + 1;
	}
	for (; at < h->bucket_count; at++) {
		if (h->buckets[at] != NULL)
			return h->buckets[at];
	}
	return NULL;
}
