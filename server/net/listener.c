/* listener - accepts connections, also when there is no descriptor left to accept them with */
#include "server/net/listener.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_AREA LOG_AREA_limits
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/svc/log.h"
#include "common/svc/stats.h"

enum {
	ACCEPTS_PER_TURN = 64,	   /* of one socket, so that newcomers do not starve those who are there */
	CLOSE_ACCEPTS_MAX = 65536, /* at listener_close(): newcomers may arrive as fast as they are refused */
	RETRY_MS = 100,		   /* after an error that accepting again would only repeat */
	RECOVERED_MS = 1000,	   /* so long without a refusal, and the next one is news again */
	DISCARD_BYTES = 16384,	   /* of a request that is refused unread: more than a request head may have */
};

struct listening {
	struct evloop_io io;
	struct list link;
	struct listener *listener;
	int fd; /* borrowed; -1: this entry is not in use */
};

struct listener {
	struct evloop *loop;
	listener_fn on_accept;
	void *arg;
	struct list sockets; /* struct listening; entries out of use stay, because a callback may be on its way through one */
	struct evloop_timer retry;
	uint64_t refused_ms; /* the latest refusal for want of descriptors; 0: none yet */
	int spare;	     /* -1: there was none to be had */
	bool is_waiting, is_silent;
};

static const char refusal_full[] = "HTTP/1.1 503 Service Unavailable\r\n"
				   "Retry-After: 5\r\n"
				   "Content-Type: text/plain\r\n"
				   "Content-Length: 44\r\n"
				   "Connection: close\r\n"
				   "\r\n"
				   "The server has as many clients as it takes.\n";
static const char refusal_closing[] = "HTTP/1.1 503 Service Unavailable\r\n"
				      "Retry-After: 2\r\n"
				      "Content-Type: text/plain\r\n"
				      "Content-Length: 26\r\n"
				      "Connection: close\r\n"
				      "\r\n"
				      "The server is going away.\n";

/* Some descriptor that needs no file: after dropping root, or in a bare container, none may be there to be opened. */
static void open_spare(struct listener *l) {
	if (l->spare < 0)
		l->spare = eventfd(0, EFD_CLOEXEC);
}

/* Takes fd. The answer goes out before the request is read; what has arrived of it is taken off, because closing with
 * unread bytes resets the connection and can cost the client the answer. */
static void refuse(const struct listener *l, int fd, struct slice answer) {
	char discarded[DISCARD_BYTES];
	ssize_t n = -1;

	if (!l->is_silent)
		n = send(fd, answer.ptr, answer.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n >= 0 && shutdown(fd, SHUT_WR) == 0) {
		do
			n = recv(fd, discarded, sizeof(discarded), MSG_DONTWAIT);
		while (n < 0 && errno == EINTR);
	}
	close(fd);
}

static void watch(struct listener *l) {
	short want = l->is_waiting ? 0 : EVLOOP_READ;

	list_for_each(it, &l->sockets) {
		struct listening *s = list_entry(it, struct listening, link);

		if (s->fd >= 0)
			evloop_io_want(&s->io, want);
	}
}

static void wait_a_little(struct listener *l) {
	l->is_waiting = true;
	watch(l);
	evloop_timer_start(&l->retry, RETRY_MS);
}

static void on_retry(void *arg) {
	struct listener *l = arg;

	l->is_waiting = false;
	open_spare(l);
	watch(l);
}

static void note_full(struct listener *l) {
	uint64_t now = evloop_now_ms(l->loop);

	stat_add(STAT_connections_refused_full, 1);
	if (l->refused_ms == 0 || now - l->refused_ms >= RECOVERED_MS)
		log_text(LOG_WARN, "no descriptor is free, new connections are answered 503");
	l->refused_ms = now;
}

/* accept() said that no descriptor is free: the spare one makes room for just long enough to say so. False: nobody
 * waits, or there is no spare. */
static bool refuse_one_full(struct listener *l, int listening_fd) {
	struct sock_peer peer;
	int fd;

	if (l->spare < 0) {
		wait_a_little(l);
		return false;
	}
	close(l->spare);
	l->spare = -1;
	fd = sock_accept(listening_fd, &peer);
	if (fd >= 0) {
		refuse(l, fd, slice_of(refusal_full, sizeof(refusal_full) - 1));
		note_full(l);
	}
	open_spare(l);
	return fd >= 0;
}

