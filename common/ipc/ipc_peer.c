/* ipc_peer - one end of a link: framing, queue, flow */
#include "common/ipc/ipc_peer.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/errbuf.h"
#include "common/base/mem.h"
#include "common/base/outq.h"

enum {
	IN_BYTES = 64 * 1024,		/* receive buffer; larger messages have one of their own */
	LARGE_START_BYTES = 1 << 20,	/* of which so many bytes are there before they have come: more costs only who sends more */
	READ_TURN_BYTES = 256 * 1024,	/* received per readiness: the others get their turn */
	SEND_TURN_BYTES = 256 * 1024,	/* likewise; a socket that is read from meanwhile would take all of a large message */
	TAIL_START_BYTES = 2 * 1024,
	TAIL_MAX_BYTES = 64 * 1024,
	JOIN_MAX_BYTES = 4 * 1024,	/* copying so many costs less than an entry of its own in sendmsg() */
	SEND_IOV = 64,
};

/* What waits to be sent: finished buffers, then one that is not shared with anybody and still takes messages. */
struct sendq {
	struct outq q;
	struct rcbuf *tail;	/* owned, or NULL */
};

struct ipc_peer {
	struct evloop *loop;
	const struct ipc_peer_ops *ops;
	void *arg;
	int fd;
	size_t max_message_bytes, queue_max_bytes;
	struct evloop_io io;
	struct evloop_timer resume;	/* after a pause: what is here already is looked at outside of the caller */
	struct sendq out, late;
	uint64_t written_total;
	uint8_t *in;		/* IN_BYTES; NULL before anything was received */
	size_t in_len;		/* in[0] begins a message */
	struct rcbuf *large;	/* owned: the message before in[0], which is being received; or NULL */
	size_t large_bytes;	/* of which it has so many */
	bool is_lost, is_bad, is_paused;
	bool is_blocked;	/* not all was sent: waits until the socket is writable */
	bool is_mute;		/* sending has failed for good, which is_blocked says too */
};

static void sendq_init(struct sendq *s) {
	outq_init(&s->q);
	s->tail = NULL;
}

static void sendq_fini(struct sendq *s) {
	outq_fini(&s->q);
	rcbuf_unref(&s->tail);
}

static size_t sendq_bytes(const struct sendq *s) {
	return s->q.bytes + (s->tail != NULL ? s->tail->len : 0);
}

static void sendq_seal(struct sendq *s) {
	if (s->tail != NULL)
		outq_take(&s->q, s->tail);
	s->tail = NULL;
}

/* Room for a message of `bytes` (<= JOIN_MAX_BYTES) in the tail; NULL when memory is out. */
static uint8_t *sendq_reserve(struct sendq *s, size_t bytes) {
	size_t more;

	if (s->tail != NULL && s->tail->len + bytes > TAIL_MAX_BYTES)
		sendq_seal(s);
	if (s->tail == NULL) {
		s->tail = rcbuf_try_new(bytes > TAIL_START_BYTES ? bytes : TAIL_START_BYTES);
		return s->tail != NULL ? s->tail->data : NULL;
	}
	if (s->tail->len + bytes > s->tail->cap) {
		more = s->tail->len > bytes ? s->tail->len : bytes;
		if (!rcbuf_try_grow(&s->tail, more))
			return NULL;
	}
	return s->tail->data + s->tail->len;
}

static bool sendq_add_message(struct sendq *s, enum ipc_type type, const void *message) {
	size_t bytes = ipc_size(type, message);
	struct ipc_encoded e;
	uint8_t *at;

	if (bytes == 0)
		return false;
	if (bytes <= JOIN_MAX_BYTES) {
		at = sendq_reserve(s, bytes);
		if (at == NULL)
			return false;
		ipc_write(type, message, at);
		s->tail->len += (uint32_t)bytes;
		return true;
	}
	e = ipc_encode_shared(type, message);
	if (e.head == NULL)
		return false;
	sendq_seal(s);
	outq_take(&s->q, e.head);
	if (e.bulk != NULL)
		outq_take(&s->q, e.bulk);
	return true;
}

