/* worker - what clients reach: the front ends and the page */
#include "server/worker/worker.h"

#include <stdio.h>

#include "common/svc/log.h"
#include "server/page/assets.h"
#include "server/proto/proto.h"
#include "server/worker/service.h"
#include "server/ws/ws_handshake.h"

/* Nothing but our own files, no inline code, no embedding (the page needs no more). */
#define PAGE_POLICY \
	"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " \
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static void serve_asset(struct conn *c, const struct http_request *r, const struct asset *asset) {
	bool is_known = slice_eq_text(http_header_find(r, "If-None-Match", NULL), asset->etag);
	char headers[640];

	/* no-cache: keep it, but ask each time; an unchanged file costs a 304. */
	snprintf(headers, sizeof(headers),
	    "ETag: %s\r\nCache-Control: no-cache\r\nContent-Security-Policy: " PAGE_POLICY "\r\n"
	    "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Opener-Policy: same-origin\r\n",
	    asset->etag);
	conn_respond(c, &(struct http_response){ .status = is_known ? 304 : 200,
			    .content_type = is_known ? NULL : asset->content_type,
			    .extra_headers = headers,
			    .body = is_known ? SLICE_EMPTY : asset->body });
}

static void serve_websocket(struct proto_context *context, struct conn *c, const struct http_request *r) {
	struct ws_refusal why;

	if (!proto_is_path(r->path))
		conn_refuse(c, 404, "there is no WebSocket at this address; try /ws, /echo or /broadcast", NULL);
	else if (!ws_handshake_check(r, &why))
		conn_refuse(c, why.status, why.sentence, why.extra_headers);
	else
		proto_upgrade(context, c, r);
}

static void on_request(struct conn *c, const struct http_request *r, struct slice body) {
	struct proto_context *context = conns_arg(conn_conns(c));
	const struct asset *asset = asset_find(r->path);

	(void)body;
	if (ws_handshake_is_wanted(r)) {
		serve_websocket(context, c, r);
		return;
	}
	if (asset == NULL && !proto_is_path(r->path))
		conn_refuse(c, 404, "there is nothing at this address", NULL);
	else if (r->method != HTTP_GET && r->method != HTTP_HEAD)
		conn_refuse(c, 405, "only GET and HEAD are answered here", "Allow: GET, HEAD\r\n");
	else if (asset != NULL)
		serve_asset(c, r, asset);
	else
		/* A browser cannot see why an upgrade was refused; a plain GET of the same address tells it. */
		serve_websocket(context, c, r);
}

/* A worker answers at once; nobody is ever owed an answer. */
static void on_gone(struct conn *c) {
	(void)c;
}

static size_t body_max(const struct http_request *r, void *arg) {
	(void)r;
	(void)arg;
	return 0;
}

static void after_turn(void *arg) {
	proto_turn_end(arg);
}

int worker_run(const struct heritage *h) {
	struct proto_context context = { 0 };
	struct conn_host host = { .on_request = on_request, .on_gone = on_gone, .body_max = body_max, .arg = &context };
	struct service service;
	int status = HEROLD_EXIT_OK;

	if (!service_prepare(h, &status))
		return status;
	assets_init();
	proto_init(&context, h->config);
	service_init(&service, h, PROCESS_WORKER, context.forms, FORM_COUNT, &host);
	if (!service_use_tls(&service))
		return HEROLD_EXIT_CONFIG;
	context.hub = service.hub;
	service.after_turn = after_turn;
	service.after_turn_arg = &context;
	service_run(&service, &h->listeners[h->slot * h->listeners_per_slot], h->listeners_per_slot, h->listener_kinds);
	service_fini(&service);
	proto_fini(&context);
	log_line(LOG_INFO, "worker ends", LF_I("slot", h->slot));
	return HEROLD_EXIT_OK;
}
