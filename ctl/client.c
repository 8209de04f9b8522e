/* client - one HTTP request to the admin listener, bounded in time and size */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/svc/sock.h"
#include "ctl/ctl.h"

enum { ANSWER_BYTES_MAX = 64 << 20, REQUEST_BYTES_MAX = 64 << 20 };

struct exchange {
	int fd;
	int64_t until_ms;
	struct buf request, answer;
};

static int64_t now_ms(void) {
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- the way there --- */

/* HOST:PORT with a name. */
static bool look_up(const char *address, struct sock_addr *out, struct errbuf *e) {
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(address, ':');
	char host[CTL_ADDRESS_MAX + 1];
	struct addrinfo *found;
	int result;

	if (colon == NULL || colon == address || colon[1] == '\0')
		return errbuf_set(e, "\"%.200s\" is no address: want HOST:PORT, [IPV6]:PORT or unix:/PATH", address);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
	result = getaddrinfo(host, colon + 1, &hints, &found);
	if (result != 0)
		return errbuf_set(e, "%.200s: %s", address, gai_strerror(result));
	memcpy(&out->u, found->ai_addr, found->ai_addrlen);
	out->len = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
}

static bool wait_for(const struct exchange *x, short events, struct errbuf *e) {
	struct pollfd p = { .fd = x->fd, .events = events };
	int64_t left = x->until_ms - now_ms();
	int ready = left > 0 ? poll(&p, 1, (int)left) : 0;

	if (ready < 0)
		return errbuf_set(e, "%s", strerror(errno));
	return ready > 0 || errbuf_set(e, "no answer in time");
}

static bool send_all(const struct exchange *x, struct errbuf *e) {
	struct slice rest = buf_slice(&x->request);

	while (rest.len > 0) {
		ssize_t sent;

		if (!wait_for(x, POLLOUT, e))
			return false;
		sent = send(x->fd, rest.ptr, rest.len, MSG_NOSIGNAL);
		/* Who refuses a large body answers before it has it, and may be gone: the answer is there. */
		if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
			return true;
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return errbuf_set(e, "%s", strerror(errno));
		rest = slice_skip(rest, sent > 0 ? (size_t)sent : 0);
	}
	return true;
}

/* Until the other side ends. */
static bool receive_all(struct exchange *x, struct errbuf *e) {
	for (;;) {
		uint8_t *at = buf_reserve(&x->answer, 4096);
		ssize_t got;

		if (at == NULL)
			return errbuf_set(e, "the answer is larger than %d bytes", ANSWER_BYTES_MAX);
		if (!wait_for(x, POLLIN, e))
			return false;
		got = recv(x->fd, at, x->answer.cap - x->answer.len, 0);
		if (got == 0)
			return true;
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			/* What had come is judged. */
			return x->answer.len > 0 || errbuf_set(e, "%s", strerror(errno));
		x->answer.len += got > 0 ? (size_t)got : 0;
	}
}

/* --- the answer --- */

static bool find_length(struct slice head, uint64_t *out) {
	struct slice line;

	while (slice_next_part(&head, '\n', &line)) {
		struct slice name;

		if (slice_next_part(&line, ':', &name) && slice_eq_nocase(name, "content-length")) {
			if (line.len > 0 && line.ptr[line.len - 1] == '\r')
				line.len--;
			return slice_to_u64(slice_trim(line), out);
		}
	}
	return false;
}

/* HTTP/1.1 SSS ..., headers, and a body of the length that they say. */
static bool take_apart(const struct exchange *x, struct ctl_answer *out, struct errbuf *e) {
	struct slice all = buf_slice(&x->answer);
	const uint8_t *end = all.len > 0 ? memmem(all.ptr, all.len, "\r\n\r\n", 4) : NULL;
	uint64_t status, length;
	struct slice head;

	if (end == NULL || all.len < 12 || !slice_starts_with(all, "HTTP/1.") || !slice_to_u64(slice_of(all.ptr + 9, 3), &status))
		return errbuf_set(e, all.len == 0 ? "the connection ended before an answer" : "this is no answer in HTTP");
	head = slice_of(all.ptr, (size_t)(end - all.ptr) + 2);
	all = slice_skip(all, head.len + 2);
	if (!find_length(head, &length) || length > all.len)
		return errbuf_set(e, "the answer is not complete");
	out->status = (unsigned)status;
	buf_add(&out->body, slice_of(all.ptr, (size_t)length));
	return true;
}

/* --- all of it --- */

static void write_request(struct buf *b, const struct ctl_server *s, const char *path, const struct slice *body) {
	bool is_unix = strncmp(s->address, "unix:", 5) == 0;

	buf_addf(b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nUser-Agent: herold-ctl/" HEROLD_VERSION "\r\n", body != NULL ? "POST" : "GET",
	    path, is_unix ? "localhost" : s->address);
	if (s->token[0] != '\0')
		buf_addf(b, "Authorization: Bearer %s\r\n", s->token);
	if (body != NULL)
		buf_addf(b, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body->len);
	buf_add_text(b, "\r\n");
	if (body != NULL)
		buf_add(b, *body);
}

bool ctl_request(const struct ctl_server *s, const char *path, const struct slice *body, unsigned timeout_ms, struct ctl_answer *out,
    struct errbuf *e) {
	struct exchange x = { .until_ms = now_ms() + timeout_ms };
	struct sock_addr address;
	struct errbuf why;
	bool is_done;

	buf_init(&out->body, ANSWER_BYTES_MAX);
	if (!sock_parse(s->address, &address, &why) && !look_up(s->address, &address, e))
		return false;
	x.fd = sock_connect(&address);
	if (x.fd < 0)
		return errbuf_set(e, "%.200s: %s", s->address, strerror(errno));
	buf_init(&x.request, REQUEST_BYTES_MAX);
	buf_init(&x.answer, ANSWER_BYTES_MAX);
	write_request(&x.request, s, path, body);
	is_done = send_all(&x, &why) && receive_all(&x, &why) && take_apart(&x, out, &why);
	if (!is_done)
		errbuf_set(e, "%.200s: %.200s", s->address, why.text);
	close(x.fd);
	explicit_bzero(x.request.data, x.request.len);
	buf_fini(&x.request);
	buf_fini(&x.answer);
	return is_done;
}
