/* tls_tickets - shared keys in two sets, of which one is in use */
#include "server/net/tls_tickets.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/digest.h"

STATIC_ASSERT(sizeof(struct tls_ticket_key) == TLS_TICKET_KEY_BYTES, "a key is as long as in its file");

struct key_set {
	uint32_t count;
	struct tls_ticket_key key[TLS_TICKET_KEYS_MAX];
};

struct tls_tickets {
	_Atomic uint32_t turns;		/* its lowest bit: the set in use */
	struct key_set set[2];
};

struct tls_tickets *tls_tickets_new(struct errbuf *e) {
	struct tls_tickets *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (t == MAP_FAILED) {
		errbuf_set(e, "no memory for the keys of session tickets: %s", strerror(errno));
		return NULL;
	}
	/* Old tickets can be opened with them: they belong neither on a disk nor into a core file. */
	(void)mlock(t, sizeof(*t));
	(void)madvise(t, sizeof(*t), MADV_DONTDUMP);
	return t;
}

void tls_tickets_free(struct tls_tickets **t) {
	if (*t != NULL)
		munmap(*t, sizeof(**t));
	*t = NULL;
}

static void write_keys(struct tls_tickets *t, const struct tls_ticket_key *keys, uint32_t count) {
	uint32_t turns = atomic_load_explicit(&t->turns, memory_order_relaxed) + 1;
	struct key_set *set = &t->set[turns & 1];

	/* Whoever reads this set, reads it from before the latest turn and must see that there was one. */
	atomic_thread_fence(memory_order_release);
	memcpy(set->key, keys, count * sizeof(*keys));
	set->count = count;
	atomic_store_explicit(&t->turns, turns, memory_order_release);
}

void tls_tickets_rotate(struct tls_tickets *t) {
	const struct key_set *now = &t->set[atomic_load_explicit(&t->turns, memory_order_relaxed) & 1];
	struct tls_ticket_key keys[2] = { [1] = now->key[0] };

	random_bytes(&keys[0], sizeof(keys[0]));
	write_keys(t, keys, now->count > 0 ? 2 : 1);
	explicit_bzero(keys, sizeof(keys));
}

bool tls_tickets_check(struct slice keys, struct errbuf *e) {
	if (keys.len > 0 && keys.len % TLS_TICKET_KEY_BYTES == 0 && keys.len / TLS_TICKET_KEY_BYTES <= TLS_TICKET_KEYS_MAX)
		return true;
	return errbuf_set(e, "%zu bytes are no ticket keys: want 1 to %d times %d bytes (openssl rand %d >FILE makes one)", keys.len,
	    TLS_TICKET_KEYS_MAX, TLS_TICKET_KEY_BYTES, TLS_TICKET_KEY_BYTES);
}

void tls_tickets_set(struct tls_tickets *t, struct slice keys) {
	struct tls_ticket_key copy[TLS_TICKET_KEYS_MAX];

	memcpy(copy, keys.ptr, keys.len);
	write_keys(t, copy, (uint32_t)(keys.len / TLS_TICKET_KEY_BYTES));
	explicit_bzero(copy, sizeof(copy));
}

/* The key's place, or -1. */
static int find_key(const struct key_set *set, const uint8_t *name, struct tls_ticket_key *out) {
	for (uint32_t i = 0; i < set->count && i < TLS_TICKET_KEYS_MAX; i++) {
		if (name == NULL || memcmp(set->key[i].name, name, TLS_TICKET_NAME_BYTES) == 0) {
			*out = set->key[i];
			return (int)i;
		}
	}
	return -1;
}

bool tls_tickets_find(const struct tls_tickets *t, const uint8_t *name, struct tls_ticket_key *out, bool *is_first) {
	uint32_t before, after = atomic_load_explicit(&t->turns, memory_order_acquire);
	int at;

	do {
		before = after;
		at = find_key(&t->set[before & 1], name, out);
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&t->turns, memory_order_acquire);
	} while (before != after);
	*is_first = at == 0;
	return at >= 0;
}
