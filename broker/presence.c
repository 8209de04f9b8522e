/* presence - members of channels, their holders and graces */
#include "broker/presence.h"

#include <stdlib.h>

#include "common/base/mem.h"

/* A link has a member, `count` times. */
struct hold {
	struct hold *next;	/* of the member; owned */
	uint32_t holder, count;
};

/* Nobody has a member, which stays for a while. */
struct grace {
	struct deadline deadline;
	struct member *member;
};

/* Two for each user of the host, so its size counts. */
struct member {
	struct htab_node node;
	struct list in_room;
	union {
		struct hold hold;	/* the first, and nearly always the only one */
		struct grace *grace;	/* or it has none: owned; NULL: it has come or goes this moment */
	};
	uint64_t number;
	uint8_t token[IPC_KEY_BYTES];
	uint32_t info_len : 20, name_len : 11, is_held : 1;
	uint8_t bytes[];	/* the address of its room and its name, which are its key; its info */
};

/* A link that has some. They are not listed: whoever loses many at once looks at all. */
struct holder {
	struct htab_node node;
	uint64_t id;
	size_t holds;
};

enum { KEY_ROOM_BYTES = sizeof(struct presence *), INFO_LEN_MAX = (1 << 20) - 1, RECORD_EXTRA_BYTES = 14 };
STATIC_ASSERT((int)PRESENCE_NAME_MAX < 1 << 11, "member.name_len");

static struct slice member_key(const struct htab_node *node) {
	const struct member *m = htab_entry(node, const struct member, node);

	return slice_of(m->bytes, KEY_ROOM_BYTES + m->name_len);
}

static struct presence *member_room(const struct member *m) {
	struct presence *p;

	memcpy(&p, m->bytes, KEY_ROOM_BYTES);
	return p;
}

static struct slice member_name(const struct member *m) {
	return slice_of(m->bytes + KEY_ROOM_BYTES, m->name_len);
}

static struct slice member_info(const struct member *m) {
	return slice_of(m->bytes + KEY_ROOM_BYTES + m->name_len, m->info_len);
}

static struct slice holder_key(const struct htab_node *node) {
	return slice_of(&htab_entry(node, const struct holder, node)->id, sizeof(uint64_t));
}

void presence_store_init(struct presence_store *s, size_t info_max_bytes, uint64_t last_number, presence_left_fn on_left, void *arg,
    uint64_t now_ms) {
	htab_init(&s->members, member_key);
	htab_init(&s->holders, holder_key);
	wheel_init(&s->graces, now_ms);
	s->info_max_bytes = info_max_bytes < INFO_LEN_MAX ? info_max_bytes : INFO_LEN_MAX;
	s->last_number = last_number;
	s->most = 0;
	s->on_left = on_left;
	s->arg = arg;
}

void presence_init(struct presence *p, uint64_t channel_id) {
	list_init(&p->members);
	p->channel_id = channel_id;
	p->count = 0;
}

static struct member *member_find(const struct presence_store *s, const struct presence *p, struct slice name) {
	uint8_t key[KEY_ROOM_BYTES + PRESENCE_NAME_MAX];
	struct htab_node *node;

	if (name.len == 0 || name.len > PRESENCE_NAME_MAX)
		return NULL;
	memcpy(key, &p, KEY_ROOM_BYTES);
	memcpy(key + KEY_ROOM_BYTES, name.ptr, name.len);
	node = htab_find(&s->members, slice_of(key, KEY_ROOM_BYTES + name.len));
	return node != NULL ? htab_entry(node, struct member, node) : NULL;
}

static struct member *member_new(struct presence_store *s, struct presence *p, const struct ipc_member_add *add) {
	struct member *m = mem_try_alloc(offsetof(struct member, bytes) + KEY_ROOM_BYTES + add->member.len + add->info.len);

	if (m == NULL)
		return NULL;
	m->is_held = false;
	m->grace = NULL;
	m->number = ++s->last_number;
	memcpy(m->token, add->token, IPC_KEY_BYTES);
	m->name_len = add->member.len & ((1 << 11) - 1);
	m->info_len = add->info.len & INFO_LEN_MAX;
	memcpy(m->bytes, &p, KEY_ROOM_BYTES);
	memcpy(m->bytes + KEY_ROOM_BYTES, add->member.ptr, add->member.len);
	if (add->info.len > 0)
		memcpy(m->bytes + KEY_ROOM_BYTES + add->member.len, add->info.ptr, add->info.len);
	list_add_tail(&p->members, &m->in_room);
	htab_add(&s->members, &m->node);
	p->count++;
	return m;
}

