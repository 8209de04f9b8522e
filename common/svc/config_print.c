/* config_print - the options and their values for people: --check, --help, the reference page; and for children */
#include "common/svc/config_option.h"

enum { HELP_WIDTH = 100, HELP_INDENT = 6 };

static const char *const unit_names[] = { "", " bytes", " seconds", " milliseconds" };

/* The position-th of "a|b|c". */
static struct slice enum_value(const struct config_option *o, int position) {
	struct slice rest = slice_text(o->values), part = SLICE_EMPTY;

	for (int i = 0; i <= position && slice_next_part(&rest, '|', &part); i++)
		continue;
	return part;
}

static void enum_text(const struct config_option *o, char out[CONFIG_ALLOWED_MAX]) {
	size_t len = (size_t)snprintf(out, CONFIG_ALLOWED_MAX, "%s", strchr(o->values, '|') != NULL ? "one of " : "only ");
	struct slice rest = slice_text(o->values), part;

	while (slice_next_part(&rest, '|', &part) && len < CONFIG_ALLOWED_MAX)
		len += (size_t)snprintf(out + len, CONFIG_ALLOWED_MAX - len, "%.*s%s", SLICE_ARGS(part), rest.len > 0 ? ", " : "");
}

void config_allowed_text(const struct config_option *o, char out[CONFIG_ALLOWED_MAX]) {
	switch (o->type) {
	case OPTION_IS_INT:
		snprintf(out, CONFIG_ALLOWED_MAX, "%lld to %lld%s%s", (long long)o->min, (long long)o->max, unit_names[o->unit],
		    o->unit == UNIT_bytes ? " (k, m or g may follow the number)" : "");
		break;
	case OPTION_IS_ENUM:
		enum_text(o, out);
		break;
	case OPTION_IS_TEXT:
		snprintf(out, CONFIG_ALLOWED_MAX, "text in UTF-8 without control characters");
		break;
	case OPTION_IS_LIST:
		snprintf(out, CONFIG_ALLOWED_MAX, "texts separated by commas, none of them empty");
		break;
	}
}

void config_add_value(const struct config *c, const struct config_option *o, struct buf *out) {
	const void *value = config_value(c, o);
	const struct text_list *list = value;

	switch (o->type) {
	case OPTION_IS_INT:
		buf_add_u64_text(out, (uint64_t)*(const int64_t *)value);
		break;
	case OPTION_IS_ENUM:
		buf_add(out, enum_value(o, *(const int *)value));
		break;
	case OPTION_IS_TEXT:
		buf_add_text(out, *(char *const *)value);
		break;
	case OPTION_IS_LIST:
		for (size_t i = 0; i < list->count; i++) {
			if (i > 0)
				buf_add_u8(out, ',');
			buf_add_text(out, list->item[i]);
		}
		break;
	}
}

void config_write_lines(const struct config *c, struct buf *out) {
	size_t count;
	const struct config_option *o = config_options(&count);

	for (size_t i = 0; i < count; i++) {
		if (o[i].offset == offsetof(struct config, admin_token))
			continue;
		buf_add_text(out, o[i].name);
		buf_add_u8(out, '=');
		config_add_value(c, &o[i], out);
		buf_add_u8(out, '\n');
	}
}

/* Texts of options hold no control characters and are valid UTF-8. */
static void add_json_text(struct buf *out, struct slice s) {
	buf_add_u8(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '"' || s.ptr[i] == '\\')
			buf_add_u8(out, '\\');
		buf_add_u8(out, s.ptr[i]);
	}
	buf_add_u8(out, '"');
}

/* Of a URL that is a secret, only what is before the @ is one. */
static void add_masked_url(struct buf *out, struct slice url) {
	const char *text = (const char *)url.ptr;
	const char *at = memrchr(text, '@', url.len), *slashes = at != NULL ? memmem(text, url.len, "://", 3) : NULL;
	struct buf masked;

	if (at == NULL) {
		add_json_text(out, url);
		return;
	}
	buf_init(&masked, SIZE_MAX);
	if (slashes != NULL && slashes < at)
		buf_add(&masked, slice_of(url.ptr, (size_t)(slashes + 3 - text)));
	buf_add_text(&masked, "***");
	buf_add(&masked, slice_skip(url, (size_t)(at - text)));
	add_json_text(out, buf_slice(&masked));
	buf_fini(&masked);
}

