/* worker - what clients reach: the front ends and the page */
#include "server/worker/worker.h"

#include <stdio.h>

#include "common/base/bundle.h"
#include "common/svc/log.h"
#include "server/auth/auth.h"
#include "server/auth/origin.h"
#include "server/inspect/inspector.h"
#include "server/moderation/moderation.h"
#include "server/page/asset_serve.h"
#include "server/proto/proto.h"
#include "server/worker/service.h"
#include "server/ws/ws_handshake.h"

/* What requests are looked at with. */
struct reception {
	struct proto_context context;
	struct origin_list origins, hosts;
	struct auth *auth;
	struct moderation moderation;
	struct conns *conns;
};

/* False: refused. */
static bool admit_origin(const struct reception *e, struct conn *c, const struct http_request *r) {
	size_t count;
	struct slice origin = http_header_find(r, "Origin", &count);
	const char *why = origin_refusal(&e->origins, origin, count, http_header_find(r, "Host", NULL));

	if (why == NULL)
		return true;
	stat_add(STAT_origins_refused, 1);
	conn_refuse(c, 403, why, NULL);
	return false;
}

/* False: refused. */
static bool admit_handshake(struct conn *c, const struct http_request *r) {
	struct ws_refusal why;
	bool is_good = ws_handshake_check(r, &why);

	if (!is_good) {
		stat_add(STAT_handshakes_refused, 1);
		conn_refuse(c, why.status, why.sentence, why.extra_headers);
	}
	return is_good;
}

/* The user of its grant, if it has one. False: refused. */
static bool admit_unless_banned(const struct reception *e, struct conn *c) {
	const struct auth_grant *g = conn_grant(c);
	uint64_t now_s = evloop_wall_ms(conns_loop(conn_conns(c))) / 1000;
	uint32_t until_s = g != NULL ? limits_sanction_of(e->context.limits, grant_user(g), LIMIT_BANNED, now_s) : 0;
	char header[48];

	if (until_s == 0)
		return true;
	stat_add(STAT_banned_refused, 1);
	snprintf(header, sizeof(header), "Retry-After: %llu\r\n", (unsigned long long)(until_s - now_s));
	conn_refuse(c, 403, "a moderator has banned you", header);
	return false;
}

/* False: refused. */
static bool admit_user(const struct reception *e, struct conn *c, const struct http_request *r, struct auth_grant **grant) {
	enum auth_refusal why = auth_request(e->auth, r, evloop_wall_ms(conns_loop(conn_conns(c))) / 1000, grant);

	if (why != AUTH_OK) {
		stat_add(STAT_tokens_refused, 1);
		conn_refuse(c, auth_refusal_status(why), auth_refusal_sentence(why), auth_refusal_header(why));
	}
	return why == AUTH_OK;
}

/* Of those who ask for a WebSocket only browsers say where they come from, and they keep to themselves what they were refused with. */
static enum limit_asker asker_of(const struct http_request *r, bool is_wanted) {
	if (!is_wanted)
		return LIMIT_ASKER_CURIOUS;
	return http_header_find(r, "Origin", NULL).ptr != NULL ? LIMIT_ASKER_DEAF : LIMIT_ASKER_HEARS;
}

/* The cheapest questions first. But a plain GET, which could not become a WebSocket anyway, is there to learn whether its token
 * would be taken. */
static void serve_websocket(struct reception *e, struct conn *c, const struct http_request *r) {
	bool is_wanted = ws_handshake_is_wanted(r);
	struct auth_grant *grant;

	if (!proto_is_path(r->path)) {
		stat_add(STAT_paths_refused, 1);
		conn_refuse(c, 404, "there is no WebSocket at this address; try /ws, /echo or /broadcast", NULL);
		return;
	}
	if (!admit_origin(e, c, r) || (is_wanted && !admit_handshake(c, r)) || !conn_admit_upgrade(c, asker_of(r, is_wanted)) || !admit_user(e, c, r, &grant))
		return;
	conn_set_grant(c, grant);
	if (admit_unless_banned(e, c) && conn_admit_user(c) && (is_wanted || admit_handshake(c, r)))
		proto_upgrade(&e->context, c, r);
}

