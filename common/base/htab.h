/*
 * htab - intrusive hash table keyed by bytes
 *
 * Hash: SipHash-1-3 under a per-process random key, because channel names and user ids are chosen by peers.
 * Grows by linear hashing, one bucket at an insertion, so no insertion is ever slow; it never shrinks.
 * Nodes are embedded by their users and owned by them; the key must not change while the node is in the table.
 */
#ifndef COMMON_BASE_HTAB_H
#define COMMON_BASE_HTAB_H

#include "common/base/slice.h"

struct htab_node {
	struct htab_node *next;
	uint64_t hash;
};

/* Borrowed from the node, valid while the node is in the table. */
typedef struct slice (*htab_key_fn)(const struct htab_node *node);

struct htab {
	struct htab_node **buckets;
	htab_key_fn key;
	size_t count;
	size_t bucket_count;	/* buckets in use: base + split */
	size_t base;		/* power of two */
	size_t split;		/* 0 <= split < base: the next bucket to split */
	size_t allocated;	/* bucket_count <= allocated */
};

#define htab_entry(node, type, member) container_of(node, type, member)

void htab_init(struct htab *h, htab_key_fn key);
/* Frees the buckets, not the nodes. */
void htab_fini(struct htab *h);
/* Borrowed, or NULL. */
struct htab_node *htab_find(const struct htab *h, struct slice key);
/* The key must not be in the table yet. */
void htab_add(struct htab *h, struct htab_node *node);
/* The node must be in the table. */
void htab_remove(struct htab *h, struct htab_node *node);
/*
 * For who has the key's hash already, or another one that peers cannot foresee: a node is found by the hash that it was added with.
 * In a large table bucket and nodes lie anywhere in memory, and waiting for them is most of the cost: who knows hashes beforehand says
 * so, and later that the bucket is there by now.
 */
struct htab_node *htab_find_hashed(const struct htab *h, uint64_t hash, struct slice key);
void htab_add_hashed(struct htab *h, struct htab_node *node, uint64_t hash);
void htab_prefetch(const struct htab *h, uint64_t hash);
void htab_prefetch_node(const struct htab *h, uint64_t hash);
/* Walks in no order: NULL begins, NULL ends. The table must not change meanwhile, except that the node last returned may be
 * removed once the following one has been asked for. */
struct htab_node *htab_next(const struct htab *h, const struct htab_node *node);

/* The table's hash, for other uses of one keyed hash per process. */
uint64_t htab_hash(struct slice key);
/* The same under a key of one's own, for hashes that several processes compare. */
uint64_t htab_hash_with(const uint64_t secret[2], struct slice key);

#endif
