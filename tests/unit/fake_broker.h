/*
 * fake_broker - the other end of the link, in the same process and loop, under a test's control
 *
 * It keeps all messages; a test takes them one by one and sends what it likes. Waiting turns the loop, 3 s at most.
 */
#ifndef TESTS_UNIT_FAKE_BROKER_H
#define TESTS_UNIT_FAKE_BROKER_H

#include "common/ipc/ipc_peer.h"
#include "common/svc/sock.h"

struct fake_broker {
	struct evloop *loop;
	struct sock_addr address;
	int listener;
	struct evloop_io io;
	struct ipc_peer *peer;		/* the last that came */
	struct {
		enum ipc_type type;
		struct rcbuf *bytes;
		union ipc_any message;	/* points into bytes */
	} kept[4096];
	size_t count, taken;
	unsigned links;
	uint16_t version;		/* that it says */
	bool is_mute;			/* says no hello */
	bool is_lost;
	void (*turn_end)(void *arg);	/* of what is tested */
	void *arg;
	bool is_due;
	struct evloop_timer deadline;
};

/* Listens and sets the loop's end of turn. */
void fake_broker_init(struct fake_broker *f, struct evloop *loop, void (*turn_end)(void *arg), void *arg);
void fake_broker_fini(struct fake_broker *f);
void fake_broker_listen(struct fake_broker *f);
void fake_broker_stop_listening(struct fake_broker *f);
/* Dies and leaves the port to the next, who has said hello when this returns. */
void fake_broker_restart(struct fake_broker *f);
void fake_broker_cut(struct fake_broker *f);

/* Turns until `is_true`. */
void fake_broker_wait(struct fake_broker *f, bool (*is_true)(void *arg), void *arg);
void fake_broker_turns(struct fake_broker *f, unsigned turns);
void fake_broker_wait_ms(struct fake_broker *f, uint64_t ms);
/* The next message, which must be of this type. Borrowed until the end. */
const union ipc_any *fake_broker_take(struct fake_broker *f, enum ipc_type type);
/* Nothing more has come, nor comes in some turns. */
void fake_broker_expect_silence(struct fake_broker *f);
void fake_broker_send(struct fake_broker *f, enum ipc_type type, const void *message);

#endif
