/* crash_server - an order is a message to /echo, or to the admin process the query of /readyz */
#include "server/admin/admin_priv.h"
#include "tests/crash/crash.h"

/* The linker puts these in the place of the real ones (--wrap). */
void __real_conn_send_back(struct conn *c, uint8_t opcode, struct slice data);
void __wrap_conn_send_back(struct conn *c, uint8_t opcode, struct slice data);
void __real_admin_readyz(struct conn *c, const struct http_request *r, struct slice body);
void __wrap_admin_readyz(struct conn *c, const struct http_request *r, struct slice body);

void __wrap_conn_send_back(struct conn *c, uint8_t opcode, struct slice data) {
	crash_on_order(data);
	__real_conn_send_back(c, opcode, data);
}

void __wrap_admin_readyz(struct conn *c, const struct http_request *r, struct slice body) {
	crash_on_order(r->query);
	__real_admin_readyz(c, r, body);
}