/* False: no more from this socket in this turn. */
static bool accept_one(struct listener *l, int listening_fd) {
	struct sock_peer peer;
	int fd = sock_accept(listening_fd, &peer);

	if (fd >= 0) {
		l->on_accept(fd, &peer, l->arg);
		return true;
	}
	switch (errno) {
	case EMFILE:
	case ENFILE:
		return refuse_one_full(l, listening_fd);
	case ENOBUFS:
	case ENOMEM:
		wait_a_little(l);
		return false;
	case EAGAIN:
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
		return false;
	default:
		/* What went wrong on the way to this one connection says nothing of the next (accept(2)). */
		return true;
	}
}

static void on_readable(int fd, short ready, void *arg) {
	struct listening *s = arg;
	struct listener *l = s->listener;

	(void)ready;
	/* on_accept may remove the socket or close. */
	for (int i = 0; i < ACCEPTS_PER_TURN && s->fd == fd; i++) {
		if (!accept_one(l, fd))
			break;
	}
}

static struct listening *find(const struct listener *l, int fd) {
	list_for_each(it, &l->sockets) {
		struct listening *s = list_entry(it, struct listening, link);

		if (s->fd == fd)
			return s;
	}
	return NULL;
}

struct listener *listener_new(struct evloop *loop, listener_fn on_accept, void *arg) {
	struct listener *l = mem_zalloc(sizeof(*l));

	l->loop = loop;
	l->on_accept = on_accept;
	l->arg = arg;
	list_init(&l->sockets);
	l->spare = -1;
	evloop_timer_init(loop, &l->retry, on_retry, l);
	return l;
}

void listener_refuse_silently(struct listener *l) {
	l->is_silent = true;
}

void listener_free(struct listener **l) {
	if (*l == NULL)
		return;
	evloop_timer_stop(&(*l)->retry);
	list_for_each_safe(it, &(*l)->sockets) {
		struct listening *s = list_entry(it, struct listening, link);

		evloop_io_stop(&s->io);
		mem_free(s);
	}
	if ((*l)->spare >= 0)
		close((*l)->spare);
	mem_free(*l);
	*l = NULL;
}

void listener_add(struct listener *l, int fd) {
	struct listening *s;

	if (find(l, fd) != NULL)
		return;
	open_spare(l);
	s = find(l, -1);
	if (s == NULL) {
		s = mem_zalloc(sizeof(*s));
		s->listener = l;
		list_add_tail(&l->sockets, &s->link);
	}
	s->fd = fd;
	evloop_io_start(l->loop, &s->io, fd, EVLOOP_READ, on_readable, s);
	if (l->is_waiting)
		evloop_io_want(&s->io, 0);
}

void listener_remove(struct listener *l, int fd) {
	struct listening *s = find(l, fd);

	if (s == NULL || fd < 0)
		return;
	evloop_io_stop(&s->io);
	s->fd = -1;
}

static void refuse_queue(struct listener *l, int listening_fd) {
	struct sock_peer peer;

	if (l->spare >= 0)
		close(l->spare); /* or the queue could not be emptied when all other descriptors are in use */
	l->spare = -1;
	for (int i = 0; i < CLOSE_ACCEPTS_MAX; i++) {
		int fd = sock_accept(listening_fd, &peer);

		if (fd < 0 && errno != ECONNABORTED)
			return;
		if (fd < 0)
			continue;
		refuse(l, fd, slice_of(refusal_closing, sizeof(refusal_closing) - 1));
		stat_add(STAT_connections_refused_drain, 1);
	}
}

void listener_close(struct listener *l) {
	evloop_timer_stop(&l->retry);
	list_for_each(it, &l->sockets) {
		struct listening *s = list_entry(it, struct listening, link);
		int fd = s->fd;

		if (fd < 0)
			continue;
		evloop_io_stop(&s->io);
		s->fd = -1;
		refuse_queue(l, fd);
		/* Other processes hold it too, so without this the next newcomer would wait in its queue for nobody. */
		shutdown(fd, SHUT_RDWR);
		close(fd);
	}
}

size_t listener_count(const struct listener *l) {
	size_t count = 0;

	list_for_each(it, &l->sockets)
		count += list_entry(it, struct listening, link)->fd >= 0;
	return count;
}
