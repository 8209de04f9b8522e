/*
 * fuzz_origin - which pages may connect, under which names this server may be asked
 *
 * Input, a line each: origins of the operator, apart by blanks; his hosts; Host; then Origin headers, the first of which counts.
 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>

#include "server/auth/origin.h"

enum { ITEMS_MAX = 8, TEXT_MAX = 4096 };

struct words {
	char *item[ITEMS_MAX];
	size_t count;
};

static void words_init(struct words *w, struct slice line) {
	struct slice part;

	w->count = 0;
	while (w->count < ITEMS_MAX && slice_next_part(&line, ' ', &part)) {
		if (part.len > 0)
			w->item[w->count++] = slice_dup_text(part);
	}
}

static void words_fini(struct words *w) {
	for (size_t i = 0; i < w->count; i++)
		mem_free(w->item[i]);
}

/* --- the same questions, asked of texts --- */

struct text {
	char is[TEXT_MAX];
};

static bool is_text(struct slice s) {
	return s.len < TEXT_MAX && (s.len == 0 || memchr(s.ptr, '\0', s.len) == NULL);
}

/* What the text has behind its host, if it is an origin with this scheme. */
static char *port_of(char *origin, const char *scheme) {
	size_t len = strlen(scheme);
	char *host, *end;

	if (strncmp(origin, scheme, len) != 0)
		return NULL;
	host = origin + len;
	end = strchr(host, ']');
	return *host == '[' && end != NULL ? end + 1 : host + strcspn(host, ":");
}

/* In lower case; of an origin without the port that goes without saying. False: it is no text. */
static bool lower(struct text *out, struct slice s) {
	char *port;

	if (!is_text(s))
		return false;
	for (size_t i = 0; i < s.len; i++)
		out->is[i] = (char)(s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? s.ptr[i] + 0x20 : s.ptr[i]);
	out->is[s.len] = '\0';
	if ((port = port_of(out->is, "http://")) != NULL && strcmp(port, ":80") == 0)
		*port = '\0';
	if ((port = port_of(out->is, "https://")) != NULL && strcmp(port, ":443") == 0)
		*port = '\0';
	return true;
}

/* `pattern` is a name, or has "*." in the place where `whole` has one label or more and a dot. */
static bool fits(const char *pattern, const char *whole) {
	const char *star = strstr(pattern, "*.");
	size_t before = star != NULL ? (size_t)(star - pattern) : 0, behind = star != NULL ? strlen(star + 1) : 0;

	if (star == NULL)
		return strcmp(pattern, whole) == 0;
	return strlen(whole) > before + behind && strncmp(pattern, whole, before) == 0 && whole[before] != '.' &&
	    strcmp(whole + strlen(whole) - behind, star + 1) == 0;
}

static bool is_same_host(const char *origin, struct slice host) {
	static const char *const schemes[] = { "http://", "https://" };

	for (size_t i = 0; is_text(host) && i < ARRAY_LEN(schemes); i++) {
		char whole[TEXT_MAX + 8];
		struct text own;

		snprintf(whole, sizeof(whole), "%s%.*s", schemes[i], SLICE_ARGS(host));
		if (lower(&own, slice_text(whole)) && strcmp(own.is, origin) == 0)
			return true;
	}
	return false;
}

static bool is_listed(const struct words *list, const char *origin) {
	for (size_t i = 0; i < list->count; i++) {
		struct text pattern;

		if (lower(&pattern, slice_text(list->item[i])) && strcmp(pattern.is, "*") != 0 && fits(pattern.is, origin))
			return true;
	}
	return false;
}

/* --- Origin --- */

static bool has_word(const struct words *list, const char *word) {
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->item[i], word) == 0)
			return true;
	}
	return false;
}

/* Well-formed, and not that of those who are welcome. */
static bool is_another(const char *why) {
	return slice_starts_with(slice_text(why), "pages of another host") || slice_starts_with(slice_text(why), "pages of this Origin");
}

static void check_origin(const struct words *words, const char *why, struct slice origin, struct slice host) {
	const char *authority;
	bool is_expected;
	struct text text;

	if (has_word(words, "*")) {
		BUG_ON(why != NULL);
		return;
	}
	if (why != NULL && !is_another(why))
		return;
	BUG_ON(!lower(&text, origin));
	is_expected = words->count == 0 ? is_same_host(text.is, host) : is_listed(words, text.is);
	BUG_ON((why == NULL) != is_expected);
	authority = strstr(text.is, "://");
	if (why == NULL && authority != NULL)
		BUG_ON(strpbrk(authority + 3, "/@?#\\% \t\r\n") != NULL);
}

static void fuzz_origins(const struct words *words, struct slice host, struct slice origin, size_t count) {
	struct origin_list list;
	const char *why;
	struct errbuf e;

	if (!origins_init(&list, words->item, words->count, &e)) {
		BUG_ON(e.text[0] == '\0' || list.item != NULL);
		return;
	}
	why = origin_refusal(&list, origin, count, host);
	BUG_ON(count == 0 && why != NULL);
	BUG_ON(count > 1 && why == NULL);
	if (count == 1)
		check_origin(words, why, origin, host);
	origin_list_fini(&list);
}

/* --- Host --- */

/* Any port is welcome where none is said. */
static bool is_name(const struct words *list, const struct text *host) {
	const char *colon = strrchr(host->is, ':'), *bracket = strrchr(host->is, ']');
	struct text bare = *host;

	if (colon != NULL && (bracket == NULL || colon > bracket))
		bare.is[colon - host->is] = '\0';
	for (size_t i = 0; i < list->count; i++) {
		struct text pattern;

		if (lower(&pattern, slice_text(list->item[i])) && (fits(pattern.is, host->is) || fits(pattern.is, bare.is)))
			return true;
	}
	return false;
}

static void fuzz_hosts(const struct words *words, struct slice host) {
	struct origin_list list;
	const char *why;
	struct text text;
	struct errbuf e;

	if (!hosts_init(&list, words->item, words->count, &e)) {
		BUG_ON(e.text[0] == '\0' || list.item != NULL);
		return;
	}
	why = host_refusal(&list, host);
	BUG_ON(words->count == 0 && why != NULL);
	if (words->count > 0 && why == NULL)
		BUG_ON(!lower(&text, host) || !is_name(words, &text));
	origin_list_fini(&list);
	/* Nobody else can have such a name. */
	if (host_is_own(host)) {
		BUG_ON(!lower(&text, host));
		BUG_ON(strncmp(text.is, "localhost", 9) != 0 && text.is[0] != '[' &&
		    text.is[strspn(text.is, "0123456789.:")] != '\0');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct slice input = slice_of(data, size), line = SLICE_EMPTY, part, origin = SLICE_EMPTY;
	struct slice host = SLICE_EMPTY;
	struct words origins, hosts;
	uint8_t *copy;
	size_t count = 0;

	(void)slice_next_part(&input, '\n', &line);
	words_init(&origins, line);
	line = SLICE_EMPTY;
	(void)slice_next_part(&input, '\n', &line);
	words_init(&hosts, line);
	(void)slice_next_part(&input, '\n', &host);
	while (slice_next_part(&input, '\n', &part)) {
		if (count++ == 0)
			origin = part;
	}
	/* In memory of exactly their sizes. */
	copy = mem_dup(origin.ptr, origin.len);
	fuzz_origins(&origins, host, slice_of(copy, origin.len), count);
	mem_free(copy);
	copy = mem_dup(host.ptr, host.len);
	fuzz_hosts(&hosts, slice_of(copy, host.len));
	mem_free(copy);
	words_fini(&origins);
	words_fini(&hosts);
	return 0;
}
