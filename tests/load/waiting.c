/* waiting - a binary heap in an array */
#include "tests/load/waiting.h"

#include "common/base/mem.h"

void waiting_init(struct waiting *w, uint32_t most) {
	*w = (struct waiting){ .room = most };
	w->one = mem_alloc(((size_t)most + 1) * sizeof(w->one[0]));
}

void waiting_fini(struct waiting *w) {
	mem_free(w->one);
	*w = (struct waiting){ 0 };
}

void waiting_add(struct waiting *w, uint64_t due, uint32_t number) {
	uint32_t at = w->count++;

	BUG_ON(at >= w->room);
	for (; at > 0 && w->one[(at - 1) / 2].due > due; at = (at - 1) / 2)
		w->one[at] = w->one[(at - 1) / 2];
	w->one[at] = (struct waiting_one){ .due = due, .number = number };
}

uint64_t waiting_next(const struct waiting *w) {
	return w->count > 0 ? w->one[0].due : UINT64_MAX;
}

uint32_t waiting_take(struct waiting *w) {
	uint32_t number = w->one[0].number, at = 0;
	struct waiting_one last = w->one[--w->count];

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child + 1 < w->count && w->one[child + 1].due < w->one[child].due)
			child++;
		if (child >= w->count || w->one[child].due >= last.due)
			break;
		w->one[at] = w->one[child];
		at = child;
	}
	w->one[at] = last;
	return number;
}
