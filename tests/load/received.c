/* received - a bit for each message and client */
#include "tests/load/received.h"

#include "common/base/mem.h"

void received_init(struct received *r, uint32_t clients, uint64_t messages) {
	*r = (struct received){ .clients = clients, .messages = messages, .words = (uint32_t)((messages + 63) / 64) };
	r->bits = mem_zalloc((size_t)clients * r->words * sizeof(r->bits[0]));
}

void received_fini(struct received *r) {
	mem_free(r->bits);
	*r = (struct received){ 0 };
}

bool received_note(struct received *r, uint32_t client, uint64_t message) {
	uint64_t *word = &r->bits[(size_t)client * r->words + message / 64], bit = (uint64_t)1 << message % 64;

	if ((*word & bit) != 0)
		return false;
	*word |= bit;
	r->count++;
	return true;
}

uint32_t received_lacking(const struct received *r, uint64_t messages) {
	uint32_t lacking = 0;

	for (uint32_t client = 0; client < r->clients; client++) {
		uint64_t has = 0;

		for (uint32_t i = 0; i < r->words; i++)
			has += (uint64_t)__builtin_popcountll(r->bits[(size_t)client * r->words + i]);
		lacking += has < messages;
	}
	return lacking;
}
