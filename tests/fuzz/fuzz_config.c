/*
 * fuzz_config - what an operator writes
 *
 * Input: with a '{' or '[' first, a configuration file; with "HEROLD_", environment variables, one a line; with '-', settings as of
 * the command line, one a line; else the NAME=VALUE lines that a child reads.
 */
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/svc/config.h"
#include "common/svc/log.h"
#include "server/master/config_file.h"

enum { LINES_MAX = 64 };

/* Owned texts, with a NULL at the end. */
static size_t split_lines(struct slice rest, char *lines[LINES_MAX + 1]) {
	size_t count = 0;
	struct slice line;

	while (count < LINES_MAX && slice_next_part(&rest, '\n', &line))
		lines[count++] = slice_dup_text(line);
	lines[count] = NULL;
	return count;
}

static bool load_lines(struct config *c, struct slice input, bool is_environment, struct errbuf *e) {
	char *lines[LINES_MAX + 1], *none[] = { NULL };
	size_t count = split_lines(input, lines);
	struct config_source source = { .environment = is_environment ? lines : none };
	bool is_good;

	if (!is_environment) {
		source.settings = lines;
		source.setting_count = count;
	}
	is_good = config_load(c, &source, e);
	log_set_level(LOG_ERROR);
	config_warn(&source);
	for (size_t i = 0; i < count; i++)
		mem_free(lines[i]);
	return is_good;
}

/* The file is in memory, and there is one for all inputs. */
static bool load_file(struct config *c, struct slice input, struct errbuf *e) {
	static int fd = -1;
	char path[32], *none[] = { NULL };
	struct config_source source = { .file = path, .environment = none };

	if (fd < 0)
		fd = memfd_create("fuzz.json", MFD_CLOEXEC);
	BUG_ON(fd < 0 || ftruncate(fd, (off_t)input.len) != 0 || pwrite(fd, input.ptr, input.len, 0) != (ssize_t)input.len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return config_load(c, &source, e);
}

static bool load(struct config *c, struct slice input, struct errbuf *e) {
	if (slice_starts_with(input, "HEROLD_"))
		return load_lines(c, input, true, e);
	if (slice_starts_with(input, "-"))
		return load_lines(c, slice_skip(input, 1), false, e);
	if (slice_starts_with(input, "{") || slice_starts_with(input, "["))
		return load_file(c, input, e);
	config_init(c);
	return config_read_lines(c, input, e);
}

static bool is_same(const struct config *a, const struct config *b) {
	struct buf changes;
	bool is_empty;

	buf_init(&changes, SIZE_MAX);
	config_add_changes(a, b, true, &changes);
	config_add_changes(a, b, false, &changes);
	is_empty = changes.len == 0;
	buf_fini(&changes);
	return is_empty;
}

/* What a child reads is what the master has. */
static void check_lines(struct config *c) {
	struct config child;
	struct buf lines, again;
	struct errbuf e;

	buf_init(&lines, SIZE_MAX);
	buf_init(&again, SIZE_MAX);
	config_write_lines(c, &lines);
	config_init(&child);
	config_write_lines(&child, &again);
	BUG_ON(is_same(c, &child) != slice_eq(buf_slice(&lines), buf_slice(&again)));
	buf_reset(&again);
	BUG_ON(!config_read_lines(&child, buf_slice(&lines), &e));
	config_write_lines(&child, &again);
	BUG_ON(!slice_eq(buf_slice(&lines), buf_slice(&again)));
	BUG_ON(!is_same(c, &child));
	config_swap_reloadable(c, &child);
	BUG_ON(!is_same(c, &child));
	config_fini(&child);
	buf_fini(&lines);
	buf_fini(&again);
}

/* What --check prints is JSON. */
static void check_print(const struct config *c) {
	struct buf text;
	json_t *root;

	buf_init(&text, SIZE_MAX);
	config_print(c, &text);
	root = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	BUG_ON(!json_is_object(root));
	json_decref(root);
	buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct errbuf e = { "" };
	struct config c;

	if (load(&c, slice_of(data, size), &e)) {
		check_lines(&c);
		check_print(&c);
		if (config_check(&c, &e))
			BUG_ON(config_link_message_bytes(&c) > (size_t)c.link_queue_bytes ||
			       c.listen.count + c.tls_listen.count == 0);
	} else {
		BUG_ON(e.text[0] == '\0');
	}
	config_fini(&c);
	return 0;
}
