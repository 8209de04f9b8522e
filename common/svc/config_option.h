/*
 * config_option - a row of options.tbl as data, for config's own files
 */
#ifndef COMMON_SVC_CONFIG_OPTION_H
#define COMMON_SVC_CONFIG_OPTION_H

#include "common/svc/config.h"

enum option_type { OPTION_IS_INT = 0, OPTION_IS_ENUM, OPTION_IS_TEXT, OPTION_IS_LIST };
enum option_unit { UNIT_count = 0, UNIT_bytes, UNIT_seconds, UNIT_milliseconds };
enum option_reload { OPTION_RESTART = 0, OPTION_RELOAD };
enum option_secrecy { OPTION_PUBLIC = 0, OPTION_SECRET };
enum { CONFIG_ALLOWED_MAX = 160 };

struct config_option {
	const char *name;
	enum option_type type;
	size_t offset;		/* of its value in struct config */
	const char *def;	/* as text */
	int64_t min, max;	/* OPTION_IS_INT: min <= value <= max */
	enum option_unit unit;
	const char *values;	/* OPTION_IS_ENUM: "a|b|c" */
	enum option_reload reload;
	bool is_secret;
	const char *help;
};

/* Shared, static. */
const struct config_option *config_options(size_t *count);
/* Borrowed from c. */
const void *config_value(const struct config *c, const struct config_option *o);
/* "0 to 256", "one of text, json" */
void config_allowed_text(const struct config_option *o, char out[CONFIG_ALLOWED_MAX]);
/* The value as config_set() takes it. */
void config_add_value(const struct config *c, const struct config_option *o, struct buf *out);

#endif
