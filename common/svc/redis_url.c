/* redis_url - the address of a Redis server, as people write it */
#include "common/svc/redis_url.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/codec.h"
#include "common/base/mem.h"

enum {
	REDIS_PORT = 6379,
	HOST_MAX = 253,		/* RFC 1035, 2.3.4 */
	PATH_MAX_BYTES = 107,	/* of a unix socket */
	SECRET_MAX = 1024,
};

/* Cuts what is before `separator`, and the separator, off the front of *rest; false when there is none. */
static bool cut(struct slice *rest, uint8_t separator, struct slice *before) {
	const uint8_t *at = rest->len > 0 ? memchr(rest->ptr, separator, rest->len) : NULL;

	if (at == NULL)
		return false;
	*before = slice_of(rest->ptr, (size_t)(at - rest->ptr));
	*rest = slice_skip(*rest, before->len + 1);
	return true;
}

static bool is_name_byte(uint8_t c) {
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_';
}

static bool is_name(struct slice name) {
	for (size_t i = 0; i < name.len; i++) {
		if (!is_name_byte(name.ptr[i]))
			return false;
	}
	return name.len > 0 && name.len <= HOST_MAX;
}

static bool is_ipv6(struct slice text) {
	char copy[INET6_ADDRSTRLEN];
	struct in6_addr ip;

	if (text.len >= sizeof(copy) || (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL))
		return false;
	snprintf(copy, sizeof(copy), "%.*s", SLICE_ARGS(text));
	return inet_pton(AF_INET6, copy, &ip) == 1;
}

bool redis_url_parse_host(struct slice text, uint16_t port, char **host, uint16_t *port_out, struct errbuf *e) {
	struct slice name = text, digits = text;
	uint64_t number = port;
	bool has_port;

	if (text.len > 0 && text.ptr[0] == '[') {
		digits = slice_skip(text, 1);
		if (!cut(&digits, ']', &name) || !is_ipv6(name))
			return errbuf_set(e, "what is in [] is no IPv6 address");
		has_port = digits.len > 0;
		if (has_port && digits.ptr[0] != ':')
			return errbuf_set(e, "behind ] only a port may follow");
		digits = has_port ? slice_skip(digits, 1) : digits;
	} else {
		has_port = cut(&digits, ':', &name);
		if (!is_name(name))
			return errbuf_set(e, "the host is missing, or is no name and no address");
	}
	if (has_port && (!slice_to_u64(digits, &number) || number == 0 || number > UINT16_MAX))
		return errbuf_set(e, "the port is none, 1 to 65535");
	*host = slice_dup_text(name);
	*port_out = (uint16_t)number;
	return true;
}

/* Returns owned; NULL when the escapes are broken, or a NUL or too much is in it. */
static char *decode(struct slice text, size_t max) {
	struct buf out;
	char *copy = NULL;

	buf_init(&out, max);
	if (percent_decode(text, false, &out) && !out.failed && (out.len == 0 || memchr(out.data, '\0', out.len) == NULL))
		copy = slice_dup_text(buf_slice(&out));
	buf_fini(&out);
	return copy;
}

static bool parse_secrets(struct slice text, struct redis_url *out, struct errbuf *e) {
	struct slice user, password = text;

	/* Clients differ in what a lone word is; so it has to be said. */
	if (!cut(&password, ':', &user) || password.len == 0)
		return errbuf_set(e, "before @ stands USER:PASSWORD or :PASSWORD");
	out->password = decode(password, SECRET_MAX);
	if (user.len > 0)
		out->user = decode(user, SECRET_MAX);
	if (out->password == NULL || (user.len > 0 && out->user == NULL))
		return errbuf_set(e, "user or password are not well percent-encoded, or too long");
	return true;
}

