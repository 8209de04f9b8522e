/*
 * ipc_peer - one end of a link: framing, queue, flow
 *
 * Does:      send and receive whole messages over a connected unix stream socket; bounded out-queue of counted buffers, small
 *            messages joined; one sendmsg per flush; says how far it has written. A large message is received into a counted buffer of
 *            its own, which its receiver may keep (ipc_msg.tbl, BULK), and may be sent out of one: it is never copied whole.
 * Does not:  connect, reconnect, say hello, log, decide what a message means.
 * Lifetime:  owned by its user, freed at the end of a turn (ipc_peer_free), never inside on_message.
 */
#ifndef COMMON_IPC_IPC_PEER_H
#define COMMON_IPC_IPC_PEER_H

#include "common/ipc/ipc_msg.h"
#include "common/svc/evloop.h"

struct ipc_peer;

struct ipc_peer_ops {
	/* The message is borrowed until it returns; what BULK lies in is shared by taking a reference. */
	void (*on_message)(struct ipc_peer *p, enum ipc_type type, const union ipc_any *message, void *arg);
	/* Once, after which nothing more is called; why: a sentence. The user frees the peer later, at the end of a turn. */
	void (*on_lost)(struct ipc_peer *p, const char *why, void *arg);
};

/* Takes fd. max_message_bytes bounds what is received; queue_max_bytes what waits to be sent. Returns owned. */
struct ipc_peer *ipc_peer_new(struct evloop *loop, int fd, size_t max_message_bytes, size_t queue_max_bytes,
    const struct ipc_peer_ops *ops, void *arg) MUST_CHECK;
void ipc_peer_free(struct ipc_peer **p);

/* Queues; false when the queue is full or the peer is lost: then nothing was queued. A queue takes a message whenever what
 * waits already is below its bound, so one message may pass the bound. */
bool ipc_peer_send(struct ipc_peer *p, enum ipc_type type, const void *message) MUST_CHECK;
/* The same with an encoded message, shared between several peers. */
bool ipc_peer_send_shared(struct ipc_peer *p, const struct ipc_encoded *message) MUST_CHECK;
/* Queues behind everything that is sent until ipc_peer_flush_late(). */
bool ipc_peer_send_late(struct ipc_peer *p, enum ipc_type type, const void *message) MUST_CHECK;

/* End of turn: sends what waits, as far as the socket takes it, but no more than the share of a turn; the rest goes when the socket is
 * writable. */
void ipc_peer_flush(struct ipc_peer *p);
/* After all peers were flushed: the late messages follow. */
void ipc_peer_flush_late(struct ipc_peer *p);

/* While paused nothing is received (what waits is kept, by the kernel or here). */
void ipc_peer_pause(struct ipc_peer *p, bool is_paused);

/* Lost because of bytes that are no message, or too long a one. */
bool ipc_peer_is_bad(const struct ipc_peer *p);
/* Waiting to be sent, late messages too. */
size_t ipc_peer_queued_bytes(const struct ipc_peer *p);
/* Position in the stream of sent bytes behind the message last queued by ipc_peer_send, and what the kernel has taken. */
uint64_t ipc_peer_queued_total(const struct ipc_peer *p);
uint64_t ipc_peer_written_total(const struct ipc_peer *p);

#endif