static void grace_end(struct member *m) {
	if (m->grace != NULL)
		deadline_clear(&m->grace->deadline);
	mem_free(m->grace);
	m->grace = NULL;
}

static void member_unlink(struct presence_store *s, struct member *m) {
	if (!m->is_held)
		grace_end(m);
	htab_remove(&s->members, &m->node);
	list_remove(&m->in_room);
	member_room(m)->count--;
}

static void member_leave(struct presence_store *s, struct member *m) {
	member_unlink(s, m);
	s->on_left(member_room(m), member_name(m), member_info(m), s->arg);
	mem_free(m);
}

/* Nobody has the member any more: it goes now or after its grace. */
static void member_orphaned(struct presence_store *s, struct member *m, uint32_t grace_ms, uint64_t now_ms) {
	if (grace_ms == 0) {
		member_leave(s, m);
		return;
	}
	m->grace = mem_alloc(sizeof(*m->grace));
	m->grace->member = m;
	deadline_init(&m->grace->deadline);
	deadline_set(&s->graces, &m->grace->deadline, now_ms + grace_ms);
}

/* --- holds --- */

static struct holder *holder_find(const struct presence_store *s, uint64_t id) {
	struct htab_node *node = htab_find(&s->holders, slice_of(&id, sizeof(id)));

	return node != NULL ? htab_entry(node, struct holder, node) : NULL;
}

static struct holder *holder_find_or_new(struct presence_store *s, uint64_t id) {
	struct holder *h = holder_find(s, id);

	if (h != NULL)
		return h;
	BUG_ON(id > UINT32_MAX);
	h = mem_zalloc(sizeof(*h));
	h->id = id;
	htab_add(&s->holders, &h->node);
	return h;
}

/* There are as many holders as processes at most, and nearly every member has one. */
static struct hold *hold_find(struct member *m, uint64_t holder) {
	struct hold *h = m->is_held ? &m->hold : NULL;

	while (h != NULL && h->holder != holder)
		h = h->next;
	return h;
}

static void hold_add(struct presence_store *s, struct member *m, uint64_t holder) {
	struct hold *h = hold_find(m, holder), *next = NULL;

	if (h != NULL) {
		h->count++;
		return;
	}
	if (m->is_held)
		next = mem_dup(&m->hold, sizeof(m->hold));
	else
		grace_end(m);
	m->is_held = true;
	m->hold = (struct hold){ .next = next, .holder = (uint32_t)holder, .count = 1 };
	holder_find_or_new(s, holder)->holds++;
}

/* The first one's place is taken by another one, or by the grace. */
static void hold_free(struct member *m, struct hold *h) {
	struct hold *next = h->next, **at = &m->hold.next;

	if (h == &m->hold && next == NULL) {
		m->is_held = false;
		m->grace = NULL;
		return;
	}
	if (h == &m->hold) {
		*h = *next;
		mem_free(next);
		return;
	}
	while (*at != h)
		at = &(*at)->next;
	*at = next;
	mem_free(h);
}

enum ipc_result presence_add(struct presence_store *s, struct presence *p, uint64_t holder, const struct ipc_member_add *add,
    uint32_t max, bool *is_new) {
	struct member *m = member_find(s, p, add->member);

	*is_new = false;
	if (m != NULL && memcmp(m->token, add->token, IPC_KEY_BYTES) != 0)
		return IPC_TAKEN;
	if (m == NULL) {
		if (add->member.len == 0 || add->member.len > PRESENCE_NAME_MAX || add->info.len > s->info_max_bytes)
			return IPC_UNAVAILABLE;
		if (max > 0 && p->count >= max)
			return IPC_FULL;
		m = member_new(s, p, add);
		if (m == NULL)
			return IPC_UNAVAILABLE;
		*is_new = true;
	}
	hold_add(s, m, holder);
	return IPC_OK;
}