static bool parse_database(struct slice text, struct redis_url *out, struct errbuf *e) {
	uint64_t number = 0;

	if (text.len > 0 && (!slice_to_u64(text, &number) || number > UINT16_MAX))
		return errbuf_set(e, "the database is no number, 0 to 65535");
	out->database = (uint16_t)number;
	return true;
}

/* What follows ? is the database, or nothing. */
static bool parse_query(struct slice query, struct redis_url *out, struct errbuf *e) {
	if (query.len == 0)
		return true;
	if (!slice_starts_with(query, "db=") || query.len == strlen("db="))
		return errbuf_set(e, "behind ? only db=NUMBER may follow");
	return parse_database(slice_skip(query, strlen("db=")), out, e);
}

static bool parse_path(struct slice path, struct redis_url *out, struct errbuf *e) {
	out->path = decode(path, PATH_MAX_BYTES);
	if (out->path == NULL || path.len < 2)
		return errbuf_set(e, "a unix socket's path has 2 to %d bytes", PATH_MAX_BYTES);
	return true;
}

/* authority: what stands before the first /; path: from there on. */
static bool parse_place(struct slice scheme, struct slice authority, struct slice path, struct slice query,
    struct redis_url *out, struct errbuf *e) {
	bool is_unix = slice_eq_nocase(scheme, "unix");

	out->is_tls = slice_eq_nocase(scheme, "rediss");
	if (!is_unix && !out->is_tls && !slice_eq_nocase(scheme, "redis"))
		return errbuf_set(e, "it begins with none of redis://, rediss://, unix://");
	if (!parse_query(query, out, e))
		return false;
	if (authority.len == 0 && path.len > 0 && !out->is_tls)
		return parse_path(path, out, e);
	if (is_unix)
		return errbuf_set(e, "a unix socket has no host: unix:///PATH");
	if (!redis_url_parse_host(authority, REDIS_PORT, &out->host, &out->port, e))
		return false;
	if (path.len <= 1)
		return true;
	if (query.len > 0)
		return errbuf_set(e, "the database stands there twice");
	return parse_database(slice_skip(path, 1), out, e);
}

bool redis_url_parse(struct slice text, struct redis_url *out, struct errbuf *e) {
	struct slice scheme, secrets, rest = text, query = SLICE_EMPTY, before;
	struct slice authority, path = SLICE_EMPTY;
	const uint8_t *slash;

	memset(out, 0, sizeof(*out));
	if (!cut(&rest, ':', &scheme) || !slice_starts_with(rest, "//"))
		return errbuf_set(e, "want redis://USER:PASSWORD@HOST:PORT/DATABASE, rediss:// or unix:///PATH");
	rest = slice_skip(rest, 2);
	if (cut(&rest, '?', &before)) {
		query = rest;
		rest = before;
	}
	slash = rest.len > 0 ? memchr(rest.ptr, '/', rest.len) : NULL;
	authority = slash == NULL ? rest : slice_of(rest.ptr, (size_t)(slash - rest.ptr));
	if (slash != NULL)
		path = slice_skip(rest, authority.len);
	if ((cut(&authority, '@', &secrets) && !parse_secrets(secrets, out, e)) ||
	    !parse_place(scheme, authority, path, query, out, e)) {
		redis_url_fini(out);
		return false;
	}
	return true;
}

void redis_url_fini(struct redis_url *u) {
	mem_free(u->host);
	mem_free(u->path);
	mem_free(u->user);
	mem_free(u->password);
	memset(u, 0, sizeof(*u));
}

size_t redis_url_name(const struct redis_url *u, char *out, size_t size) {
	bool is_v6 = u->host != NULL && strchr(u->host, ':') != NULL;
	int len;

	if (u->host == NULL)
		len = snprintf(out, size, "unix:%s/%u", u->path, u->database);
	else
		len = snprintf(out, size, is_v6 ? "[%s]:%u/%u" : "%s:%u/%u", u->host, u->port, u->database);
	return (size_t)len < size ? (size_t)len : size - 1;
}
