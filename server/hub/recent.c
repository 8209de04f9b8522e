/* recent - the keys of publications that were delivered lately */
#include "server/hub/recent.h"

#include "common/base/mem.h"

enum { RECENT_ID_BYTES = IPC_KEY_BYTES + sizeof(uint64_t) };

struct recent_entry {
	struct htab_node node;
	uint64_t epoch_hash, at_ms;
	uint8_t id[RECENT_ID_BYTES];	/* the key and the channel's hash */
};

static struct slice recent_key(const struct htab_node *node) {
	return slice_of(htab_entry(node, struct recent_entry, node)->id, RECENT_ID_BYTES);
}

void recent_init(struct recent *r) {
	htab_init(&r->table, recent_key);
	/* The kernel gives pages of it as they are written to. */
	r->entries = mem_zalloc(RECENT_MAX * sizeof(r->entries[0]));
	r->count = 0;
	r->next = 0;
}

void recent_fini(struct recent *r) {
	htab_fini(&r->table);
	mem_free(r->entries);
}

static struct recent_entry *recent_take_entry(struct recent *r) {
	struct recent_entry *e = &r->entries[r->next];

	r->next = (r->next + 1) % RECENT_MAX;
	if (r->count == RECENT_MAX)
		htab_remove(&r->table, &e->node);
	else
		r->count++;
	return e;
}

bool recent_is_repeated(struct recent *r, struct slice channel, struct slice epoch, const uint8_t key[IPC_KEY_BYTES],
    uint64_t now_ms) {
	static const uint8_t no_key[IPC_KEY_BYTES];
	uint64_t channel_hash, epoch_hash, hash;
	uint8_t id[RECENT_ID_BYTES];
	struct htab_node *node;
	struct recent_entry *e;
	bool is_repeated = false;

	if (memcmp(key, no_key, sizeof(no_key)) == 0)
		return false;
	channel_hash = htab_hash(channel);
	epoch_hash = htab_hash(epoch);
	memcpy(id, key, IPC_KEY_BYTES);
	memcpy(id + IPC_KEY_BYTES, &channel_hash, sizeof(channel_hash));
	hash = htab_hash(slice_of(id, sizeof(id)));
	node = htab_find_hashed(&r->table, hash, slice_of(id, sizeof(id)));
	if (node != NULL) {
		e = htab_entry(node, struct recent_entry, node);
		is_repeated = e->epoch_hash != epoch_hash && now_ms - e->at_ms < RECENT_MS;
	} else {
		e = recent_take_entry(r);
		memcpy(e->id, id, sizeof(id));
		htab_add_hashed(&r->table, &e->node, hash);
	}
	/* A repeat is known by its new epoch from now on; its time stays the first one's place in the ring. */
	e->epoch_hash = epoch_hash;
	e->at_ms = now_ms;
	return is_repeated;
}
