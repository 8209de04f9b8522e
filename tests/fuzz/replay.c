/* replay - runs files and folders of inputs through a fuzz target, where there is no libFuzzer */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

static char running[4096];

/* There where a sanitizer is. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

/* However it ends, the input is named. */
static void say_running(void) {
	if (running[0] != '\0')
		fprintf(stderr, "replay: ended in %s\n", running);
}

static void on_abort(int number UNUSED) {
	say_running();
	_Exit(EXIT_FAILURE);
}

static bool run_file(const char *path) {
	FILE *file = fopen(path, "rb");
	struct stat info;
	uint8_t *data;
	size_t size;

	if (file == NULL || fstat(fileno(file), &info) != 0) {
		fprintf(stderr, "replay: cannot read %s\n", path);
		return false;
	}
	data = mem_alloc((size_t)info.st_size);
	size = fread(data, 1, (size_t)info.st_size, file);
	fclose(file);
	snprintf(running, sizeof(running), "%s", path);
	LLVMFuzzerTestOneInput(data, size);
	running[0] = '\0';
	mem_free(data);
	return true;
}

/* How many inputs ran; -1: one could not be read. */
static int run_folder(const char *path) {
	DIR *folder = opendir(path);
	struct dirent *entry;
	char file[4096];
	int count = 0;

	if (folder == NULL)
		return run_file(path) ? 1 : -1;
	while (count >= 0 && (entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		count = run_file(file) ? count + 1 : -1;
	}
	closedir(folder);
	return count;
}

int main(int argc, char **argv) {
	int count = 0;

	signal(SIGABRT, on_abort);
	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(say_running);
	for (int i = 1; i < argc && count >= 0; i++) {
		int ran = run_folder(argv[i]);

		count = ran < 0 ? -1 : count + ran;
	}
	printf("%s: %d inputs\n", argc > 1 ? argv[1] : "nothing to replay", count);
	return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
