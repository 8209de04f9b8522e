/* listeners - opening the sockets of every slot, so that no second server can share them */
#include "server/master/listeners.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/svc/log.h"

/* The kernel caps it at net.core.somaxconn, and that is the operator's: a herd that comes at once has to fit there. */
enum { BACKLOG = 65535 };

/* With port 0 there is nothing to come to share. */
static bool lock_address(const struct sock_addr *a, int *lock_fd, struct errbuf *e) {
	if (a->u.sa.sa_family != AF_UNIX && a->u.in.sin_port == 0)
		return true;
	*lock_fd = sock_lock(a, e);
	return *lock_fd >= 0;
}

/* One address for all slots: fd[i * stride]. */
static bool open_address(struct sock_addr *a, int *lock_fd, int *fd, int slots, int stride, struct errbuf *e) {
	if (!lock_address(a, lock_fd, e) || !sock_probe_free(a, e))
		return false;
	for (int i = 0; i < slots; i++) {
		bool is_shared = a->u.sa.sa_family == AF_UNIX && i > 0;

		fd[i * stride] = is_shared ? fd[0] : sock_listen(a, BACKLOG, e);
		if (fd[i * stride] < 0)
			return false;
	}
	return true;
}

static int *no_sockets(int count) {
	int *fd = mem_alloc((size_t)count * sizeof(*fd));

	for (int i = 0; i < count; i++)
		fd[i] = -1;
	return fd;
}

/* The i-th address of a slot. */
static bool parse_address(struct listeners *l, const struct config *c, int i, struct errbuf *e) {
	int plain = (int)c->listen.count;
	bool is_proxy;

	if (!listen_address_parse(i < plain ? c->listen.item[i] : c->tls_listen.item[i - plain], &l->address[i], &is_proxy, e))
		return false;
	l->kind[i] = (uint8_t)((i < plain ? LISTEN_PLAIN : LISTEN_TLS) | (is_proxy ? LISTEN_PROXY : 0));
	return true;
}

bool listeners_open(struct listeners *l, const struct config *c, int slots, struct errbuf *e) {
	*l = (struct listeners){ .slots = slots, .admin_count = (int)c->admin_listen.count };
	l->per_slot = (int)(c->listen.count + c->tls_listen.count);
	l->kind = mem_zalloc((size_t)l->per_slot);
	l->fd = no_sockets(slots * l->per_slot);
	l->admin_fd = no_sockets(l->admin_count);
	l->lock_count = l->per_slot + l->admin_count;
	l->lock_fd = no_sockets(l->lock_count);
	l->address = mem_zalloc((size_t)l->per_slot * sizeof(*l->address));
	l->admin_address = mem_zalloc((size_t)l->admin_count * sizeof(*l->admin_address));
	for (int i = 0; i < l->per_slot; i++) {
		if (!parse_address(l, c, i, e) || !open_address(&l->address[i], &l->lock_fd[i], &l->fd[i], slots, l->per_slot, e))
			goto fail;
	}
	for (int i = 0; i < l->admin_count; i++) {
		if (!sock_parse(c->admin_listen.item[i], &l->admin_address[i], e) ||
		    !open_address(&l->admin_address[i], &l->lock_fd[l->per_slot + i], &l->admin_fd[i], 1, 1, e))
			goto fail;
	}
	return true;
fail:
	listeners_close(l);
	return false;
}

int listeners_count(const struct listeners *l) {
	int count = 0;

	for (int i = 0; i < l->per_slot; i++)
		count += l->address[i].u.sa.sa_family == AF_UNIX ? 1 : l->slots;
	return count;
}

uint64_t listeners_waiting(const struct listeners *l) {
	uint64_t sum = 0;

	for (int i = 0; i < l->slots * l->per_slot; i++)
		sum += sock_waiting(l->fd[i]);
	return sum;
}

void listeners_shut(const struct listeners *l, int slot) {
	for (int i = 0; i < l->per_slot; i++)
		shutdown(l->fd[slot * l->per_slot + i], SHUT_RDWR);
}

static void drop(int **fd, int rows, int columns) {
	for (int i = 0; *fd != NULL && i < rows * columns; i++) {
		bool is_shared = i >= columns && (*fd)[i] == (*fd)[i % columns];

		if ((*fd)[i] >= 0 && !is_shared)
			close((*fd)[i]);
	}
	mem_free(*fd);
	*fd = NULL;
}

void listeners_drop_locks(struct listeners *l) {
	drop(&l->lock_fd, 1, l->lock_count);
	l->lock_count = 0;
}

void listeners_drop_clients(struct listeners *l) {
	drop(&l->fd, l->slots, l->per_slot);
	l->per_slot = 0;
}

void listeners_drop_admin(struct listeners *l) {
	drop(&l->admin_fd, 1, l->admin_count);
	l->admin_count = 0;
}

static void unlink_names(const struct sock_addr *address, const int *fd, int count) {
	for (int i = 0; i < count; i++) {
		const struct sock_addr *a = &address[i];

		if (fd[i] >= 0 && a->u.sa.sa_family == AF_UNIX && a->u.un.sun_path[0] != '\0')
			unlink(a->u.un.sun_path);
	}
}

void listeners_close(struct listeners *l) {
	unlink_names(l->address, l->fd, l->per_slot);
	unlink_names(l->admin_address, l->admin_fd, l->admin_count);
	listeners_drop_clients(l);
	listeners_drop_admin(l);
	listeners_drop_locks(l);
	mem_free(l->address);
	mem_free(l->admin_address);
	mem_free(l->kind);
	l->address = l->admin_address = NULL;
	l->kind = NULL;
}

/* As people type it into a browser. */
static void http_address(const struct sock_addr *a, const char *scheme, char *out, size_t size) {
	char text[SOCK_TEXT_MAX];
	bool is_any = (a->u.sa.sa_family == AF_INET && a->u.in.sin_addr.s_addr == htonl(INADDR_ANY)) ||
	    (a->u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->u.in6.sin6_addr));

	sock_text(a, text);
	if (a->u.sa.sa_family == AF_UNIX)
		snprintf(out, size, "%s", text);
	else if (is_any)
		snprintf(out, size, "%s://localhost:%u/", scheme, ntohs(a->u.in.sin_port));
	else
		snprintf(out, size, "%s://%s/", scheme, text);
}

void listeners_log_ready(const struct listeners *l) {
	char address[SOCK_TEXT_MAX + 16], admin[SOCK_TEXT_MAX + 16];

	http_address(&l->admin_address[0], "http", admin, sizeof(admin));
	for (int i = 0; i < l->per_slot; i++) {
		uint8_t kind = l->kind[i];
		struct log_field fields[6] = { 0 };

		http_address(&l->address[i], (kind & LISTEN_TLS) != 0 ? "https" : "http", address, sizeof(address));
		fields[0] = LF_TEXT("address", address);
		fields[1] = LF_TEXT("admin", admin);
		fields[2] = LF_I("workers", l->slots);
		fields[3] = LF_TEXT("version", HEROLD_VERSION);
		if ((kind & LISTEN_PROXY) != 0)
			fields[4] = LF_TEXT("proxy_protocol", "expected");
		log_emit(LOG_INFO, "ready", fields);
	}
}
