/* test_log - lines as they reach descriptor 2 */
#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "common/svc/log.h"

static int ends[2], saved;
static char got[2 * PIPE_BUF];

static void setup(void) {
	ck_assert_int_eq(pipe(ends), 0);
	saved = dup(STDERR_FILENO);
	ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
}

static void teardown(void) {
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[0]);
	close(ends[1]);
	log_setup(LOG_INFO, LOG_FORMAT_TEXT, "");
}

/* The line behind its time, with the pid as "P". */
static const char *line(void) {
	static char shown[2 * PIPE_BUF];
	ssize_t len = read(ends[0], got, sizeof(got) - 1);
	char pid[32], *at, *start;

	ck_assert_int_gt(len, 0);
	got[len] = '\0';
	start = strstr(got, "Z");
	ck_assert_ptr_nonnull(start);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	at = strstr(start, pid);
	ck_assert_ptr_nonnull(at);
	snprintf(shown, sizeof(shown), "%.*sP%s", (int)(at - start - 1), start + 1, at + strlen(pid));
	return shown;
}

START_TEST(text_line) {
	log_setup(LOG_INFO, LOG_FORMAT_TEXT, "worker 0");
	log_line(LOG_INFO, "client connected", LF_TEXT("conn", "abc-1"), LF_U("port", 443), LF_I("code", -1),
	    LF_TEXT("why", "it is so"), LF_TEXT("none", ""));
	ck_assert_str_eq(line(),
	    " info worker 0 pid=P area=process message=\"client connected\" conn=abc-1 port=443 code=-1 why=\"it is so\" none=\"\"\n");
	ck_assert_uint_eq(strcspn(got, "Z"), strlen("2026-11-23T12:00:00.123"));
}
END_TEST

/* A reader that stops reading must not stop the writer. */
START_TEST(full_pipe) {
	char rest[2 * PIPE_BUF];
	int taken = 0;

	log_setup(LOG_INFO, LOG_FORMAT_TEXT, "worker 0");
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 10000; i++)
		log_line(LOG_INFO, "one of many", LF_I("i", i));
	for (ssize_t n; (n = read(ends[0], rest, sizeof(rest))) > 0;) {
		for (ssize_t i = 0; i < n; i++)
			taken += rest[i] == '\n';
	}
	ck_assert_int_gt(taken, 100);
	ck_assert_int_lt(taken, 10000);
	log_line(LOG_INFO, "and on", LF_I("i", 1));
	snprintf(rest, sizeof(rest), " warn worker 0 pid=P area=process message=\"log lines were lost, their reader did not keep up\" lines=%d\n",
	    10000 - taken);
	ck_assert_mem_eq(line(), rest, strlen(rest));
	ck_assert_ptr_nonnull(strstr(got, "message=\"and on\" i=1\n"));
}
END_TEST

START_TEST(json_line) {
	log_setup(LOG_INFO, LOG_FORMAT_JSON, "master");
	log_line(LOG_WARN, "a \"quoted\" word", LF_TEXT("path", "a\\b"), LF_U("n", UINT64_MAX), LF_I("m", INT64_MIN));
	ck_assert_str_eq(line(), "\",\"level\":\"warn\",\"process\":\"master\",\"pid\":P,\"area\":\"process\",\"message\":\"a \\\"quoted\\\" word\","
	    "\"path\":\"a\\\\b\",\"n\":18446744073709551615,\"m\":-9223372036854775808}\n");
	log_text(LOG_ERROR, "bare");
	ck_assert_str_eq(line(), "\",\"level\":\"error\",\"process\":\"master\",\"pid\":P,\"area\":\"process\",\"message\":\"bare\"}\n");
}
END_TEST

