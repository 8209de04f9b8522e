/* admin_process - the process behind admin_listen */
#define LOG_AREA LOG_AREA_admin
#include "common/svc/log.h"
#include "server/admin/live.h"
#include "server/page/assets.h"
#include "server/worker/control.h"
#include "server/worker/service.h"

/* The digest of a new token. */
static void on_auth(struct slice digest, void *arg) {
	struct admin *admin = arg;

	BUG_ON(digest.len != sizeof(admin->token.digest));
	if (!admin->token.is_set || memcmp(admin->token.digest, digest.ptr, digest.len) != 0)
		live_end_viewers(admin->live);
	memcpy(admin->token.digest, digest.ptr, digest.len);
	admin->token.is_set = true;
	log_text(LOG_INFO, "the admin token was read again");
}

static void on_reloaded(bool is_in_force, void *arg) {
	admin_on_reloaded(arg, is_in_force);
}

static bool order_master(enum admin_order what, void *arg) {
	const struct heritage *h = arg;
	struct control_message m = { .what = what == ADMIN_DRAIN ? CONTROL_DRAIN : CONTROL_RELOAD, .fd = -1 };

	return control_send(h->control_fd, &m);
}

int admin_run(const struct heritage *h) {
	struct admin admin = { .config = h->config, .stats = h->stats, .limits = h->limits, .token = h->admin_token };
	struct conn_host host = { .on_head = admin_on_head,
		.on_request = admin_on_request,
		.on_gone = admin_on_gone,
		.body_max = admin_body_max,
		.arg = &admin };
	struct service service;
	struct errbuf e;
	int status = HEROLD_EXIT_OK;

	if (!service_prepare(h, &status))
		return status;
	assets_init();
	/* The option was checked when it was read. */
	BUG_ON(!hosts_init(&admin.hosts, h->config->hosts.item, h->config->hosts.count, &e));
	service_init(&service, h, PROCESS_ADMIN, NULL, 0, &host);
	admin.hub = service.hub;
	admin.memory = h->memory;
	admin.order = order_master;
	admin.order_arg = (void *)(uintptr_t)h;
	admin_init(&admin, service.loop);
	admin.live = live_new(&admin, service.loop);
	service.on_auth = on_auth;
	service.on_reloaded = on_reloaded;
	service.callback_arg = &admin;
	service_run(&service, h->admin_listeners, h->admin_listener_count, NULL);
	live_free(&admin.live);
	service_fini(&service);
	admin_fini(&admin);
	log_text(LOG_INFO, "admin ends");
	return HEROLD_EXIT_OK;
}
