/* last_positions - where forgotten channels stood: one table, over a queue in blocks */
#include "broker/last_positions.h"

#include "common/base/mem.h"

enum { EXPIRE_MAX = 4096, BLOCK_POSITIONS = 128 };

struct last_position {
	struct htab_node node;
	struct position is;
	uint64_t expires_ms;	/* 0: it was taken */
};

/* They come and go in the same order, and a block of them goes back to malloc whole: among the blocks of what is freed when a crowd has
 * gone, single ones would keep all pages. */
struct position_block {
	struct position_block *next;
	uint32_t first, end;	/* those in use; never none */
	struct last_position positions[BLOCK_POSITIONS];
};

/* With its bucket. */
enum { POSITION_BYTES = sizeof(struct last_position) + 2 * sizeof(void *) };

static struct slice hash_of(const struct htab_node *node) {
	return slice_of(&node->hash, sizeof(node->hash));
}

void last_positions_init(struct last_positions *l, size_t bytes_max, uint64_t age_ms) {
	*l = (struct last_positions){ .count_max = bytes_max / POSITION_BYTES, .age_ms = age_ms };
	htab_init(&l->by_hash, hash_of);
}

static struct last_position *oldest(const struct last_positions *l) {
	return &l->oldest->positions[l->oldest->first];
}

static void drop_oldest(struct last_positions *l) {
	struct position_block *b = l->oldest;

	if (oldest(l)->expires_ms > 0)
		htab_remove(&l->by_hash, &oldest(l)->node);
	l->count--;
	if (++b->first < b->end)
		return;
	l->oldest = b->next;
	if (b == l->newest)
		l->newest = NULL;
	mem_free(b);
}

void last_positions_fini(struct last_positions *l) {
	while (l->count > 0)
		drop_oldest(l);
	htab_fini(&l->by_hash);
}

static struct last_position *queue_add(struct last_positions *l) {
	struct position_block *b = l->newest;

	if (b == NULL || b->end == BLOCK_POSITIONS) {
		b = mem_alloc(sizeof(*b));
		b->next = NULL;
		b->first = b->end = 0;
		if (l->newest != NULL)
			l->newest->next = b;
		else
			l->oldest = b;
		l->newest = b;
	}
	l->count++;
	return &b->positions[b->end++];
}

void last_positions_add(struct last_positions *l, uint64_t hash, const struct position *p, uint64_t now_ms) {
	struct last_position *last;

	if (htab_find_hashed(&l->by_hash, hash, slice_of(&hash, sizeof(hash))) != NULL || l->count_max == 0)
		return;
	if (l->count == l->count_max)
		drop_oldest(l);
	last = queue_add(l);
	last->is = *p;
	last->expires_ms = now_ms + l->age_ms;
	htab_add_hashed(&l->by_hash, &last->node, hash);
}

bool last_positions_take(struct last_positions *l, uint64_t hash, struct position *out, uint64_t now_ms) {
	struct htab_node *node = htab_find_hashed(&l->by_hash, hash, slice_of(&hash, sizeof(hash)));
	struct last_position *last;
	bool is_known;

	if (node == NULL)
		return false;
	last = htab_entry(node, struct last_position, node);
	is_known = now_ms < last->expires_ms;
	if (is_known)
		*out = last->is;
	htab_remove(&l->by_hash, node);
	last->expires_ms = 0;
	return is_known;
}

void last_positions_expire(struct last_positions *l, uint64_t now_ms) {
	for (unsigned n = 0; n < EXPIRE_MAX && l->count > 0 && oldest(l)->expires_ms <= now_ms; n++)
		drop_oldest(l);
}
