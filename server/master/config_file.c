/* config_file - the operator's words, by precedence, into a struct config */
#include "server/master/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

#include "common/base/bundle.h"
#include "common/svc/log.h"
#include "server/auth/origin.h"

enum { FILE_BYTES_MAX = 1 << 20 };

/* Behind the string that begins at text[at]; the text is valid JSON. */
static size_t string_end(struct slice text, size_t at) {
	for (at++; at < text.len && text.ptr[at] != '"'; at++) {
		if (text.ptr[at] == '\\')
			at++;
	}
	return at + 1;
}

/* The line of the n-th key of the outermost object; jansson keeps no places. The text is valid JSON. */
static int line_of_key(struct slice text, size_t n) {
	int line = 1, depth = 0;
	bool is_key = false;

	for (size_t i = 0; i < text.len; i++) {
		switch (text.ptr[i]) {
		case '\n':
			line++;
			break;
		case '{':
		case '[':
			is_key = ++depth == 1;
			break;
		case '}':
		case ']':
			depth--;
			break;
		case ',':
			is_key = depth == 1;
			break;
		case '"':
			if (is_key && n-- == 0)
				return line;
			is_key = false;
			i = string_end(text, i) - 1;
			break;
		}
	}
	return line;
}

static bool list_text(json_t *array, struct buf *out, struct errbuf *e) {
	json_t *item;
	size_t i;

	json_array_foreach(array, i, item) {
		if (!json_is_string(item) || strchr(json_string_value(item), ',') != NULL)
			return errbuf_set(e, "an array holds strings without commas");
		if (i > 0)
			buf_add_u8(out, ',');
		buf_add_text(out, json_string_value(item));
	}
	return true;
}

/* The value in the form of config_set(). */
static bool value_text(struct slice name, json_t *value, struct buf *out, struct errbuf *e) {
	if (json_is_string(value)) {
		buf_add_text(out, json_string_value(value));
		return true;
	}
	if (json_is_integer(value)) {
		buf_addf(out, "%lld", (long long)json_integer_value(value));
		return true;
	}
	if (json_is_array(value) && config_is_list(name))
		return list_text(value, out, e);
	return errbuf_set(e, config_is_list(name) ? "want an array of strings, or a string with commas" :
	    "want a string or a whole number");
}

static bool set_one(struct config *c, const char *key, json_t *value, struct errbuf *e) {
	struct slice name = slice_text(key);
	struct errbuf why;
	struct buf text;
	bool is_set;

	if (!config_has_option(name))
		return config_set(c, name, SLICE_EMPTY, e);
	buf_init(&text, FILE_BYTES_MAX);
	if (!value_text(name, value, &text, &why))
		is_set = errbuf_set(e, "%s: %s", key, why.text);
	else
		is_set = config_set(c, name, buf_slice(&text), e);
	buf_fini(&text);
	return is_set;
}

bool config_file_parse(struct config *c, const char *file, struct slice text, struct errbuf *e) {
	json_error_t error;
	json_t *root = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, &error), *value;
	struct errbuf why;
	const char *key;
	size_t n = 0;
	bool is_good = true;

	if (root == NULL)
		return errbuf_set(e, "%s:%d: %s", file, error.line > 0 ? error.line : 1, error.text);
	if (!json_is_object(root))
		is_good = errbuf_set(e, "%s:1: want one JSON object", file);
	json_object_foreach(root, key, value) {
		if (!set_one(c, key, value, &why)) {
			is_good = errbuf_set(e, "%s:%d: %s", file, line_of_key(text, n), why.text);
			break;
		}
		n++;
	}
	json_decref(root);
	return is_good;
}

static bool read_file(const char *file, struct buf *out, struct errbuf *e) {
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t got = -1;

	while (fd >= 0) {
		uint8_t *at = buf_reserve(out, 65536);

		if (at == NULL) {
			close(fd);
			return errbuf_set(e, "%s: more than %d bytes", file, FILE_BYTES_MAX);
		}
		got = read(fd, at, 65536);
		if (got <= 0)
			break;
		out->len += (size_t)got;
	}
	if (got < 0)
		errbuf_set(e, "%s: %s", file, strerror(errno));
	if (fd >= 0)
		close(fd);
	return got == 0;
}

static bool load_file(struct config *c, const char *file, struct errbuf *e) {
	struct buf text;
	bool is_loaded;

	buf_init(&text, FILE_BYTES_MAX + 65536);
	is_loaded = read_file(file, &text, e) && config_file_parse(c, file, buf_slice(&text), e);
	bundle_fini(&text);
	return is_loaded;
}

static bool load_setting(struct config *c, const char *setting, struct errbuf *e) {
	const char *is = strchr(setting, '=');
	struct errbuf why;

	if (is == NULL || is == setting)
		return errbuf_set(e, "-o %.100s: want NAME=VALUE", setting);
	if (!config_set(c, slice_of(setting, (size_t)(is - setting)), slice_text(is + 1), &why))
		return errbuf_set(e, "-o: %.450s", why.text);
	return true;
}

static bool check_lists(const struct config *c, struct errbuf *e) {
	struct origin_list list;
	struct errbuf why;

	if (!origins_init(&list, c->origins.item, c->origins.count, &why))
		return errbuf_set(e, "origins: %.400s", why.text);
	origin_list_fini(&list);
	if (!hosts_init(&list, c->hosts.item, c->hosts.count, &why))
		return errbuf_set(e, "hosts: %.400s", why.text);
	origin_list_fini(&list);
	return true;
}

bool config_load(struct config *out, const struct config_source *source, struct errbuf *e) {
	config_init(out);
	if (source->file != NULL && !load_file(out, source->file, e))
		return false;
	if (!config_set_environment(out, source->environment, e))
		return false;
	for (size_t i = 0; i < source->setting_count; i++) {
		if (!load_setting(out, source->settings[i], e))
			return false;
	}
	if (out->tls_self_signed == SWITCH_ON && out->tls_listen.count == 0 &&
	    !config_set(out, slice_text("tls_listen"), slice_text("0.0.0.0:8443"), e))
		return false;
	return config_check(out, e) && check_lists(out, e);
}

bool config_load_admin_token(const struct config *c, struct admin_token *out, struct errbuf *e) {
	const char *file = c->admin_token_file;
	struct errbuf why;
	struct buf text;
	bool is_good;

	*out = (struct admin_token){ .is_set = false };
	if (c->admin_token[0] != '\0')
		return admin_token_set(out, slice_text(c->admin_token), &why) || errbuf_set(e, "admin_token: %.200s", why.text);
	if (file[0] == '\0')
		return true;
	buf_init(&text, FILE_BYTES_MAX + 65536);
	is_good = read_file(file, &text, &why);
	if (!is_good)
		errbuf_set(e, "admin_token_file: %.400s", why.text);
	else if (!admin_token_set(out, buf_slice(&text), &why))
		is_good = errbuf_set(e, "admin_token_file: %.300s: %.150s", file, why.text);
	bundle_fini(&text);
	return is_good;
}

void config_source_wipe(const struct config_source *source) {
	for (size_t i = 0; i < source->setting_count; i++)
		explicit_bzero(source->settings[i], strlen(source->settings[i]));
}

void config_warn(const struct config_source *source) {
	struct buf names;

	buf_init(&names, SIZE_MAX);
	config_add_unknown_variables(source->environment, &names);
	if (names.len > 0)
		log_line(LOG_WARN, "environment variables that name no option are ignored", LF_SLICE("variables", buf_slice(&names)));
	buf_fini(&names);
}