static void on_request(struct conn *c, const struct http_request *r, struct slice body) {
	struct reception *e = conns_arg(conn_conns(c));
	const struct asset *asset = asset_find(PAGE_CHAT, r->path);
	const char *misdirected = host_refusal(&e->hosts, http_header_find(r, "Host", NULL));

	(void)body;
	if (misdirected != NULL) {
		stat_add(STAT_hosts_refused, 1);
		conn_refuse(c, 421, misdirected, NULL);
	} else if (ws_handshake_is_wanted(r)) {
		serve_websocket(e, c, r);
	} else if (r->method != HTTP_GET && r->method != HTTP_HEAD) {
		stat_add(STAT_methods_refused, 1);
		conn_refuse(c, 405, "only GET and HEAD are answered here", "Allow: GET, HEAD\r\n");
	} else if (asset != NULL) {
		asset_serve(c, r, asset);
	} else if (proto_is_path(r->path)) {
		/* A browser cannot see why an upgrade was refused; a plain GET of the same address tells it. */
		serve_websocket(e, c, r);
	} else {
		stat_add(STAT_paths_refused, 1);
		conn_refuse(c, 404, "there is nothing at this address", NULL);
	}
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
	struct reception *e = arg;

	proto_turn_end(&e->context);
}

static enum close_reason judge_grant(const struct conn *c, void *arg, const char **detail UNUSED) {
	const struct reception *e = arg;
	const struct auth_grant *g = conn_grant(c);

	return g == NULL || auth_is_in_force(e->auth, g) ? CLOSE_NONE : CLOSE_token_revoked;
}

/* The master has tried them before. */
static void on_auth(struct slice bundle, void *arg) {
	struct reception *e = arg;
	struct errbuf why;

	if (auth_replace(e->auth, bundle, &why))
		conns_review(e->conns, judge_grant, e);
	else
		log_line(LOG_ERROR, "new tokens or keys cannot be used; the old ones stay", LF_TEXT("error", why.text));
}

/* False: what the master has handed over cannot be used, which is logged. */
static bool use_auth(struct reception *e, struct service *s) {
	struct errbuf why;

	e->conns = s->conns;
	e->auth = auth_new(s->heritage->config, buf_slice(s->heritage->auth), &why);
	bundle_fini(s->heritage->auth);
	e->context.auth = e->auth;
	if (e->auth == NULL)
		log_line(LOG_ERROR, "the tokens or keys cannot be used", LF_TEXT("error", why.text));
	return e->auth != NULL;
}

int worker_run(const struct heritage *h) {
	struct reception reception = { .context = { 0 } };
	struct proto_context *context = &reception.context;
	const struct config *config = h->config;
	struct conn_host host = { .on_request = on_request, .on_gone = on_gone, .body_max = body_max, .arg = &reception };
	struct inspector inspector;
	struct service service;
	struct errbuf e;
	int status = HEROLD_EXIT_OK;

	if (!service_prepare(h, &status))
		return status;
	assets_init();
	proto_init(context, config);
	moderation_form_init(&context->forms[FORM_MODERATION], &reception.moderation);
	/* The options were checked when they were read. */
	BUG_ON(!origins_init(&reception.origins, config->origins.item, config->origins.count, &e));
	BUG_ON(!hosts_init(&reception.hosts, config->hosts.item, config->hosts.count, &e));
	service_init(&service, h, PROCESS_WORKER, context->forms, FORM_COUNT, &host);
	if (!service_use_tls(&service) || !use_auth(&reception, &service))
		return HEROLD_EXIT_CONFIG;
	context->hub = service.hub;
	context->limits = h->limits;
	moderation_start(&reception.moderation, service.hub, FORM_MODERATION, service.conns, h->limits);
	inspector_start(&inspector, service.hub, service.conns, (uint32_t)h->slot);
	service.after_turn = after_turn;
	service.on_auth = on_auth;
	service.callback_arg = &reception;
	service_run(&service, &h->listeners[h->slot * h->listeners_per_slot], h->listeners_per_slot, h->listener_kinds);
	inspector_stop(&inspector);
	moderation_stop(&reception.moderation);
	service_fini(&service);
	origin_list_fini(&reception.origins);
	origin_list_fini(&reception.hosts);
	proto_fini(context);
	auth_free(&reception.auth);
	log_line(LOG_INFO, "worker ends", LF_I("slot", h->slot));
	return HEROLD_EXIT_OK;
}
