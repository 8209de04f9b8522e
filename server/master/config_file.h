/*
 * config_file - the configuration as the operator gives it: file, environment, command line
 *
 * The file is one flat JSON object: option names with strings, numbers, or arrays of strings for lists. What is wrong in it is
 * refused with file, line and what is allowed.
 */
#ifndef SERVER_MASTER_CONFIG_FILE_H
#define SERVER_MASTER_CONFIG_FILE_H

#include "common/svc/config.h"
#include "server/auth/admin_token.h"

/* Kept for reloads; borrows from main's arguments and environment. */
struct config_source {
	const char *file;		/* NULL: none */
	char *const *environment;
	char **settings;		/* NAME=VALUE, in the order given */
	size_t setting_count;
};

/* Fills an initialised config from the text of a file; `file` stands in errors. */
bool config_file_parse(struct config *c, const char *file, struct slice text, struct errbuf *e) MUST_CHECK;
/* Everything by precedence, checked. *out is initialised here; the caller ends it with config_fini() also after a failure. */
bool config_load(struct config *out, const struct config_source *source, struct errbuf *e) MUST_CHECK;
/* From admin_token or admin_token_file; without either, nobody is asked for one. */
bool config_load_admin_token(const struct config *c, struct admin_token *out, struct errbuf *e) MUST_CHECK;
/* Overwrites the settings; the source is of no use any more. */
void config_source_wipe(const struct config_source *source);
/* Logs what is not refused, but may be a mistake. */
void config_warn(const struct config_source *source);

#endif
