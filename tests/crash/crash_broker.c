/* crash_broker - an order is the name of a channel to which somebody publishes */
#include "broker/router.h"
#include "tests/crash/crash.h"

void __real_router_on_message(struct router *r, struct link *l, enum ipc_type type, const union ipc_any *message);
void __wrap_router_on_message(struct router *r, struct link *l, enum ipc_type type, const union ipc_any *message);

void __wrap_router_on_message(struct router *r, struct link *l, enum ipc_type type, const union ipc_any *message) {
	if (type == IPC_publish)
		crash_on_order(message->publish.channel);
	__real_router_on_message(r, l, type, message);
}