static void peer_watch(struct ipc_peer *p) {
	short want = 0;

	if (!p->is_paused)
		want |= EVLOOP_READ;
	if (p->is_blocked && !p->is_mute)
		want |= EVLOOP_WRITE;
	evloop_io_want(&p->io, want);
}

static void peer_lose(struct ipc_peer *p, const char *why) {
	if (p->is_lost)
		return;
	p->is_lost = true;
	evloop_io_stop(&p->io);
	evloop_timer_stop(&p->resume);
	p->ops->on_lost(p, why, p->arg);
}

static void peer_lose_bad(struct ipc_peer *p, const char *why) {
	p->is_bad = true;
	peer_lose(p, why);
}

/* The bytes of the message that begins at in[at], or 0: that is not known yet. False: the peer is lost. */
static bool peer_announced(struct ipc_peer *p, size_t at, size_t *bytes) {
	struct wire_reader r = wire_reader_of(slice_of(p->in + at, p->in_len - at));
	struct errbuf why;

	*bytes = 0;
	if (r.rest.len < IPC_HEADER_BYTES)
		return true;
	*bytes = wire_get_u32(&r);
	if (*bytes < 1 || *bytes > p->max_message_bytes - 4) {
		errbuf_set(&why, "a message announced %zu bytes, at most %zu are taken", *bytes, p->max_message_bytes - 4);
		peer_lose_bad(p, why.text);
		return false;
	}
	*bytes += 4;
	return true;
}

/* Hands over a whole message with its header. `lies_in`: as ipc_decode(). False: the peer is lost. */
static bool peer_hand_over(struct ipc_peer *p, struct slice whole, struct rcbuf *lies_in) {
	enum ipc_type type = (enum ipc_type)whole.ptr[IPC_HEADER_BYTES - 1];
	union ipc_any message;
	struct errbuf why;

	if (!ipc_decode(type, slice_skip(whole, IPC_HEADER_BYTES), lies_in, &message)) {
		errbuf_set(&why, "a message of type %s (%u) could not be read", ipc_type_name(type), (unsigned)type);
		peer_lose_bad(p, why.text);
		return false;
	}
	p->ops->on_message(p, type, &message, p->arg);
	return !p->is_lost;
}

static size_t large_missing(const struct ipc_peer *p) {
	return p->large_bytes - p->large->len;
}

/* What has come of a message that does not fit in there. False: the peer is lost. */
static bool peer_begin_large(struct ipc_peer *p, struct slice begun, size_t bytes) {
	p->large = rcbuf_try_new(bytes < LARGE_START_BYTES ? bytes : LARGE_START_BYTES);
	p->large_bytes = bytes;
	if (p->large == NULL) {
		peer_lose(p, "no memory to receive a message");
		return false;
	}
	rcbuf_add(p->large, begun);
	return true;
}

/* When it is whole. It stays as long as somebody has a reference. False: the peer is lost. */
static bool peer_end_large(struct ipc_peer *p) {
	struct rcbuf *large = p->large;
	bool is_well;

	if (large == NULL || large_missing(p) > 0)
		return true;
	p->large = NULL;
	is_well = peer_hand_over(p, rcbuf_slice(large), large);
	rcbuf_unref(&large);
	return is_well;
}

/* Hands over all whole messages, unless paused meanwhile; what is left moves to the front. */
static void peer_parse(struct ipc_peer *p) {
	size_t at = 0, bytes;

	if (!p->is_paused && !peer_end_large(p))
		return;
	while (!p->is_paused && p->large == NULL) {
		if (!peer_announced(p, at, &bytes))
			return;
		if (bytes > IN_BYTES) {
			if (!peer_begin_large(p, slice_of(p->in + at, p->in_len - at), bytes))
				return;
			at = p->in_len;
		} else if (bytes == 0 || p->in_len - at < bytes) {
			break;
		} else {
			if (!peer_hand_over(p, slice_of(p->in + at, bytes), NULL))
				return;
			at += bytes;
		}
	}
	p->in_len -= at;
	if (at > 0 && p->in_len > 0)
		memmove(p->in, p->in + at, p->in_len);
}