static const struct {
	const char *value, *text, *json;
} escapes[] = {
	{ "a\nb\tc\rd", "\"a\\nb\\tc\\rd\"", "\"a\\nb\\tc\\rd\"" },
	{ "\x1b[31m", "\"\\x1b[31m\"", "\"\\u001b[31m\"" },
	{ "\x7f", "\"\\x7f\"", "\"\\u007f\"" },
	{ "a=b", "\"a=b\"", "\"a=b\"" },
	{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"",
	    "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"" },
	{ "\xc2\x9b", "\"\\x9b\"", "\"\\u009b\"" },
	{ "\xff\xc3", "\"\\xff\\xc3\"", "\"\\ufffd\\ufffd\"" },
	{ "\xed\xa0\x80", "\"\\xed\\xa0\\x80\"", "\"\\ufffd\\ufffd\\ufffd\"" },
};

START_TEST(values_are_escaped) {
	char want[128];

	log_setup(LOG_INFO, LOG_FORMAT_TEXT, "");
	log_line(LOG_INFO, "m", LF_TEXT("v", escapes[_i].value));
	snprintf(want, sizeof(want), " info pid=P area=process message=\"m\" v=%s\n", escapes[_i].text);
	ck_assert_str_eq(line(), want);
	log_setup(LOG_INFO, LOG_FORMAT_JSON, "");
	log_line(LOG_INFO, "m", LF_TEXT("v", escapes[_i].value));
	snprintf(want, sizeof(want), "\",\"level\":\"info\",\"pid\":P,\"area\":\"process\",\"message\":\"m\",\"v\":%s}\n", escapes[_i].json);
	ck_assert_str_eq(line(), want);
}
END_TEST

START_TEST(long_values_and_lines_are_cut) {
	static char big[5000];
	const char *shown;

	memset(big, 'x', sizeof(big) - 1);
	/* A cut in the middle of a character leaves none of it. */
	memcpy(big + 1023, "\xc3\xa4", 2);
	log_setup(LOG_INFO, LOG_FORMAT_JSON, "");
	log_line(LOG_INFO, "m", LF_TEXT("v", big), LF_U("n", 1));
	shown = line();
	ck_assert_ptr_nonnull(strstr(shown, "xxx...\",\"n\":1}\n"));
	log_line(LOG_INFO, "m", LF_TEXT("a", big), LF_TEXT("b", big), LF_TEXT("c", big), LF_TEXT("d", big), LF_U("n", 1));
	shown = line();
	ck_assert_ptr_nonnull(strstr(shown, "...\",\"cut\":true}\n"));
	ck_assert_ptr_null(strstr(shown, "\"d\""));
	ck_assert_uint_le(strlen(got), PIPE_BUF);
}
END_TEST

START_TEST(levels_are_kept) {
	int evaluated = 0;

	log_setup(LOG_WARN, LOG_FORMAT_TEXT, "");
	log_line(LOG_INFO, "off", LF_U("n", ++evaluated));
	log_text(LOG_DEBUG, "off");
	ck_assert_int_eq(evaluated, 0);
	log_set_level(LOG_DEBUG);
	log_line(LOG_DEBUG, "on", LF_U("n", ++evaluated));
	ck_assert_str_eq(line(), " debug pid=P area=process message=\"on\" n=1\n");
}
END_TEST

/* A clock of its own: seconds go by as the test says. */
START_TEST(one_kind_is_bounded) {
	static struct log_shared shared;
	char want[200];

	for (int i = 0; i < LOG_AREAS; i++)
		atomic_store(&shared.level[i], LOG_INFO);
	atomic_store(&shared.lines_per_second, 3);
	log_setup(LOG_INFO, LOG_FORMAT_TEXT, "worker 0");
	log_follow(&shared);
	for (int i = 0; i < 10; i++)
		log_line(LOG_INFO, "a flood", LF_I("i", i));
	/* Another place is another kind. */
	log_text(LOG_INFO, "not a flood");
	ck_assert(log_is_holding());
	log_tell_held(false);
	ck_assert_msg(log_is_holding(), "its second is not over");
	log_tell_held(true);
	ck_assert(!log_is_holding());
	(void)line();
	ck_assert_ptr_nonnull(strstr(got, " i=0\n"));
	ck_assert_ptr_nonnull(strstr(got, " i=2\n"));
	ck_assert_ptr_null(strstr(got, " i=3\n"));
	ck_assert_ptr_nonnull(strstr(got, "not a flood"));
	snprintf(want, sizeof(want), " info worker 0 pid=%d area=process message=\"lines of a kind were held back\" kind=\"a flood\" held=7\n",
	    (int)getpid());
	ck_assert_ptr_nonnull(strstr(got, want));
}
END_TEST

/* Told before the next line of its kind, which comes a second later. */
START_TEST(the_next_second_begins_anew) {
	static struct log_shared shared = { .level = { [LOG_AREA] = LOG_INFO }, .lines_per_second = 1 };
	static struct log_kind kind;

	log_setup(LOG_INFO, LOG_FORMAT_TEXT, "");
	log_follow(&shared);
	for (int i = 0; i < 3; i++)
		log_emit_kind(&kind, LOG_INFO, i < 2 ? "old" : "older", NULL);
	kind.since_ms -= 1000;
	log_emit_kind(&kind, LOG_INFO, "new", NULL);
	ck_assert(!log_is_holding());
	(void)line();
	ck_assert_ptr_nonnull(strstr(got, "message=\"lines of a kind were held back\" kind=older held=2\n"));
	ck_assert_ptr_nonnull(strstr(strstr(got, "held=2"), "message=\"new\"\n"));
}
END_TEST

START_TEST(areas_have_levels) {
	struct log_shared shared = { .level = { [LOG_AREA_process] = LOG_ERROR, [LOG_AREA_conn] = LOG_DEBUG } };
	enum log_area area;
	enum log_level level;

	log_follow(&shared);
	ck_assert(!log_is_on(LOG_WARN));
	ck_assert(log_area_is_on(LOG_AREA_conn, LOG_DEBUG));
	atomic_store(&shared.level[LOG_AREA_process], LOG_WARN);
	ck_assert(log_is_on(LOG_WARN));
	for (int i = 0; i < LOG_AREAS; i++) {
		ck_assert(log_area_find(slice_text(log_area_name((enum log_area)i)), &area));
		ck_assert_int_eq(area, i);
	}
	ck_assert(!log_area_find(slice_text("kitchen"), &area));
	ck_assert(log_level_find(slice_text("warn"), &level));
	ck_assert_int_eq(level, LOG_WARN);
	ck_assert(!log_level_find(slice_text("loud"), &level));
}
END_TEST

START_TEST(recent_warnings_are_kept) {
	struct log_shared shared = { .level = { [LOG_AREA] = LOG_INFO }, .format = LOG_FORMAT_JSON };
	struct log_recent seen[LOG_RECENT];
	char long_text[LOG_RECENT_BYTES + 10];

	log_setup(LOG_INFO, LOG_FORMAT_TEXT, "worker 7");
	log_follow(&shared);
	ck_assert_uint_eq(log_recent(&shared, seen), 0);
	log_text(LOG_INFO, "nothing to worry about");
	log_line(LOG_WARN, "some \"trouble\"", LF_TEXT("why", "it\nis so"), LF_U("n", 5));
	ck_assert_uint_eq(log_recent(&shared, seen), 1);
	ck_assert_str_eq(seen[0].text, "some \\\"trouble\\\" why=\"it\\nis so\" n=5");
	ck_assert_str_eq(seen[0].process, "worker 7");
	ck_assert_int_eq(seen[0].level, LOG_WARN);
	ck_assert_int_eq(seen[0].area, LOG_AREA);
	ck_assert_int_eq(seen[0].pid, (int)getpid());
	for (int i = 0; i < 50; i++)
		log_line(LOG_ERROR, "error", LF_I("i", i));
	ck_assert_uint_eq(log_recent(&shared, seen), LOG_RECENT);
	ck_assert_str_eq(seen[0].text, "error i=49");
	ck_assert_str_eq(seen[LOG_RECENT - 1].text, "error i=30");
	/* One that a process did not finish is left out. */
	atomic_fetch_sub(&shared.recent[51 % LOG_RECENT - 1].turn, 1);
	ck_assert_uint_eq(log_recent(&shared, seen), LOG_RECENT - 1);
	/* No half character at the end. */
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	memcpy(long_text + LOG_RECENT_BYTES - 2, "\xc3\xa4", 2);
	log_text(LOG_ERROR, long_text);
	log_recent(&shared, seen);
	ck_assert_uint_eq(strlen(seen[0].text), LOG_RECENT_BYTES - 2);
	/* Of a process that was taken over. */
	memset(&shared.recent[51 % LOG_RECENT].line, 'x', sizeof(shared.recent[0].line));
	log_recent(&shared, seen);
	ck_assert_uint_eq(strlen(seen[0].text), LOG_RECENT_BYTES - 1);
	ck_assert_uint_eq(strlen(seen[0].process), LOG_PROCESS_BYTES - 1);
	ck_assert_int_eq(seen[0].level, LOG_LEVELS - 1);
	ck_assert_int_eq(seen[0].area, LOG_AREAS - 1);
}
END_TEST

/* Told as often as it happens, but of the places for all warnings it takes one. */
START_TEST(losses_push_nobody_out) {
	struct log_shared shared = { .level = { [LOG_AREA] = LOG_INFO } };
	struct log_recent seen[LOG_RECENT];
	char rest[2 * PIPE_BUF];

	log_setup(LOG_INFO, LOG_FORMAT_TEXT, "worker 0");
	log_follow(&shared);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	log_text(LOG_ERROR, "what matters");
	for (int losses = 0; losses < 3; losses++) {
		for (int i = 0; i < 10000; i++)
			log_line(LOG_INFO, "one of many", LF_I("i", i));
		log_text(LOG_WARN, "lost, but kept");
		while (read(ends[0], rest, sizeof(rest)) > 0)
			continue;
	}
	log_text(LOG_INFO, "and on");
	ck_assert_uint_eq(log_recent(&shared, seen), 5);
	ck_assert_str_eq(seen[4].text, "what matters");
	ck_assert_str_eq(seen[3].text, "lost, but kept");
	ck_assert_mem_eq(seen[2].text, "log lines were lost", strlen("log lines were lost"));
	ck_assert_str_eq(seen[1].text, "lost, but kept");
	ck_assert_str_eq(seen[0].text, "lost, but kept");
}
END_TEST

Suite *suite_log(void);
Suite *suite_log(void) {
	Suite *s = suite_create("log");
	TCase *t = tcase_create("log");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, text_line);
	tcase_add_test(t, full_pipe);
	tcase_add_test(t, json_line);
	tcase_add_loop_test(t, values_are_escaped, 0, (int)ARRAY_LEN(escapes));
	tcase_add_test(t, long_values_and_lines_are_cut);
	tcase_add_test(t, levels_are_kept);
	tcase_add_test(t, one_kind_is_bounded);
	tcase_add_test(t, the_next_second_begins_anew);
	tcase_add_test(t, areas_have_levels);
	tcase_add_test(t, recent_warnings_are_kept);
	tcase_add_test(t, losses_push_nobody_out);
	suite_add_tcase(s, t);
	return s;
}
