/* api_orders - the server API: what the master is to do, drain and reload */
#define LOG_AREA LOG_AREA_admin
#include "common/svc/log.h"
#include "server/admin/admin_priv.h"

enum { RELOAD_MS = 10000 };

/* The line of the audit. False, after a refusal. */
static bool order(struct conn *c, enum admin_order what) {
	const struct admin *a = admin_of(c);
	char id[ID_TEXT_LEN + 1], peer[SOCK_TEXT_MAX];

	conn_id_text(c, id);
	sock_peer_text(conn_peer(c), peer);
	log_line(LOG_INFO, what == ADMIN_DRAIN ? "the operator ends the server" : "the operator has the configuration read again",
	    LF_TEXT("audit", "admin"), LF_TEXT("conn", id), LF_TEXT("peer", peer));
	if (a->order(what, a->order_arg))
		return true;
	conn_refuse(c, 503, "the master cannot be reached just now: nothing was done", "Retry-After: 1\r\n");
	return false;
}

void api_drain(struct conn *c, const struct http_request *r UNUSED, struct slice body UNUSED) {
	if (atomic_load(&admin_of(c)->stats->host.is_draining))
		conn_refuse(c, 409, "the server is going away already", NULL);
	else if (order(c, ADMIN_DRAIN))
		admin_respond_json(c, 200, json_pack("{s:s}", "status", "draining"));
}

void api_reload(struct conn *c, const struct http_request *r UNUSED, struct slice body UNUSED) {
	struct admin *a = admin_of(c);

	if (!order(c, ADMIN_RELOAD))
		return;
	list_add_tail(&a->reloading, &admin_call_new(c)->in_reloading);
	evloop_timer_start(&a->reload_timer, RELOAD_MS);
}

/* Ends the call. */
static struct conn *next_reloading(struct admin *a) {
	struct admin_call *call = list_entry(a->reloading.next, struct admin_call, in_reloading);
	struct conn *c = call->conn;

	admin_call_end(call);
	return c;
}

/* Who has asked meanwhile gets the same answer: what was read is hardly older. */
void admin_on_reloaded(struct admin *a, bool is_in_force) {
	evloop_timer_stop(&a->reload_timer);
	while (!list_is_empty(&a->reloading)) {
		struct conn *c = next_reloading(a);

		if (is_in_force)
			admin_respond_json(c, 200, json_pack("{s:s}", "status", "reloaded"));
		else
			conn_refuse(c, 409, "the configuration was read again and refused; the old one stays, and the log says why", NULL);
	}
}

static void on_reload_timer(void *arg) {
	struct admin *a = arg;

	while (!list_is_empty(&a->reloading))
		conn_refuse(next_reloading(a), 504, "the master did not answer: the configuration is perhaps read again", NULL);
}

void admin_init(struct admin *a, struct evloop *loop) {
	list_init(&a->reloading);
	evloop_timer_init(loop, &a->reload_timer, on_reload_timer, a);
}

void admin_fini(struct admin *a) {
	evloop_timer_stop(&a->reload_timer);
	origin_list_fini(&a->hosts);
}
