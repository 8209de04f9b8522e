/* idempotency - the keys of publications that were accepted lately, in one table */
#include "broker/idempotency.h"

#include "common/base/mem.h"
#include "common/svc/stats.h"

enum { EXPIRE_MAX = 4096 };

struct key_name {
	uint64_t channel_id;
	uint8_t key[IPC_KEY_BYTES];
};
STATIC_ASSERT(sizeof(struct key_name) == 8 + IPC_KEY_BYTES, "the name is hashed as bytes: no padding");

struct known_key {
	struct htab_node node;
	struct list in_all;
	struct idempotency *owner;
	struct key_name name;
	uint64_t offset, expires_ms;
};

/* With its bucket and what the allocator adds. */
enum { KEY_BYTES = sizeof(struct known_key) + 32 };

static struct slice name_of(const struct htab_node *node) {
	const struct known_key *k = htab_entry(node, const struct known_key, node);

	return slice_of(&k->name, sizeof(k->name));
}

static struct key_name name_for(const struct idempotency *i, const uint8_t key[IPC_KEY_BYTES]) {
	struct key_name name = { .channel_id = i->channel_id };

	memcpy(name.key, key, IPC_KEY_BYTES);
	return name;
}

void idempotency_store_init(struct idempotency_store *s, const struct engine_limits *limits) {
	htab_init(&s->keys, name_of);
	list_init(&s->all);
	s->bytes = 0;
	s->bytes_max = limits->idempotency_total_bytes;
	s->age_ms = limits->idempotency_ms;
}

static struct known_key *oldest(const struct idempotency_store *s) {
	return list_entry(s->all.next, struct known_key, in_all);
}

static void forget(struct idempotency_store *s, struct known_key *k) {
	htab_remove(&s->keys, &k->node);
	list_remove(&k->in_all);
	s->bytes -= KEY_BYTES;
	if (--k->owner->count == 0)
		s->bytes -= k->owner->owner_bytes;
	mem_free(k);
}

void idempotency_store_fini(struct idempotency_store *s) {
	while (!list_is_empty(&s->all))
		forget(s, oldest(s));
	htab_fini(&s->keys);
}

bool idempotency_is_key(const uint8_t key[IPC_KEY_BYTES]) {
	static const uint8_t none[IPC_KEY_BYTES];

	return memcmp(key, none, IPC_KEY_BYTES) != 0;
}

bool idempotency_find(const struct idempotency_store *s, const struct idempotency *i, const uint8_t key[IPC_KEY_BYTES],
    uint64_t *offset) {
	struct key_name name = name_for(i, key);
	struct htab_node *node = htab_find(&s->keys, slice_of(&name, sizeof(name)));

	if (node == NULL)
		return false;
	*offset = htab_entry(node, struct known_key, node)->offset;
	return true;
}

/* Of one key more. */
static size_t cost_of(const struct idempotency *i) {
	return KEY_BYTES + (i->count == 0 ? i->owner_bytes : 0);
}

void idempotency_add(struct idempotency_store *s, struct idempotency *i, const uint8_t key[IPC_KEY_BYTES], uint64_t offset,
    uint64_t now_ms) {
	struct known_key *k;

	while (s->keys.count > 0 && s->bytes + cost_of(i) > s->bytes_max) {
		forget(s, oldest(s));
		stat_add(STAT_idempotency_dropped, 1);
	}
	k = mem_zalloc(sizeof(*k));
	k->owner = i;
	k->name = name_for(i, key);
	k->offset = offset;
	k->expires_ms = now_ms + s->age_ms;
	s->bytes += cost_of(i);
	i->count++;
	htab_add(&s->keys, &k->node);
	list_add_tail(&s->all, &k->in_all);
}

void idempotency_expire(struct idempotency_store *s, uint64_t now_ms) {
	for (unsigned n = 0; n < EXPIRE_MAX && !list_is_empty(&s->all) && oldest(s)->expires_ms <= now_ms; n++)
		forget(s, oldest(s));
}
