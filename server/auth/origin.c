/* origin - Origin and Host against the operator's lists */
#include "server/auth/origin.h"

#include "common/base/mem.h"

static bool is_alnum(uint8_t c) {
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_all(struct slice s, const char *others) {
	for (size_t i = 0; i < s.len; i++) {
		if (!is_alnum(s.ptr[i]) && (s.ptr[i] == '\0' || strchr(others, s.ptr[i]) == NULL))
			return false;
	}
	return s.len > 0;
}

static bool is_same(struct slice a, struct slice b) {
	for (size_t i = 0; a.len == b.len && i < a.len; i++) {
		uint8_t x = a.ptr[i], y = b.ptr[i];

		if (x != y && ((x ^ y) != 0x20 || !is_alnum(x) || x < 'A'))
			return false;
	}
	return a.len == b.len;
}

static bool is_port(struct slice s) {
	uint64_t number;

	return s.len <= 5 && slice_to_u64(s, &number) && number > 0 && number <= UINT16_MAX;
}

/* HOST[:PORT]: a name, an IPv4 address, or an IPv6 address in brackets. */
static bool take_host(struct slice text, struct origin *out) {
	const uint8_t *end;
	struct slice rest;

	if (text.len > 0 && text.ptr[0] == '[') {
		end = memchr(text.ptr, ']', text.len);
		if (end == NULL || !is_all(slice_of(text.ptr + 1, (size_t)(end - text.ptr) - 1), ":."))
			return false;
		out->host = slice_of(text.ptr, (size_t)(end - text.ptr) + 1);
	} else {
		end = text.len > 0 ? memchr(text.ptr, ':', text.len) : NULL;
		out->host = slice_of(text.ptr, end != NULL ? (size_t)(end - text.ptr) : text.len);
		if (!is_all(out->host, "-._"))
			return false;
	}
	rest = slice_skip(text, out->host.len);
	out->port = rest.len > 0 ? slice_skip(rest, 1) : SLICE_EMPTY;
	return rest.len == 0 || (rest.ptr[0] == ':' && is_port(out->port));
}

static bool is_web(struct slice scheme) {
	return slice_eq_nocase(scheme, "http") || slice_eq_nocase(scheme, "https");
}

/* The port that this scheme has without being said. */
static bool is_default(struct slice scheme, struct slice port) {
	return (slice_eq_nocase(scheme, "http") && slice_eq_text(port, "80")) ||
	    (slice_eq_nocase(scheme, "https") && slice_eq_text(port, "443"));
}

static struct slice without_default(struct slice scheme, struct slice port) {
	return is_default(scheme, port) ? SLICE_EMPTY : port;
}

/* The host is still to be taken. */
static bool take_scheme(struct slice *text, struct origin *out) {
	static const char mark[] = "://";
	const uint8_t *colon = text->len > 0 ? memchr(text->ptr, ':', text->len) : NULL;
	struct slice rest;

	if (colon == NULL)
		return false;
	out->scheme = slice_of(text->ptr, (size_t)(colon - text->ptr));
	rest = slice_skip(*text, out->scheme.len);
	if (!is_all(out->scheme, "+-.") || !slice_starts_with(rest, mark))
		return false;
	*text = slice_skip(rest, sizeof(mark) - 1);
	return true;
}

static bool take_origin(struct slice text, struct origin *out) {
	*out = (struct origin){ .is_pattern = false };
	if (!take_scheme(&text, out) || !take_host(text, out))
		return false;
	out->port = without_default(out->scheme, out->port);
	return true;
}

/* --- the lists --- */

static bool take_pattern(struct slice text, bool has_scheme, struct origin *out) {
	*out = (struct origin){ .is_pattern = false };
	if (has_scheme && !take_scheme(&text, out))
		return false;
	out->is_pattern = slice_starts_with(text, "*.");
	if (!take_host(out->is_pattern ? slice_skip(text, 2) : text, out))
		return false;
	if (out->is_pattern && out->host.ptr[0] == '[')
		return false;
	out->port = without_default(out->scheme, out->port);
	return true;
}

static bool list_init(struct origin_list *l, char *const *text, size_t count, bool has_scheme, struct errbuf *e) {
	*l = (struct origin_list){ .item = count > 0 ? mem_alloc(count * sizeof(*l->item)) : NULL };
	for (size_t i = 0; i < count; i++) {
		if (has_scheme && strcmp(text[i], "*") == 0) {
			l->has_any = true;
		} else if (has_scheme && strcmp(text[i], "null") == 0) {
			l->has_null = true;
		} else if (!take_pattern(slice_text(text[i]), has_scheme, &l->item[l->count++])) {
			origin_list_fini(l);
			return errbuf_set(e, has_scheme ? "\"%.200s\" is no origin: want SCHEME://HOST[:PORT], SCHEME://*.HOST[:PORT], * or null" :
				"\"%.200s\" is no host: want HOST[:PORT] or *.HOST[:PORT]", text[i]);
		}
	}
	return true;
}

bool origins_init(struct origin_list *l, char *const *text, size_t count, struct errbuf *e) {
	return list_init(l, text, count, true, e);
}

bool hosts_init(struct origin_list *l, char *const *text, size_t count, struct errbuf *e) {
	return list_init(l, text, count, false, e);
}

void origin_list_fini(struct origin_list *l) {
	mem_free(l->item);
	*l = (struct origin_list){ .item = NULL };
}

/* --- one request --- */

/* A pattern has every name below its own, but not that. */
static bool fits_host(const struct origin *pattern, struct slice host) {
	size_t more;

	if (!pattern->is_pattern)
		return is_same(pattern->host, host);
	if (host.len < pattern->host.len + 2)
		return false;
	more = host.len - pattern->host.len;
	return host.ptr[more - 1] == '.' && host.ptr[0] != '.' && is_same(pattern->host, slice_skip(host, more));
}

static bool has_origin(const struct origin_list *l, const struct origin *o) {
	for (size_t i = 0; i < l->count; i++) {
		const struct origin *p = &l->item[i];

		if (is_same(p->scheme, o->scheme) && slice_eq(p->port, o->port) && fits_host(p, o->host))
			return true;
	}
	return false;
}

/* The scheme is the page's: what stands in front of us may have taken TLS off. */
static bool is_same_host(const struct origin *o, struct slice host) {
	struct origin own = { .is_pattern = false };

	return is_web(o->scheme) && take_host(host, &own) && is_same(o->host, own.host) &&
	    slice_eq(o->port, without_default(o->scheme, own.port));
}

const char *origin_refusal(const struct origin_list *l, struct slice origin, size_t count, struct slice host) {
	struct origin o;

	if (count == 0 || (l->has_any && count == 1))
		return NULL;
	if (count > 1)
		return "there is more than one Origin header";
	if (slice_eq_text(origin, "null"))
		return l->has_null ? NULL : "pages without an origin of their own (Origin: null) may not connect here (option origins)";
	if (!take_origin(origin, &o))
		return "the Origin header is malformed";
	if (l->count == 0 && !l->has_null)
		return is_same_host(&o, host) ? NULL :
		    "pages of another host may not connect here: their Origin is not this Host (option origins; a proxy has to pass Host on)";
	return has_origin(l, &o) ? NULL : "pages of this Origin may not connect here (option origins)";
}

const char *host_refusal(const struct origin_list *l, struct slice host) {
	struct origin asked = { .is_pattern = false };

	if (l->count == 0)
		return NULL;
	if (take_host(host, &asked)) {
		for (size_t i = 0; i < l->count; i++) {
			const struct origin *p = &l->item[i];

			if (fits_host(p, asked.host) && (p->port.len == 0 || slice_eq(p->port, asked.port)))
				return NULL;
		}
	}
	return "this server does not go by the name in the Host header (option hosts)";
}

bool host_is_own(struct slice host) {
	struct origin asked = { .is_pattern = false };
	size_t dots = 0;

	if (!take_host(host, &asked))
		return false;
	if (asked.host.ptr[0] == '[' || slice_eq_nocase(asked.host, "localhost"))
		return true;
	for (size_t i = 0; i < asked.host.len; i++) {
		if (asked.host.ptr[i] == '.')
			dots++;
		else if (asked.host.ptr[i] < '0' || asked.host.ptr[i] > '9')
			return false;
	}
	return dots == 3;
}
