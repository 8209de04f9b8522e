/* conn_proxy - who the client is when a proxy speaks for it: the PROXY protocol before everything else, X-Forwarded-For with each request */
#include <errno.h>

#include "common/svc/stats.h"
#include "server/conn/conn_priv.h"
#include "server/net/forwarded.h"
#include "server/net/proxy_reader.h"

void conn_set_peer(struct conn *c, const struct sock_peer *peer) {
	const struct nets *trusted = c->cs->settings.trusted_proxies;

	c->peer = *peer;
	c->is_trusted = trusted != NULL && nets_has(trusted, peer);
	if (c->is_trusted)
		c->hop = *peer;
}

/* --- the PROXY protocol --- */

static void on_trouble(struct conn *c, const char *sentence) {
	if (errno == EPROTO)
		conn_end(c, CLOSE_proxy_header_bad, sentence);
	else
		conn_end(c, CLOSE_client_reset, NULL);
}

static void on_complete(struct conn *c, const struct sock_peer *client) {
	enum conn_limit why;
	uint64_t wait_ms;

	stat_add(STAT_proxy_headers, 1);
	conn_set_peer(c, client);
	buf_fini(&c->side->in);
	conn_side_trim(c);
	conn_set_state(c, CONN_HEAD);
	evloop_io_start(c->cs->loop, &c->io, c->stream.fd, EVLOOP_READ, conn_on_ready, c);
	why = c->is_trusted ? CONN_LIMIT_NONE : conn_limits_enter(c, &wait_ms);
	if (why != CONN_LIMIT_NONE)
		conn_limits_turn_away(c, why, wait_ms);
}

static void on_header_ready(int fd, short ready, void *arg) {
	const char *sentence = NULL;
	struct conn *c = arg;
	struct sock_peer client = c->peer;
	size_t input = conn_input_bytes(c);

	(void)ready;
	switch (proxy_reader_take(fd, &conn_side(c)->in, &client, &sentence)) {
	case STREAM_OK:
		on_complete(c, &client);
		break;
	case STREAM_AGAIN:
		break;
	case STREAM_EOF:
		conn_end(c, CLOSE_client_eof, NULL);
		break;
	case STREAM_ERROR:
		on_trouble(c, sentence);
		break;
	}
	conn_input_changed(c, input);
}

void conn_proxy_begin(struct conn *c) {
	if (c->is_trusted)
		evloop_io_start(c->cs->loop, &c->io, c->stream.fd, EVLOOP_READ, on_header_ready, c);
	else
		conn_end(c, CLOSE_proxy_untrusted, NULL);
}

/* --- X-Forwarded-For --- */

void conn_learn_client(struct conn *c, const struct http_request *r) {
	bool is_named = false;

	for (size_t i = r->header_count; i-- > 0;) {
		if (!slice_eq_nocase(r->header[i].name, "x-forwarded-for"))
			continue;
		is_named = true;
		if (!forwarded_walk(r->header[i].value, c->cs->settings.trusted_proxies, &c->peer))
			break;
	}
	if (is_named && memcmp(&c->peer, &c->hop, sizeof(c->peer)) != 0)
		stat_add(STAT_forwarded_requests, 1);
}
