/* sock - addresses as text, and the calls that make, take and tune non-blocking sockets */
#include "common/svc/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOTSENT_LOWAT_BYTES = 128 * 1024 };
#define LOCK_PREFIX "herold-lock-"
#define ADDRESS_FORMS "want IPV4:PORT, [IPV6]:PORT, unix:/PATH or unix:@NAME"

static bool parse_unix(const char *text, const char *path, struct sock_addr *out, struct errbuf *e) {
	size_t len = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || len < 2)
		return errbuf_set(e, "\"%s\" is no address: " ADDRESS_FORMS, text);
	if (len >= sizeof(out->u.un.sun_path))
		return errbuf_set(e, "\"%s\" is too long: a unix socket's path has at most %zu bytes", text,
		    sizeof(out->u.un.sun_path) - 1);
	out->u.un.sun_family = AF_UNIX;
	memcpy(out->u.un.sun_path, path, len);
	out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (path[0] == '@')
		out->u.un.sun_path[0] = '\0';
	else
		out->len++;
	return true;
}

bool sock_parse(const char *text, struct sock_addr *out, struct errbuf *e) {
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	size_t host_len;
	uint64_t port;

	memset(out, 0, sizeof(*out));
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text, text + 5, out, e);
	if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
		return errbuf_set(e, "\"%s\" is no address: " ADDRESS_FORMS, text);
	if (!slice_to_u64(slice_text(colon + 1), &port) || port > UINT16_MAX)
		return errbuf_set(e, "\"%s\": \"%s\" is no port, 0 to 65535", text, colon + 1);
	host_len = (size_t)(colon - text);
	memcpy(host, text, host_len);
	host[host_len] = '\0';
	if (host[0] == '[' && host[host_len - 1] == ']') {
		host[host_len - 1] = '\0';
		out->u.in6.sin6_family = AF_INET6;
		out->u.in6.sin6_port = htons((uint16_t)port);
		out->len = sizeof(out->u.in6);
		if (inet_pton(AF_INET6, host + 1, &out->u.in6.sin6_addr) == 1)
			return true;
	} else {
		out->u.in.sin_family = AF_INET;
		out->u.in.sin_port = htons((uint16_t)port);
		out->len = sizeof(out->u.in);
		if (inet_pton(AF_INET, host, &out->u.in.sin_addr) == 1)
			return true;
	}
	return errbuf_set(e, "\"%s\" is no address (names are not looked up): " ADDRESS_FORMS, text);
}

bool sock_is_local(const struct sock_addr *a) {
	switch (a->u.sa.sa_family) {
	case AF_INET:
		return ntohl(a->u.in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&a->u.in6.sin6_addr);
	default:
		return a->u.sa.sa_family == AF_UNIX;
	}
}

static void unix_text(const struct sock_addr *a, char out[SOCK_TEXT_MAX]) {
	size_t offset = offsetof(struct sockaddr_un, sun_path);
	size_t len = a->len > offset ? a->len - offset : 0;

	if (len == 0)
		snprintf(out, SOCK_TEXT_MAX, "unix:");
	else if (a->u.un.sun_path[0] == '\0')
		snprintf(out, SOCK_TEXT_MAX, "unix:@%.*s", (int)len - 1, a->u.un.sun_path + 1);
	else
		snprintf(out, SOCK_TEXT_MAX, "unix:%.*s", (int)len, a->u.un.sun_path);
}

void sock_text(const struct sock_addr *a, char out[SOCK_TEXT_MAX]) {
	char host[INET6_ADDRSTRLEN] = "";

	switch (a->u.sa.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &a->u.in.sin_addr, host, sizeof(host));
		snprintf(out, SOCK_TEXT_MAX, "%s:%u", host, ntohs(a->u.in.sin_port));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &a->u.in6.sin6_addr, host, sizeof(host));
		snprintf(out, SOCK_TEXT_MAX, "[%s]:%u", host, ntohs(a->u.in6.sin6_port));
		break;
	case AF_UNIX:
		unix_text(a, out);
		break;
	default:
		snprintf(out, SOCK_TEXT_MAX, "unknown");
	}
}

void sock_peer_text(const struct sock_peer *p, char out[SOCK_TEXT_MAX]) {
	char host[INET6_ADDRSTRLEN] = "";
	struct in6_addr ip;

	if (p->is_unix != 0) {
		snprintf(out, SOCK_TEXT_MAX, "unix:");
		return;
	}
	memcpy(&ip, p->ip, sizeof(ip));
	if (IN6_IS_ADDR_V4MAPPED(&ip))
		inet_ntop(AF_INET, p->ip + 12, host, sizeof(host));
	else
		inet_ntop(AF_INET6, &ip, host, sizeof(host));
	if (p->port == 0)
		snprintf(out, SOCK_TEXT_MAX, "%s", host);
	else
		snprintf(out, SOCK_TEXT_MAX, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, p->port);
}

