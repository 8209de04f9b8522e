/*
 * reads - questions with long answers: only some under way at a time, and the clients in turn
 *
 * Why: a history takes a hundred bytes to ask for and a megabyte to answer, and all clients of this process share one link.
 * Without a limit, one who asks for a thousand of them has everybody else's messages wait behind the answers.
 * How many: as many as READS_BYTES have room for, by the size of the latest answers. What is asked counts until it is answered,
 * also when nobody waits for it any more.
 */
#ifndef SERVER_HUB_READS_H
#define SERVER_HUB_READS_H

#include "common/base/list.h"

enum { READS_MIN = 2, READS_MAX = 16, READS_BYTES = 2 << 20 };

struct hub;
struct request;

struct reads {
	struct list turns;	/* struct request: of each client who has such that wait, one */
	unsigned under_way;
	size_t usual_bytes;	/* of an answer, lately */
};

void reads_init(struct reads *r);
/* May it be asked now? Else it waits, and request.ask is called when its turn has come. */
bool reads_begin(struct request *r);
/* It is not to be asked any more; does nothing if it does not wait. */
void reads_leave(struct request *r);
/* So long was its answer. */
void reads_note(struct request *r, size_t bytes);
/* It is about to be freed. */
void reads_end(struct request *r);
void reads_turn_end(struct hub *h);

#endif