static void add_json_value(const struct config *c, const struct config_option *o, struct buf *out) {
	const void *value = config_value(c, o);
	const struct text_list *list = value;

	switch (o->type) {
	case OPTION_IS_INT:
		config_add_value(c, o, out);
		break;
	case OPTION_IS_ENUM:
		add_json_text(out, enum_value(o, *(const int *)value));
		break;
	case OPTION_IS_TEXT:
		if (o->is_secret && **(char *const *)value != '\0')
			buf_add_text(out, "\"***\"");
		else
			add_json_text(out, slice_text(*(char *const *)value));
		break;
	case OPTION_IS_LIST:
		buf_add_u8(out, '[');
		for (size_t i = 0; i < list->count; i++) {
			if (i > 0)
				buf_add_text(out, ", ");
			if (o->is_secret)
				add_masked_url(out, slice_text(list->item[i]));
			else
				add_json_text(out, slice_text(list->item[i]));
		}
		buf_add_u8(out, ']');
		break;
	}
}

void config_print(const struct config *c, struct buf *out) {
	size_t count;
	const struct config_option *o = config_options(&count);

	buf_add_text(out, "{\n");
	for (size_t i = 0; i < count; i++) {
		buf_addf(out, "  \"%s\": ", o[i].name);
		add_json_value(c, &o[i], out);
		buf_add_text(out, i + 1 < count ? ",\n" : "\n");
	}
	buf_add_text(out, "}\n");
}

/* Words, broken between blanks. */
static void add_wrapped(struct buf *out, const char *text) {
	struct slice rest = slice_text(text), word;
	size_t column = 0;

	while (slice_next_part(&rest, ' ', &word)) {
		bool is_first = column == 0;

		if (is_first || column + 1 + word.len > HELP_WIDTH) {
			buf_addf(out, "%s%*s", is_first ? "" : "\n", HELP_INDENT, "");
			column = HELP_INDENT;
		} else {
			buf_add_u8(out, ' ');
			column++;
		}
		buf_add(out, word);
		column += word.len;
	}
	buf_add_u8(out, '\n');
}

void config_print_help(struct buf *out) {
	char allowed[CONFIG_ALLOWED_MAX];
	size_t count;
	const struct config_option *o = config_options(&count);

	for (size_t i = 0; i < count; i++) {
		config_allowed_text(&o[i], allowed);
		buf_addf(out, "  %s=%s\n", o[i].name, o[i].def);
		add_wrapped(out, o[i].help);
		if (o[i].type == OPTION_IS_INT || o[i].type == OPTION_IS_ENUM)
			buf_addf(out, "%*sAllowed: %s.\n", HELP_INDENT, "", allowed);
	}
}

/* A cell of a Markdown table ends at a bar. */
static void add_cell(struct buf *out, const char *text) {
	for (; *text != '\0'; text++) {
		if (*text == '|')
			buf_add_u8(out, '\\');
		buf_add_u8(out, (uint8_t)*text);
	}
}

void config_print_reference(struct buf *out) {
	char allowed[CONFIG_ALLOWED_MAX];
	size_t count;
	const struct config_option *o = config_options(&count);

	buf_add_text(out, "# Options\n\n"
	    "This page is printed by `herold --reference`. An option is given, from the strongest to the weakest, by `-o NAME=VALUE`,\n"
	    "by an environment variable `HEROLD_NAME` in capital letters, or in a JSON file read with `-c FILE`: one flat object, in\n"
	    "which numbers and lists may be JSON numbers and arrays of strings. `herold --check` prints the values in effect.\n"
	    "Other environment variables that begin with `HEROLD_` are ignored, with a warning in the log.\n\n"
	    "| Option | Default | Allowed | A reload changes it | Meaning |\n| --- | --- | --- | --- | --- |\n");
	for (size_t i = 0; i < count; i++) {
		config_allowed_text(&o[i], allowed);
		buf_addf(out, "| `%s` | ", o[i].name);
		if (o[i].def[0] != '\0')
			buf_addf(out, "`%s` | ", o[i].def);
		else
			buf_add_text(out, "empty | ");
		add_cell(out, allowed);
		buf_add_text(out, o[i].reload == OPTION_RELOAD ? " | yes | " : " | no | ");
		add_cell(out, o[i].help);
		buf_add_text(out, " |\n");
	}
}