/* Cuts the address out of "[ADDRESS]:PORT" and the like. */
static bool split_peer(struct slice text, struct slice *host, struct slice *port) {
	const uint8_t *colon = memchr(text.ptr, ':', text.len), *end;

	*host = text;
	*port = SLICE_EMPTY;
	if (text.ptr[0] == '[') {
		end = memchr(text.ptr, ']', text.len);
		if (end == NULL || memchr(text.ptr, ':', (size_t)(end - text.ptr)) == NULL)
			return false;
		*host = slice_of(text.ptr + 1, (size_t)(end - text.ptr) - 1);
		*port = slice_skip(text, host->len + 2);
	} else if (colon != NULL && memchr(colon + 1, ':', (size_t)(text.ptr + text.len - colon) - 1) == NULL) {
		host->len = (size_t)(colon - text.ptr);
		*port = slice_skip(text, host->len);
	}
	return true;
}

bool sock_peer_parse(struct slice text, struct sock_peer *out) {
	char name[INET6_ADDRSTRLEN];
	struct slice host, port;
	uint64_t number = 0;

	memset(out, 0, sizeof(*out));
	if (slice_eq_text(text, "unix:")) {
		out->is_unix = 1;
		return true;
	}
	if (text.len == 0 || !split_peer(text, &host, &port) || host.len >= sizeof(name) || memchr(host.ptr, '\0', host.len) != NULL)
		return false;
	if (port.len > 0 && (port.ptr[0] != ':' || !slice_to_u64(slice_skip(port, 1), &number) || number > UINT16_MAX))
		return false;
	memcpy(name, host.ptr, host.len);
	name[host.len] = '\0';
	out->port = (uint16_t)number;
	if (inet_pton(AF_INET6, name, out->ip) == 1)
		return true;
	out->ip[10] = out->ip[11] = 0xff;
	return inet_pton(AF_INET, name, out->ip + 12) == 1;
}

void sock_peer_of(const struct sock_addr *a, struct sock_peer *out) {
	memset(out, 0, sizeof(*out));
	switch (a->u.sa.sa_family) {
	case AF_INET:
		out->ip[10] = out->ip[11] = 0xff;
		memcpy(out->ip + 12, &a->u.in.sin_addr, 4);
		out->port = ntohs(a->u.in.sin_port);
		break;
	case AF_INET6:
		memcpy(out->ip, &a->u.in6.sin6_addr, 16);
		out->port = ntohs(a->u.in6.sin6_port);
		break;
	default:
		out->is_unix = 1;
	}
}

