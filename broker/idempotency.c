/* idempotency - the keys of publications that were accepted lately: one table, over a queue in blocks */
#include "broker/idempotency.h"

#include "common/base/mem.h"
#include "common/svc/stats.h"

enum { EXPIRE_MAX = 4096, BLOCK_KEYS = 146 };

/* Keys of different channels are different; an owner stays where it is as long as it has some. */
struct key_name {
	struct idempotency *owner;
	uint8_t key[IPC_KEY_BYTES];
};
STATIC_ASSERT(sizeof(struct key_name) == sizeof(void *) + IPC_KEY_BYTES, "the name is compared as bytes: no padding");

struct known_key {
	struct htab_node node;
	struct key_name name;
	uint64_t offset, expires_ms;
};

/* Keys come and go in the same order, so they lie one behind the other, and what is forgotten next is at hand. */
struct key_block {
	struct key_block *next;
	uint32_t first, end;	/* those in use; never none */
	struct known_key keys[BLOCK_KEYS];
};

/* With its bucket. */
enum { KEY_BYTES = sizeof(struct known_key) + 2 * sizeof(void *) };

static struct slice name_of(const struct htab_node *node) {
	return slice_of(&htab_entry(node, const struct known_key, node)->name, sizeof(struct key_name));
}

void idempotency_store_init(struct idempotency_store *s, const struct engine_limits *limits) {
	*s = (struct idempotency_store){ .bytes_max = limits->idempotency_total_bytes, .age_ms = limits->idempotency_ms };
	htab_init(&s->keys, name_of);
}

/* --- the queue --- */

static struct known_key *queue_add(struct idempotency_store *s) {
	struct key_block *b = s->newest;

	if (b == NULL || b->end == BLOCK_KEYS) {
		b = mem_alloc(sizeof(*b));
		b->next = NULL;
		b->first = b->end = 0;
		if (s->newest != NULL)
			s->newest->next = b;
		else
			s->oldest = b;
		s->newest = b;
	}
	return &b->keys[b->end++];
}

static void queue_drop(struct idempotency_store *s) {
	struct key_block *b = s->oldest;

	if (++b->first < b->end)
		return;
	s->oldest = b->next;
	if (b == s->newest)
		s->newest = NULL;
	mem_free(b);
}

/* Those that go after the next one: first the buckets, and when they are there, what stands in them. */
static void queue_prefetch(const struct idempotency_store *s) {
	const struct key_block *b = s->oldest;
	const struct known_key *k = &b->keys[b->first];

	if (b->first + 4 >= b->end)
		return;
	htab_prefetch(&s->keys, k[4].node.hash);
	__builtin_prefetch(&k[4].name.owner->count);
	htab_prefetch_node(&s->keys, k[2].node.hash);
}

static void forget_oldest(struct idempotency_store *s) {
	struct known_key *k = &s->oldest->keys[s->oldest->first];

	queue_prefetch(s);
	htab_remove(&s->keys, &k->node);
	s->bytes -= KEY_BYTES;
	if (--k->name.owner->count == 0)
		s->bytes -= k->name.owner->owner_bytes;
	queue_drop(s);
}

void idempotency_store_fini(struct idempotency_store *s) {
	while (s->oldest != NULL)
		forget_oldest(s);
	htab_fini(&s->keys);
}

/* --- keys --- */

bool idempotency_is_key(const uint8_t key[IPC_KEY_BYTES]) {
	static const uint8_t none[IPC_KEY_BYTES];

	return memcmp(key, none, IPC_KEY_BYTES) != 0;
}

uint64_t idempotency_hash(uint64_t channel_hash, const uint8_t key[IPC_KEY_BYTES]) {
	return channel_hash ^ htab_hash(slice_of(key, IPC_KEY_BYTES));
}

void idempotency_prefetch(const struct idempotency_store *s, uint64_t hash) {
	htab_prefetch_node(&s->keys, hash);
}

/* Of one key more. */
static size_t cost_of(const struct idempotency *i) {
	return KEY_BYTES + (i->count == 0 ? i->owner_bytes : 0);
}

bool idempotency_add(struct idempotency_store *s, struct idempotency *i, uint64_t hash, const uint8_t key[IPC_KEY_BYTES], uint64_t *offset,
    uint64_t now_ms) {
	struct key_name name = { .owner = i };
	struct htab_node *node;
	struct known_key *k;

	memcpy(name.key, key, IPC_KEY_BYTES);
	node = htab_find_hashed(&s->keys, hash, slice_of(&name, sizeof(name)));
	if (node != NULL) {
		*offset = htab_entry(node, struct known_key, node)->offset;
		return false;
	}
	while (s->oldest != NULL && s->bytes + cost_of(i) > s->bytes_max) {
		forget_oldest(s);
		stat_add(STAT_idempotency_dropped, 1);
	}
	k = queue_add(s);
	k->name = name;
	k->offset = *offset;
	k->expires_ms = now_ms + s->age_ms;
	s->bytes += cost_of(i);
	i->count++;
	htab_add_hashed(&s->keys, &k->node, hash);
	return true;
}

void idempotency_expire(struct idempotency_store *s, uint64_t now_ms) {
	for (unsigned n = 0; n < EXPIRE_MAX && s->oldest != NULL && s->oldest->keys[s->oldest->first].expires_ms <= now_ms; n++)
		forget_oldest(s);
}
