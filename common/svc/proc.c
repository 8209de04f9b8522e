/* proc - title, limits, user, secrets and parent of the calling process */
#include "common/svc/proc.h"

#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Where argv[0] ended. */
static char *title_start, *title_mark;

void proc_init(int argc, char **argv, char **environment) {
	title_start = argv[0];
	title_mark = argv[0] + strlen(argv[0]);
	setproctitle_init(argc, argv, environment);
}

void proc_set_title(const char *title) {
	setproctitle("-%s", title);
	/* libbsd leaves a dot there when the title is shorter, and ps shows it. */
	if (title_mark - title_start > (ptrdiff_t)strlen(title))
		*title_mark = '\0';
}

uint64_t proc_raise_file_limit(void) {
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return 0;
	if (files.rlim_cur < files.rlim_max) {
		struct rlimit raised = { .rlim_cur = files.rlim_max, .rlim_max = files.rlim_max };

		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			files = raised;
	}
	return files.rlim_cur;
}

unsigned proc_open_files(uint64_t limit) {
	unsigned count = 0;

	for (int fd = 0; fd < 256 && (uint64_t)fd < limit; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

bool proc_drop_root(const char *user, struct errbuf *e) {
	struct passwd *pw;
	int death_signal = 0, parent = (int)getppid();

	if (geteuid() != 0)
		return true;
	errno = 0;
	pw = getpwnam(user);
	if (pw == NULL)
		return errbuf_set(e, "user: there is no user \"%s\" to become", user);
	prctl(PR_GET_PDEATHSIG, &death_signal);
	if (initgroups(user, pw->pw_gid) != 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
		return errbuf_set(e, "cannot become user \"%s\": %s", user, strerror(errno));
	if (pw->pw_uid != 0 && setuid(0) == 0)
		return errbuf_set(e, "root was not given up for user \"%s\"", user);
	/* The kernel forgets it with every change of the user. */
	if (death_signal != 0 && (prctl(PR_SET_PDEATHSIG, death_signal) != 0 || (int)getppid() != parent))
		return errbuf_set(e, "the parent process has gone");
	return true;
}

void proc_no_new_privileges(void) {
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

void proc_set_core_dumps(bool are_allowed) {
	struct rlimit none = { 0, 0 };

	prctl(PR_SET_DUMPABLE, are_allowed ? 1 : 0, 0, 0, 0);
	if (!are_allowed)
		setrlimit(RLIMIT_CORE, &none);
}

void proc_wipe_environment(const char *prefix) {
	size_t len = strlen(prefix);
	char **to = environ;

	if (environ == NULL)
		return;
	for (char **from = environ; *from != NULL; from++) {
		if (strncmp(*from, prefix, len) == 0)
			explicit_bzero(*from, strlen(*from));
		else
			*to++ = *from;
	}
	*to = NULL;
}

bool proc_die_with_parent(int parent_pid) {
	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && (int)getppid() == parent_pid;
}

int proc_sealed_fd(const char *name, const void *bytes, size_t len, struct errbuf *e) {
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t done = 0;

	if (fd < 0)
		goto fail;
	while (done < len) {
		ssize_t n = write(fd, (const char *)bytes + done, len - done);

		if (n < 0)
			goto fail;
		done += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0 ||
	    lseek(fd, 0, SEEK_SET) != 0)
		goto fail;
	return fd;
fail:
	errbuf_set(e, "cannot make a sealed file %s: %s", name, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}