static int sock_new(const struct sock_addr *a) {
	return socket(a->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static bool is_unix(const struct sock_addr *a) {
	return a->u.sa.sa_family == AF_UNIX;
}

static bool is_unix_path(const struct sock_addr *a) {
	return is_unix(a) && a->u.un.sun_path[0] != '\0';
}

static void set_on(int fd, int level, int option) {
	setsockopt(fd, level, option, &(int){ 1 }, sizeof(int));
}

static bool refuse_listen(const struct sock_addr *a, int error, struct errbuf *e) {
	char text[SOCK_TEXT_MAX];

	sock_text(a, text);
	if (error == EADDRINUSE)
		return errbuf_set(e, "cannot listen on %s: another program listens there already", text);
	if (error == EADDRNOTAVAIL)
		return errbuf_set(e, "cannot listen on %s: this machine does not have that address", text);
	return errbuf_set(e, "cannot listen on %s: %s", text, strerror(error));
}

/* Connects to find out: a file of a server that has gone is refused by the kernel. */
static bool probe_unix(const struct sock_addr *a, struct errbuf *e) {
	struct stat st;
	int fd, error;

	if (is_unix_path(a)) {
		if (lstat(a->u.un.sun_path, &st) != 0)
			return errno == ENOENT || refuse_listen(a, errno, e);
		if (!S_ISSOCK(st.st_mode))
			return errbuf_set(e, "cannot listen on unix:%s: a file that is no socket has this name", a->u.un.sun_path);
	}
	fd = sock_connect(a);
	error = errno;
	if (fd >= 0) {
		close(fd);
		return refuse_listen(a, EADDRINUSE, e);
	}
	/* A full queue is somebody's queue. */
	if (error == EAGAIN)
		return refuse_listen(a, EADDRINUSE, e);
	if (error != ECONNREFUSED)
		return refuse_listen(a, error, e);
	if (is_unix_path(a) && unlink(a->u.un.sun_path) != 0)
		return refuse_listen(a, errno, e);
	return true;
}

/* Options both for the probe and for the real one: connections of a server that has just ended must not be in the way. */
static int sock_new_bindable(const struct sock_addr *a) {
	int fd = sock_new(a);

	if (fd < 0)
		return -1;
	if (!is_unix(a))
		set_on(fd, SOL_SOCKET, SO_REUSEADDR);
	/* So that 0.0.0.0 and [::] are two addresses that can be listed side by side. */
	if (a->u.sa.sa_family == AF_INET6)
		set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	return fd;
}

bool sock_probe_free(const struct sock_addr *a, struct errbuf *e) {
	bool is_free = true;
	int fd;

	if (is_unix(a))
		return probe_unix(a, e);
	fd = sock_new_bindable(a);
	if (fd < 0 || bind(fd, &a->u.sa, a->len) != 0)
		is_free = refuse_listen(a, errno, e);
	if (fd >= 0)
		close(fd);
	return is_free;
}

/* A name without a file, so that nothing stays behind. */
static struct sock_addr lock_name(const char *address) {
	struct sock_addr lock = { .u.un.sun_family = AF_UNIX };
	char name[sizeof(LOCK_PREFIX) + SOCK_TEXT_MAX];
	size_t room = sizeof(lock.u.un.sun_path) - 1, len = (size_t)snprintf(name, sizeof(name), "%s%s", LOCK_PREFIX, address);

	/* Of a path that is too long, the end tells it from others. */
	if (len > room) {
		memmove(name + strlen(LOCK_PREFIX), name + strlen(LOCK_PREFIX) + (len - room), room - strlen(LOCK_PREFIX));
		len = room;
	}
	memcpy(lock.u.un.sun_path + 1, name, len);
	lock.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
	return lock;
}

int sock_lock(const struct sock_addr *a, struct errbuf *e) {
	char text[SOCK_TEXT_MAX];
	struct sock_addr lock;
	int fd;

	sock_text(a, text);
	lock = lock_name(text);
	fd = sock_new(&lock);
	if (fd >= 0 && bind(fd, &lock.u.sa, lock.len) == 0)
		return fd;
	if (errno == EADDRINUSE)
		errbuf_set(e, "cannot listen on %s: another Herold listens there already", text);
	else
		errbuf_set(e, "cannot lock %s: %s", text, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

int sock_listen(struct sock_addr *a, int backlog, struct errbuf *e) {
	int fd = sock_new_bindable(a);

	if (fd < 0)
		goto fail;
	if (!is_unix(a)) {
		set_on(fd, SOL_SOCKET, SO_REUSEPORT);
		set_on(fd, IPPROTO_TCP, TCP_NODELAY);
		setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &(int){ NOTSENT_LOWAT_BYTES }, sizeof(int));
	}
	if (bind(fd, &a->u.sa, a->len) != 0)
		goto fail;
	/* Who may connect is decided by the folder: a proxy runs as another user. */
	if (is_unix_path(a) && chmod(a->u.un.sun_path, 0666) != 0)
		goto fail;
	if (listen(fd, backlog) != 0)
		goto fail;
	if (!is_unix(a)) {
		socklen_t len = sizeof(a->u);

		if (getsockname(fd, &a->u.sa, &len) != 0)
			goto fail;
	}
	return fd;
fail:
	refuse_listen(a, errno, e);
	if (fd >= 0)
		close(fd);
	return -1;
}

int sock_connect(const struct sock_addr *a) {
	int fd = sock_new(a), error;

	if (fd < 0)
		return -1;
	if (connect(fd, &a->u.sa, a->len) == 0 || errno == EINPROGRESS)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

int sock_accept(int listener, struct sock_peer *peer) {
	struct sock_addr a = { .len = sizeof(a.u) };
	int fd = accept4(listener, &a.u.sa, &a.len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0)
		sock_peer_of(&a, peer);
	return fd;
}

unsigned sock_waiting(int listener) {
	struct tcp_info info;
	socklen_t len = sizeof(info);

	/* Of a socket that listens this is the length of its queue. */
	if (getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 || info.tcpi_state != TCP_LISTEN)
		return 0;
	return info.tcpi_unacked;
}

void sock_reset_at_close(int fd) {
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/* All zeros when it cannot be asked. */
static void read_meminfo(int fd, uint32_t info[SK_MEMINFO_VARS]) {
	socklen_t len = SK_MEMINFO_VARS * sizeof(info[0]);

	memset(info, 0, len);
	(void)getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len);
}

size_t sock_memory_bytes(int fd) {
	uint32_t info[SK_MEMINFO_VARS];

	read_meminfo(fd, info);
	return (size_t)info[SK_MEMINFO_RMEM_ALLOC] + info[SK_MEMINFO_WMEM_QUEUED] + info[SK_MEMINFO_FWD_ALLOC];
}

size_t sock_untaken_bytes(int fd) {
	uint32_t info[SK_MEMINFO_VARS];

	read_meminfo(fd, info);
	return info[SK_MEMINFO_WMEM_QUEUED];
}