/* Where to receive into; NULL: no memory. Never more of a large message than there may be of it. */
static uint8_t *peer_room(struct ipc_peer *p, size_t *room) {
	size_t more;

	if (p->large == NULL) {
		if (p->in == NULL)
			p->in = mem_try_alloc(IN_BYTES);
		*room = IN_BYTES - p->in_len;
		return p->in != NULL ? p->in + p->in_len : NULL;
	}
	if (p->large->len == p->large->cap) {
		more = large_missing(p) < p->large->len ? large_missing(p) : p->large->len;
		if (!rcbuf_try_grow(&p->large, more))
			return NULL;
	}
	*room = p->large->cap - p->large->len;
	if (*room > large_missing(p))
		*room = large_missing(p);
	if (*room > READ_TURN_BYTES)
		*room = READ_TURN_BYTES;
	return p->large->data + p->large->len;
}

static void peer_received(struct ipc_peer *p, size_t bytes) {
	if (p->large != NULL)
		p->large->len += (uint32_t)bytes;
	else
		p->in_len += bytes;
	peer_parse(p);
}

static void peer_receive(struct ipc_peer *p) {
	size_t total = 0, room;
	struct errbuf why;
	uint8_t *at;
	ssize_t n;

	/* What a pause left behind goes first, so that there is room. */
	peer_parse(p);
	while (!p->is_lost && !p->is_paused && total < READ_TURN_BYTES) {
		at = peer_room(p, &room);
		if (at == NULL) {
			peer_lose(p, "no memory to receive a message");
			return;
		}
		n = recv(p->fd, at, room, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n <= 0) {
			errbuf_set(&why, "receiving failed: %s", strerror(errno));
			peer_lose(p, n == 0 ? "closed by the other side" : why.text);
			return;
		}
		total += (size_t)n;
		peer_received(p, (size_t)n);
		if ((size_t)n < room)
			return;
	}
}

/* The other side may have died with its last words still here: so the loss is reported when all that came is read, to which the
 * shutdown is the end. */
static void peer_fall_silent(struct ipc_peer *p, const char *why) {
	if (p->is_paused) {
		peer_lose(p, why);
		return;
	}
	p->is_mute = true;
	shutdown(p->fd, SHUT_RDWR);
	peer_watch(p);
}

/* The next bytes of the queue, at most so many; returns how many. */
static size_t peer_fill(const struct ipc_peer *p, struct msghdr *m, size_t most) {
	size_t bytes = 0;

	m->msg_iovlen = outq_iovec(&p->out.q, m->msg_iov, SEND_IOV);
	for (size_t i = 0; i < m->msg_iovlen; i++) {
		if (m->msg_iov[i].iov_len > most - bytes) {
			m->msg_iov[i].iov_len = most - bytes;
			m->msg_iovlen = i + 1;
		}
		bytes += m->msg_iov[i].iov_len;
	}
	return bytes;
}

