/* inspection - questions that all workers answer, and their answers put together */
#include "broker/inspection.h"

#include "common/base/buf.h"
#include "common/base/mem.h"

struct inspection {
	struct list link;
	uint32_t number;
	struct ticket ticket;
	uint64_t due_ms;
	uint32_t asked, answered, matched, done;
	struct buf connections;
	size_t awaited_count, awaited_max;
	uint64_t awaited[];	/* links */
};

void inspections_init(struct inspections *is, size_t room, inspection_fn fn, void *arg) {
	*is = (struct inspections){ .room = room, .fn = fn, .arg = arg };
	list_init(&is->under_way);
}

static void inspection_free(struct inspections *is, struct inspection *i) {
	list_remove(&i->link);
	is->count--;
	buf_fini(&i->connections);
	mem_free(i);
}

void inspections_fini(struct inspections *is) {
	while (!list_is_empty(&is->under_way))
		inspection_free(is, list_entry(is->under_way.next, struct inspection, link));
}

struct inspection *inspections_begin(struct inspections *is, struct ticket t, size_t links_max, uint64_t now_ms) {
	struct inspection *i;

	if (is->count == INSPECTIONS_MAX)
		return NULL;
	i = mem_zalloc(sizeof(*i) + links_max * sizeof(i->awaited[0]));
	i->awaited_max = links_max;
	i->number = ++is->last_number;
	i->ticket = t;
	i->due_ms = now_ms + INSPECTION_MS;
	buf_init(&i->connections, is->room);
	list_add_tail(&is->under_way, &i->link);
	is->count++;
	return i;
}

uint32_t inspection_number(const struct inspection *i) {
	return i->number;
}

void inspection_await(struct inspection *i, uint64_t link) {
	BUG_ON(i->awaited_count == i->awaited_max);
	i->awaited[i->awaited_count++] = link;
	i->asked++;
}

static void tell(struct inspections *is, struct inspection *i) {
	struct ipc_inspection answer = { .result = IPC_OK, .asked = i->asked, .answered = i->answered, .matched = i->matched,
		.done = i->done, .connections = buf_slice(&i->connections) };

	is->fn(i->ticket, &answer, is->arg);
	inspection_free(is, i);
}

void inspections_asked(struct inspections *is, struct inspection *i) {
	if (i->awaited_count == 0)
		tell(is, i);
}

/* False: it is not waited for. */
static bool no_longer_await(struct inspection *i, uint64_t link) {
	for (size_t k = 0; k < i->awaited_count; k++) {
		if (i->awaited[k] == link) {
			i->awaited[k] = i->awaited[--i->awaited_count];
			return true;
		}
	}
	return false;
}

/* Whole records. */
static void add_connections(struct inspection *i, struct slice records) {
	struct slice rest = records;
	struct ipc_connection c;

	while (ipc_next_connection(&rest, &c)) {
		struct slice record = slice_of(records.ptr, records.len - rest.len);

		if (record.len > i->connections.max - i->connections.len)
			return;
		buf_add(&i->connections, record);
		records = rest;
	}
}

void inspections_take(struct inspections *is, uint64_t link, const struct ipc_inspected *m) {
	list_for_each(it, &is->under_way) {
		struct inspection *i = list_entry(it, struct inspection, link);

		if (i->number != m->request)
			continue;
		if (!no_longer_await(i, link))
			return;
		i->answered++;
		i->matched += m->matched;
		i->done += m->done;
		add_connections(i, m->connections);
		if (i->awaited_count == 0)
			tell(is, i);
		return;
	}
}

void inspections_forget(struct inspections *is, uint64_t link) {
	list_for_each_safe(it, &is->under_way) {
		struct inspection *i = list_entry(it, struct inspection, link);

		if (no_longer_await(i, link) && i->awaited_count == 0)
			tell(is, i);
	}
}

void inspections_tick(struct inspections *is, uint64_t now_ms) {
	list_for_each_safe(it, &is->under_way) {
		struct inspection *i = list_entry(it, struct inspection, link);

		if (now_ms < i->due_ms)
			return;
		tell(is, i);
	}
}
