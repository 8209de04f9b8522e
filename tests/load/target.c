/* target - ws://HOST:PORT/PATH taken apart and resolved */
#include "tests/load/target.h"

#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#include "common/base/slice.h"

static bool parse_port(struct target *t, const char *text, size_t len, struct errbuf *err) {
	uint64_t port;

	if (!slice_to_u64(slice_of(text, len), &port) || port < 1 || port > 65535)
		return errbuf_set(err, "\"%.*s\" is no port: a number from 1 to 65535", (int)len, text);
	t->port = (uint16_t)port;
	return true;
}

/* HOST, HOST:PORT, [IPv6] or [IPv6]:PORT; `len` bytes. */
static bool parse_authority(struct target *t, const char *text, size_t len, struct errbuf *err) {
	const char *host = text, *end = text + len, *host_end, *colon;

	if (memchr(text, '@', len) != NULL)
		return errbuf_set(err, "a URL with a user or password is not possible; --token is");
	if (len > 0 && text[0] == '[') {
		host = text + 1;
		host_end = memchr(host, ']', len - 1);
		if (host_end == NULL || (host_end + 1 < end && host_end[1] != ':'))
			return errbuf_set(err, "\"%.*s\": an IPv6 address stands in brackets, and a port behind them: [::1]:8080", (int)len, text);
		t->is_literal = true;
		colon = host_end + 1 < end ? host_end + 1 : NULL;
	} else {
		colon = memchr(text, ':', len);
		host_end = colon != NULL ? colon : end;
		if (colon != NULL && memchr(colon + 1, ':', (size_t)(end - colon - 1)) != NULL)
			return errbuf_set(err, "\"%.*s\": an IPv6 address stands in brackets: [::1]:8080", (int)len, text);
	}
	if (host_end == host)
		return errbuf_set(err, "the URL has no host");
	if (host_end - host > TARGET_HOST_MAX)
		return errbuf_set(err, "the host's name is longer than %d bytes", TARGET_HOST_MAX);
	memcpy(t->host, host, (size_t)(host_end - host));
	t->port = t->is_tls ? 443 : 80;
	return colon == NULL || parse_port(t, colon + 1, (size_t)(end - colon - 1), err);
}

bool target_parse(struct target *t, const char *url, struct errbuf *err) {
	const char *rest;
	size_t len;

	*t = (struct target){ .is_tls = strncmp(url, "wss://", 6) == 0 };
	if (!t->is_tls && strncmp(url, "ws://", 5) != 0)
		return errbuf_set(err, "\"%s\": the URL begins with ws:// or wss://", url);
	for (const char *p = url; *p != '\0'; p++) {
		if (*p <= ' ' || *p > '~')
			return errbuf_set(err, "\"%s\": blanks and other than ASCII characters have to be percent-encoded", url);
	}
	if (strchr(url, '#') != NULL)
		return errbuf_set(err, "\"%s\": the URL of a WebSocket has no fragment (RFC 6455, 3)", url);
	rest = url + (t->is_tls ? 6 : 5);
	len = strcspn(rest, "/?");
	if (!parse_authority(t, rest, len, err))
		return false;
	/* A query without a path before it is one of the root. */
	if ((size_t)snprintf(t->path, sizeof(t->path), "%s%s", rest[len] == '?' ? "/" : "", rest + len) >= sizeof(t->path))
		return errbuf_set(err, "the URL's path is longer than %d bytes", TARGET_PATH_MAX);
	return true;
}

bool target_resolve(struct target *t, struct errbuf *err) {
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	char port[8];
	int status;

	snprintf(port, sizeof(port), "%u", t->port);
	status = getaddrinfo(t->host, port, &hints, &found);
	if (status != 0)
		return errbuf_set(err, "%s has no address: %s", t->host, gai_strerror(status));
	memcpy(&t->address, found->ai_addr, found->ai_addrlen);
	t->address_len = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
}