/* At most so many bytes; returns how many were taken. *is_full: the socket takes no more, for now or for good. */
static size_t peer_write(struct ipc_peer *p, size_t most, bool *is_full) {
	struct iovec iov[SEND_IOV];
	struct msghdr m = { .msg_iov = iov };
	size_t wanted = peer_fill(p, &m, most);
	struct errbuf why;
	ssize_t n;

	do {
		n = sendmsg(p->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS) {
		errbuf_set(&why, "sending failed: %s", strerror(errno));
		peer_fall_silent(p, why.text);
	}
	*is_full = n < (ssize_t)wanted;
	if (n <= 0)
		return 0;
	outq_consume(&p->out.q, (size_t)n);
	p->written_total += (uint64_t)n;
	return (size_t)n;
}

static void peer_send_waiting(struct ipc_peer *p) {
	bool was_blocked = p->is_blocked, is_full = false;
	size_t total = 0;

	sendq_seal(&p->out);
	while (!outq_is_empty(&p->out.q) && total < SEND_TURN_BYTES && !is_full)
		total += peer_write(p, SEND_TURN_BYTES - total, &is_full);
	/* The rest goes when the socket is writable, which may be at once. */
	p->is_blocked = !outq_is_empty(&p->out.q);
	if (!p->is_lost && p->is_blocked != was_blocked)
		peer_watch(p);
}

static void peer_on_io(int fd UNUSED, short ready, void *arg) {
	struct ipc_peer *p = arg;

	if ((ready & EVLOOP_WRITE) != 0)
		peer_send_waiting(p);
	if ((ready & EVLOOP_READ) != 0)
		peer_receive(p);
}

static void peer_on_resume(void *arg) {
	struct ipc_peer *p = arg;

	if (!p->is_lost)
		peer_parse(p);
}

struct ipc_peer *ipc_peer_new(struct evloop *loop, int fd, size_t max_message_bytes, size_t queue_max_bytes,
    const struct ipc_peer_ops *ops, void *arg) {
	struct ipc_peer *p = mem_zalloc(sizeof(*p));

	BUG_ON(max_message_bytes < IPC_HEADER_BYTES);
	p->loop = loop;
	p->ops = ops;
	p->arg = arg;
	p->fd = fd;
	p->max_message_bytes = max_message_bytes;
	p->queue_max_bytes = queue_max_bytes;
	sendq_init(&p->out);
	sendq_init(&p->late);
	evloop_timer_init(loop, &p->resume, peer_on_resume, p);
	evloop_io_start(loop, &p->io, fd, EVLOOP_READ, peer_on_io, p);
	return p;
}

void ipc_peer_free(struct ipc_peer **p) {
	struct ipc_peer *peer = *p;

	if (peer == NULL)
		return;
	*p = NULL;
	evloop_io_stop(&peer->io);
	evloop_timer_stop(&peer->resume);
	close(peer->fd);
	sendq_fini(&peer->out);
	sendq_fini(&peer->late);
	mem_free(peer->in);
	rcbuf_unref(&peer->large);
	mem_free(peer);
}

static bool peer_can_queue(const struct ipc_peer *p) {
	return !p->is_lost && ipc_peer_queued_bytes(p) < p->queue_max_bytes;
}

bool ipc_peer_send(struct ipc_peer *p, enum ipc_type type, const void *message) {
	return peer_can_queue(p) && sendq_add_message(&p->out, type, message);
}

bool ipc_peer_send_shared(struct ipc_peer *p, const struct ipc_encoded *message) {
	struct rcbuf *head = message->head;
	uint8_t *at;

	if (!peer_can_queue(p))
		return false;
	if (head->len > JOIN_MAX_BYTES || message->bulk != NULL) {
		sendq_seal(&p->out);
		outq_add(&p->out.q, head);
		if (message->bulk != NULL)
			outq_add(&p->out.q, message->bulk);
		return true;
	}
	at = sendq_reserve(&p->out, head->len);
	if (at == NULL)
		return false;
	memcpy(at, head->data, head->len);
	p->out.tail->len += head->len;
	return true;
}

bool ipc_peer_send_late(struct ipc_peer *p, enum ipc_type type, const void *message) {
	return peer_can_queue(p) && sendq_add_message(&p->late, type, message);
}

void ipc_peer_flush(struct ipc_peer *p) {
	if (!p->is_lost && !p->is_blocked && sendq_bytes(&p->out) > 0)
		peer_send_waiting(p);
}

void ipc_peer_flush_late(struct ipc_peer *p) {
	if (p->is_lost || sendq_bytes(&p->late) == 0)
		return;
	sendq_seal(&p->out);
	sendq_seal(&p->late);
	outq_append(&p->out.q, &p->late.q);
	ipc_peer_flush(p);
}

void ipc_peer_pause(struct ipc_peer *p, bool is_paused) {
	if (p->is_lost || p->is_paused == is_paused)
		return;
	p->is_paused = is_paused;
	peer_watch(p);
	if (!is_paused && (p->in_len > 0 || p->large != NULL))
		evloop_timer_start(&p->resume, 0);
	else
		evloop_timer_stop(&p->resume);
}

bool ipc_peer_is_bad(const struct ipc_peer *p) {
	return p->is_bad;
}

size_t ipc_peer_queued_bytes(const struct ipc_peer *p) {
	return sendq_bytes(&p->out) + sendq_bytes(&p->late);
}

uint64_t ipc_peer_queued_total(const struct ipc_peer *p) {
	return p->written_total + sendq_bytes(&p->out);
}

uint64_t ipc_peer_written_total(const struct ipc_peer *p) {
	return p->written_total;
}