void presence_remove(struct presence_store *s, struct presence *p, uint64_t holder, struct slice member, uint32_t grace_ms,
    uint64_t now_ms) {
	struct member *m = member_find(s, p, member);
	struct hold *h = m != NULL ? hold_find(m, holder) : NULL;

	if (h == NULL || --h->count > 0)
		return;
	hold_free(m, h);
	holder_find(s, holder)->holds--;
	if (!m->is_held)
		member_orphaned(s, m, grace_ms, now_ms);
}

static int by_number(const void *a, const void *b) {
	const struct member *x = *(struct member *const *)a, *y = *(struct member *const *)b;

	return (x->number > y->number) - (x->number < y->number);
}

/* Returns owned: the members that it has, in the order of their coming. */
static struct member **held_by(const struct presence_store *s, const struct holder *h, size_t *count) {
	struct member **held = mem_alloc(h->holds * sizeof(held[0]));
	struct htab_node *node = NULL;

	*count = 0;
	while (*count < h->holds && (node = htab_next(&s->members, node)) != NULL) {
		struct member *m = htab_entry(node, struct member, node);

		if (hold_find(m, h->id) != NULL)
			held[(*count)++] = m;
	}
	qsort(held, *count, sizeof(held[0]), by_number);
	return held;
}

void presence_holder_lost(struct presence_store *s, uint64_t holder, uint32_t grace_ms, uint64_t now_ms) {
	struct holder *lost = holder_find(s, holder);
	struct member **held;
	size_t count;

	if (lost == NULL)
		return;
	held = held_by(s, lost, &count);
	htab_remove(&s->holders, &lost->node);
	mem_free(lost);
	for (size_t i = 0; i < count; i++) {
		hold_free(held[i], hold_find(held[i], holder));
		if (!held[i]->is_held)
			member_orphaned(s, held[i], grace_ms, now_ms);
	}
	mem_free(held);
}

static void grace_over(struct deadline *d, void *arg) {
	member_leave(arg, container_of(d, struct grace, deadline)->member);
}

void presence_tick(struct presence_store *s, uint64_t now_ms) {
	wheel_run(&s->graces, now_ms, grace_over, s);
	mem_give_back_after(&s->most, s->members.count);
}

bool presence_find(const struct presence_store *s, const struct presence *p, struct slice member, const uint8_t **token,
    struct slice *info) {
	const struct member *m = member_find(s, p, member);

	if (m == NULL)
		return false;
	*token = m->token;
	*info = member_info(m);
	return true;
}

void presence_fini(struct presence_store *s, struct presence *p) {
	while (!list_is_empty(&p->members)) {
		struct member *m = list_entry(p->members.next, struct member, in_room);

		while (m->is_held)
			hold_free(m, &m->hold);
		member_unlink(s, m);
		mem_free(m);
	}
}

void presence_store_fini(struct presence_store *s) {
	struct htab_node *node;

	while ((node = htab_next(&s->holders, NULL)) != NULL) {
		htab_remove(&s->holders, node);
		mem_free(htab_entry(node, struct holder, node));
	}
	htab_fini(&s->holders);
	htab_fini(&s->members);
}

/* A member who has left and come back stands at the end: then its place is found by the number. */
static struct list *list_start(const struct presence_store *s, const struct presence *p, uint64_t after_number, struct slice after) {
	const struct member *from = member_find(s, p, after);
	struct list *it = p->members.next;

	if (from != NULL && from->number == after_number)
		return from->in_room.next;
	while (it != &p->members && list_entry(it, struct member, in_room)->number <= after_number)
		it = it->next;
	return it;
}

bool presence_list(const struct presence_store *s, const struct presence *p, uint64_t after_number, struct slice after,
    uint32_t limit, struct buf *out) {
	for (struct list *it = list_start(s, p, after_number, after); it != &p->members; it = it->next) {
		const struct member *m = list_entry(it, const struct member, in_room);
		size_t bytes = RECORD_EXTRA_BYTES + m->name_len + (size_t)m->info_len;

		if (limit-- == 0 || bytes > out->max - out->len)
			return true;
		ipc_put_member(out, &(struct ipc_member){ m->number, member_name(m), member_info(m) });
	}
	return false;
}
