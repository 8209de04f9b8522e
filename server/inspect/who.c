/* who - which connections a question is about */
#include "server/inspect/who.h"

enum { SUBJECT_MAX = 255 };

/* As it stands in the log, with or without its port; or ADDRESS/BITS. */
static bool read_address(struct who *w, struct slice subject) {
	char text[SUBJECT_MAX + 1], *item = text;
	struct errbuf e;

	w->is_peer = sock_peer_parse(subject, &w->peer);
	if (w->is_peer)
		return true;
	memcpy(text, subject.ptr, subject.len);
	text[subject.len] = '\0';
	return nets_init(&w->nets, &item, 1, &e);
}

static bool is_peer(const struct who *w, const struct sock_peer *p) {
	return p->is_unix == w->peer.is_unix && memcmp(p->ip, w->peer.ip, sizeof(p->ip)) == 0 &&
	    (w->peer.port == 0 || p->port == w->peer.port);
}

bool who_init(struct who *w, enum ipc_match match, struct slice subject, const struct conns *conns) {
	*w = (struct who){ .match = match };
	if (match != IPC_MATCH_SLOWEST && (subject.len == 0 || subject.len > SUBJECT_MAX))
		return false;
	switch (match) {
	case IPC_MATCH_ID:
		w->is_nobody = conns != NULL && !conns_parse_id(conns, subject, &w->number);
		return true;
	case IPC_MATCH_USER:
		w->user = subject;
		return true;
	case IPC_MATCH_ADDRESS:
		return memchr(subject.ptr, 0, subject.len) == NULL && read_address(w, subject);
	case IPC_MATCH_SLOWEST:
		return true;
	case IPC_MATCHES:
		break;
	}
	return false;
}

void who_fini(struct who *w) {
	nets_fini(&w->nets);
}

bool who_is(const struct who *w, const struct conn *c) {
	switch (w->match) {
	case IPC_MATCH_ID:
		return !w->is_nobody && conn_number(c) == w->number;
	case IPC_MATCH_USER:
		return conn_is_open(c) && slice_eq(conn_user_id(c), w->user);
	case IPC_MATCH_ADDRESS:
		return w->is_peer ? is_peer(w, conn_peer(c)) : nets_has(&w->nets, conn_peer(c));
	case IPC_MATCH_SLOWEST:
		return conn_queued_bytes(c) > 0;
	case IPC_MATCHES:
		break;
	}
	return false;
}
