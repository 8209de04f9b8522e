/* heard - the highest number of each, and which of the 32 up to it came */
#include "tests/load/heard.h"

#include "common/base/mem.h"

void heard_init(struct heard *h, uint32_t listeners, uint32_t talkers) {
	*h = (struct heard){ .listeners = listeners, .talkers = talkers };
	h->one = mem_zalloc((size_t)listeners * talkers * sizeof(h->one[0]) + 1);
}

void heard_fini(struct heard *h) {
	mem_free(h->one);
	*h = (struct heard){ 0 };
}

/* It is the highest so far; those that were left out are missing until they come. */
static void higher(struct heard *h, struct heard_one *o, uint32_t message, uint32_t first) {
	uint32_t from = o->next > 0 ? o->next : first < message ? first : message;
	uint32_t steps = message + 1 - o->next;

	h->missing += message - from;
	o->window = o->next == 0 || steps >= 32 ? 1 : o->window << steps | 1;
	o->next = message + 1;
}

bool heard_note(struct heard *h, uint32_t listener, uint32_t talker, uint32_t message, uint32_t first) {
	struct heard_one *o = &h->one[(size_t)listener * h->talkers + talker];
	uint32_t back = o->next - 1 - message;

	if (message >= o->next) {
		higher(h, o, message, first);
		return true;
	}
	if (back >= 32 || (o->window >> back & 1) != 0) {
		h->twice++;
		return false;
	}
	o->window |= (uint32_t)1 << back;
	h->out_of_order++;
	/* What came before `first` was not missed. */
	h->missing -= h->missing > 0 && message >= first ? 1 : 0;
	return true;
}

uint32_t heard_lacks(const struct heard *h, uint32_t listener, uint32_t talker, uint32_t first, uint32_t sent) {
	uint32_t next = h->one[(size_t)listener * h->talkers + talker].next;

	next = next > first ? next : first;
	return sent > next ? sent - next : 0;
}
