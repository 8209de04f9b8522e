/* server - where the admin listener is, and its token */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"

#define DEFAULT_ADDRESS "127.0.0.1:8081"

enum { FILE_BYTES_MAX = 1 << 20 };

bool ctl_read_file(const char *name, struct buf *out, struct errbuf *e) {
	bool is_input = strcmp(name, "-") == 0;
	int fd = is_input ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	ssize_t got = 1;
	uint8_t *at;

	if (fd < 0)
		return errbuf_set(e, "%.300s: %s", name, strerror(errno));
	while (got > 0 && (at = buf_reserve(out, 1)) != NULL) {
		got = read(fd, at, out->cap - out->len);
		out->len += got > 0 ? (size_t)got : 0;
	}
	if (got < 0)
		errbuf_set(e, "%.300s: %s", is_input ? "standard input" : name, strerror(errno));
	else if (out->failed)
		errbuf_set(e, "%.300s: larger than %zu bytes", is_input ? "standard input" : name, out->max);
	if (!is_input)
		close(fd);
	return got == 0 && !out->failed;
}

/* --- the configuration file --- */

/* A text, or the first of a list. */
static const char *text_of(const json_t *root, const char *name) {
	const json_t *value = json_object_get(root, name);

	if (json_is_array(value))
		value = json_array_get(value, 0);
	return json_string_value(value);
}

static const char *environment(const char *name) {
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

/* *root: owned; NULL without a file. */
static bool read_config(const struct ctl *c, json_t **root, struct errbuf *e) {
	const char *name = c->value[OPTION_config];
	json_error_t error;
	struct buf text;
	bool is_read;

	*root = NULL;
	if (name == NULL)
		return true;
	buf_init(&text, FILE_BYTES_MAX);
	is_read = ctl_read_file(name, &text, e);
	if (is_read) {
		*root = json_loadb((const char *)text.data, text.len, 0, &error);
		if (!json_is_object(*root))
			is_read = errbuf_set(e, "%.300s: it is no JSON object%s%.100s", name, *root == NULL ? ": " : "",
			    *root == NULL ? error.text : "");
	}
	buf_fini(&text);
	return is_read;
}

/* --- what is used --- */

/* The first of a list, as admin_listen may be one. */
static bool use_address(struct ctl_server *s, const char *text, struct errbuf *e) {
	size_t len = strcspn(text, ",");

	if (strncmp(text, "http://", 7) == 0) {
		text += 7;
		len = strcspn(text, ",/");
	}
	if (len == 0 || len > CTL_ADDRESS_MAX)
		return errbuf_set(e, "the address of the server is empty or longer than %d bytes", CTL_ADDRESS_MAX);
	memcpy(s->address, text, len);
	s->address[len] = '\0';
	return true;
}

/* A header is made of it: nothing but what the server takes for a token, too. */
static bool use_token(struct ctl_server *s, struct slice text, struct errbuf *e) {
	while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
		text.len--;
	if (text.len == 0 || text.len > CTL_TOKEN_MAX)
		return errbuf_set(e, "the token is empty or longer than %d bytes", CTL_TOKEN_MAX);
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f)
			return errbuf_set(e, "the token has a blank or something that is not ASCII");
	}
	memcpy(s->token, text.ptr, text.len);
	s->token[text.len] = '\0';
	return true;
}

static bool use_token_file(struct ctl_server *s, const char *name, struct errbuf *e) {
	struct buf text;
	bool is_good;

	buf_init(&text, 4096);
	is_good = ctl_read_file(name, &text, e) && use_token(s, buf_slice(&text), e);
	explicit_bzero(text.data, text.len);
	buf_fini(&text);
	return is_good;
}

static bool find_address(const struct ctl *c, const json_t *config, struct ctl_server *out, struct errbuf *e) {
	const char *places[] = { c->value[OPTION_server], environment("HEROLD_CTL_ADDRESS"), text_of(config, "admin_listen"),
		environment("HEROLD_ADMIN_LISTEN"), DEFAULT_ADDRESS };
	size_t i = 0;

	while (places[i] == NULL)
		i++;
	return use_address(out, places[i], e);
}

static bool find_token(const struct ctl *c, const json_t *config, struct ctl_server *out, struct errbuf *e) {
	const struct {
		const char *text;
		bool is_file;
	} places[] = { { c->value[OPTION_token_file], true }, { environment("HEROLD_ADMIN_TOKEN"), false },
		{ environment("HEROLD_ADMIN_TOKEN_FILE"), true }, { text_of(config, "admin_token"), false },
		{ text_of(config, "admin_token_file"), true } };

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		if (places[i].text != NULL)
			return places[i].is_file ? use_token_file(out, places[i].text, e) : use_token(out, slice_text(places[i].text), e);
	}
	return true;
}

bool ctl_find_server(const struct ctl *c, struct ctl_server *out, struct errbuf *e) {
	json_t *config;
	bool is_good;

	*out = (struct ctl_server){ .address = "" };
	is_good = read_config(c, &config, e) && find_address(c, config, out, e) && find_token(c, config, out, e);
	json_decref(config);
	return is_good;
}
