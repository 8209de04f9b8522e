/* test_config_file - JSON files refused with their line, and what is stronger than what */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/master/config_file.h"

static const struct {
	const char *text;
	const char *error;	/* NULL: taken */
} files[] = {
	{ "{}", NULL },
	{ "{\"workers\": 3, \"listen\": [\"127.0.0.1:1\", \"[::1]:2\"], \"locale\": \"de\"}", NULL },
	{ "{\"listen\": \"127.0.0.1:1,[::1]:2\"}", NULL },
	{ "{\"max_message_bytes\": \"2m\"}", NULL },
	{ "{\"system_users\": []}", NULL },
	{ "", "f:1: '[' or '{' expected near end of file" },
	{ "[]", "f:1: want one JSON object" },
	{ "{\n\"workers\": 1,\n}", "f:3: string or '}' expected near '}'" },
	{ "{\n\"workers\": 1\n}\nx", "f:4: end of file expected near 'x'" },
	{ "{\n\"workers\": 1,\n\n\"workers\": 2}", "f:4: duplicate object key near '\"workers\"'" },
	{ "{\n\n\"workers\": 999}", "f:3: workers: \"999\" is not allowed, but 0 to 256" },
	{ "{\"workers\": -1}", "f:1: workers: \"-1\" is not allowed, but 0 to 256" },
	{ "{\n\"workers\":\n1.5}", "f:2: workers: want a string or a whole number" },
	{ "{\"workers\": true}", "f:1: workers: want a string or a whole number" },
	{ "{\"workers\": null}", "f:1: workers: want a string or a whole number" },
	{ "{\"workers\": [\"1\"]}", "f:1: workers: want a string or a whole number" },
	{ "{\"locale\":\"en\",\n\"listen\": {\"a\":\n1}}", "f:2: listen: want an array of strings, or a string with commas" },
	{ "{\"listen\": [1]}", "f:1: listen: an array holds strings without commas" },
	{ "{\"listen\": [\"a,b\"]}", "f:1: listen: an array holds strings without commas" },
	{ "{\n\"admin_listen\": []}", "f:2: admin_listen: 0 addresses are not allowed, but 1 to 16" },
	{ "{\"system_users\": [\"\"]}", NULL },
	{ "{\n\n\"admin_listen\": \"localhost:80\"}", "f:3: admin_listen: \"localhost:80\" is no address (names are not looked up): want "
	    "IPV4:PORT, [IPV6]:PORT, unix:/PATH or unix:@NAME" },
	{ "{\"listen\": [\"a\", \"\"]}", "f:1: listen: \"a,\" is not allowed, but texts separated by commas, none of them empty" },
	{ "{\n\"echo_prefix\": \"{\\\"x\\\": [,\",\n\"wrokers\": 1}", "f:3: there is no option \"wrokers\" (--help lists them)" },
	{ "{\n\"system_users\": [\"a\",\n\"b\"], \"user\":\n\"x\",\n\"locale\": \"fr\"}",
	    "f:5: locale: \"fr\" is not allowed, but one of en, de" },
	{ "{\"echo_prefix\": \"a\\nb\"}",
	    "f:1: echo_prefix: this value is not allowed, but text in UTF-8 without control characters" },
};

START_TEST(files_are_judged) {
	struct config c;
	struct errbuf e = { "" };

	config_init(&c);
	if (files[_i].error == NULL) {
		ck_assert_msg(config_file_parse(&c, "f", slice_text(files[_i].text), &e), "%s", e.text);
	} else {
		ck_assert(!config_file_parse(&c, "f", slice_text(files[_i].text), &e));
		ck_assert_str_eq(e.text, files[_i].error);
	}
	config_fini(&c);
}
END_TEST

START_TEST(values_arrive) {
	struct config c;
	struct errbuf e;

	config_init(&c);
	ck_assert(config_file_parse(&c, "f", slice_text(files[1].text), &e));
	ck_assert_int_eq(c.workers, 3);
	ck_assert_uint_eq(c.listen.count, 2);
	ck_assert_str_eq(c.listen.item[1], "[::1]:2");
	ck_assert_int_eq(c.locale, LOCALE_DE);
	config_fini(&c);
}
END_TEST

START_TEST(the_command_line_is_strongest) {
	char name[] = "/tmp/herold-config-XXXXXX";
	static const char text[] = "{\"workers\": 1, \"room_history\": 1, \"client_errors\": 1}";
	char *environment[] = { (char[]){ "HEROLD_WORKERS=2" }, (char[]){ "HEROLD_ROOM_HISTORY=2" }, NULL };
	char *settings[] = { (char[]){ "workers=5" }, (char[]){ "workers=3" } };
	struct config_source source = { .file = name, .environment = environment, .settings = settings, .setting_count = 2 };
	int fd = mkstemp(name);
	struct config c;
	struct errbuf e;

	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	ck_assert_msg(config_load(&c, &source, &e), "%s", e.text);
	ck_assert_int_eq(c.workers, 3);
	ck_assert_int_eq(c.room_history, 2);
	ck_assert_int_eq(c.client_errors, 1);
	config_fini(&c);
	unlink(name);
	ck_assert(!config_load(&c, &source, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "No such file"));
	config_fini(&c);
}
END_TEST

START_TEST(settings_are_refused) {
	const struct {
		char *setting;
		const char *error;
	} bad[] = {
		{ (char[]){ "workers" }, "-o workers: want NAME=VALUE" },
		{ (char[]){ "workers=x" }, "-o: workers: \"x\" is not allowed, but 0 to 256" },
		{ (char[]){ "=x" }, "-o =x: want NAME=VALUE" },
		{ (char[]){ "colour=red" }, "-o: there is no option \"colour\" (--help lists them)" },
		{ (char[]){ "admin_listen=" }, "-o: admin_listen: 0 addresses are not allowed, but 1 to 16" },
	};
	char *environment[] = { NULL };
	struct config c;
	struct errbuf e;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char *settings[] = { bad[i].setting };
		struct config_source source = { .environment = environment, .settings = settings, .setting_count = 1 };

		ck_assert(!config_load(&c, &source, &e));
		ck_assert_str_eq(e.text, bad[i].error);
		config_fini(&c);
	}
}
END_TEST

Suite *suite_config_file(void);
Suite *suite_config_file(void) {
	Suite *s = suite_create("config_file");
	TCase *t = tcase_create("config_file");

	tcase_add_loop_test(t, files_are_judged, 0, (int)ARRAY_LEN(files));
	tcase_add_test(t, values_arrive);
	tcase_add_test(t, the_command_line_is_strongest);
	tcase_add_test(t, settings_are_refused);
	suite_add_tcase(s, t);
	return s;
}
