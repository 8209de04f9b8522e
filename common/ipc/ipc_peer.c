/* ipc_peer - one end of a link: framing, queue, flow */
#include "common/ipc/ipc_peer.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/errbuf.h"
#include "common/base/mem.h"
#include "common/base/outq.h"

enum {
	IN_START_BYTES = 64 * 1024,	/* receive buffer; larger only while a larger message arrives */
	READ_TURN_BYTES = 256 * 1024,	/* received per readiness: the others get their turn */
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
	uint8_t *in;
	size_t in_len, in_cap;	/* in_len <= in_cap; in[0] begins a message */
	bool is_lost, is_bad, is_paused;
	bool is_blocked;	/* the socket took no more: waits until it is writable */
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
	struct rcbuf *r;
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
	r = ipc_encode(type, message);
	if (r == NULL)
		return false;
	sendq_seal(s);
	outq_take(&s->q, r);
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

/* Tries to hand a message over from in[at..]; sets *used to its bytes, 0: it is not whole yet. False: the peer is lost. */
static bool peer_take_message(struct ipc_peer *p, size_t at, size_t *used) {
	struct wire_reader r = wire_reader_of(slice_of(p->in + at, p->in_len - at));
	union ipc_any message;
	enum ipc_type type;
	struct errbuf why;
	size_t bytes;

	*used = 0;
	if (r.rest.len < IPC_HEADER_BYTES)
		return true;
	bytes = wire_get_u32(&r);
	type = (enum ipc_type)wire_get_u8(&r);
	if (bytes < 1 || bytes > p->max_message_bytes - 4) {
		errbuf_set(&why, "a message announced %zu bytes, at most %zu are taken", bytes, p->max_message_bytes - 4);
		peer_lose_bad(p, why.text);
		return false;
	}
	bytes += 4;
	if (p->in_len - at < bytes)
		return true;
	if (!ipc_decode(type, slice_of(r.rest.ptr, bytes - IPC_HEADER_BYTES), &message)) {
		errbuf_set(&why, "a message of type %s (%u) could not be read", ipc_type_name(type), (unsigned)type);
		peer_lose_bad(p, why.text);
		return false;
	}
	p->ops->on_message(p, type, &message, p->arg);
	*used = bytes;
	return !p->is_lost;
}

/* Hands over all whole messages, unless paused meanwhile; what is left moves to the front. */
static void peer_parse(struct ipc_peer *p) {
	size_t at = 0, used;

	while (!p->is_paused && peer_take_message(p, at, &used) && used > 0)
		at += used;
	if (p->is_lost || at == 0)
		return;
	p->in_len -= at;
	if (p->in_len > 0) {
		memmove(p->in, p->in + at, p->in_len);
	} else if (p->in_cap > IN_START_BYTES) {
		mem_free(p->in);
		p->in = NULL;
		p->in_cap = 0;
	}
}

/* Room to receive into. The buffer doubles when it is full, so a large message must arrive before it costs anything. */
static bool peer_grow(struct ipc_peer *p) {
	size_t cap = p->in_cap == 0 ? IN_START_BYTES : 2 * p->in_cap;
	uint8_t *in;

	if (p->in_len < p->in_cap)
		return true;
	if (p->in_cap > 0 && cap > p->max_message_bytes + IN_START_BYTES)
		cap = p->max_message_bytes + IN_START_BYTES;
	in = mem_try_realloc(p->in, cap);
	if (in == NULL)
		return false;
	p->in = in;
	p->in_cap = cap;
	return true;
}

static void peer_receive(struct ipc_peer *p) {
	size_t total = 0, room;
	struct errbuf why;
	ssize_t n;

	/* What a pause left behind goes first, so that the buffer has room below its cap. */
	peer_parse(p);
	while (!p->is_lost && !p->is_paused && total < READ_TURN_BYTES) {
		if (!peer_grow(p)) {
			peer_lose(p, "no memory to receive a message");
			return;
		}
		room = p->in_cap - p->in_len;
		n = recv(p->fd, p->in + p->in_len, room, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n <= 0) {
			errbuf_set(&why, "receiving failed: %s", strerror(errno));
			peer_lose(p, n == 0 ? "closed by the other side" : why.text);
			return;
		}
		p->in_len += (size_t)n;
		total += (size_t)n;
		peer_parse(p);
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

/* False when the socket takes no more, for now or for good. */
static bool peer_write(struct ipc_peer *p) {
	struct iovec iov[SEND_IOV];
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = outq_iovec(&p->out.q, iov, SEND_IOV) };
	size_t wanted = 0;
	struct errbuf why;
	ssize_t n;

	for (size_t i = 0; i < m.msg_iovlen; i++)
		wanted += iov[i].iov_len;
	do {
		n = sendmsg(p->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS) {
		errbuf_set(&why, "sending failed: %s", strerror(errno));
		peer_fall_silent(p, why.text);
		return false;
	}
	if (n > 0) {
		outq_consume(&p->out.q, (size_t)n);
		p->written_total += (uint64_t)n;
	}
	return n == (ssize_t)wanted;
}

static void peer_send_waiting(struct ipc_peer *p) {
	bool was_blocked = p->is_blocked;

	sendq_seal(&p->out);
	p->is_blocked = false;
	while (!outq_is_empty(&p->out.q)) {
		if (!peer_write(p)) {
			p->is_blocked = true;
			break;
		}
	}
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
	mem_free(peer);
}

static bool peer_can_queue(const struct ipc_peer *p) {
	return !p->is_lost && ipc_peer_queued_bytes(p) < p->queue_max_bytes;
}

bool ipc_peer_send(struct ipc_peer *p, enum ipc_type type, const void *message) {
	return peer_can_queue(p) && sendq_add_message(&p->out, type, message);
}

bool ipc_peer_send_shared(struct ipc_peer *p, struct rcbuf *encoded) {
	uint8_t *at;

	if (!peer_can_queue(p))
		return false;
	if (encoded->len > JOIN_MAX_BYTES) {
		sendq_seal(&p->out);
		outq_add(&p->out.q, encoded);
		return true;
	}
	at = sendq_reserve(&p->out, encoded->len);
	if (at == NULL)
		return false;
	memcpy(at, encoded->data, encoded->len);
	p->out.tail->len += encoded->len;
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
	if (!is_paused && p->in_len > 0)
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
