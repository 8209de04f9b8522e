/* sandbox - Landlock and seccomp by their own system calls; there is no library for the one, and the other's is not needed */
#include "common/svc/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/svc/log.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_SANITIZER true
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_SANITIZER true
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER false
#endif

/* --- Landlock --- */

/* As <linux/landlock.h> has it, which the headers of this machine may lack, or have without its newest parts. */
enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446, CREATE_VERSION = 1, RULE_PATH_BENEATH = 1 };
enum { FS_READ_FILE = 1 << 2, FS_READ_DIR = 1 << 3, NET_BIND_TCP = 1 << 0, NET_CONNECT_TCP = 1 << 1, SCOPE_SIGNAL = 1 << 1 };

struct ruleset {
	uint64_t fs, net, scoped;
};

struct path_rule {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

/* Every access to files that this version knows. */
static uint64_t all_of_files(int version) {
	static const unsigned bits[] = { 0, 13, 14, 15, 15, 16 };
	unsigned known = (unsigned)version < ARRAY_LEN(bits) ? bits[version] : bits[ARRAY_LEN(bits) - 1];

	return (UINT64_C(1) << known) - 1;
}

static size_t ruleset_bytes(int version) {
	return version >= 6 ? sizeof(struct ruleset) : version >= 4 ? offsetof(struct ruleset, scoped) : offsetof(struct ruleset, net);
}

/* What finding a host and checking its certificate reads. /etc is full of links to elsewhere. */
static void allow_reading(int ruleset_fd) {
	static const char *const folders[] = { "/etc", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/usr/lib/ssl",
		"/usr/share/ca-certificates", "/usr/local/share/ca-certificates" };

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		struct path_rule rule = { .allowed = FS_READ_FILE | FS_READ_DIR, .parent_fd = open(folders[i], O_PATH | O_CLOEXEC) };

		if (rule.parent_fd < 0)
			continue;
		if (syscall(ADD_RULE, ruleset_fd, RULE_PATH_BENEATH, &rule, 0) != 0)
			log_line(LOG_WARN, "the sandbox closes a folder", LF_TEXT("folder", folders[i]), LF_I("errno", errno));
		close(rule.parent_fd);
	}
}

/* The version of Landlock that is in force now; 0: none. */
static int restrict_files(enum sandbox_reach reach) {
	int version = (int)syscall(CREATE_RULESET, NULL, 0, CREATE_VERSION), fd;
	struct ruleset rules = { .scoped = SCOPE_SIGNAL, .net = NET_BIND_TCP | (reach == SANDBOX_LOCAL ? NET_CONNECT_TCP : 0) };
	bool is_done;

	if (version < 1)
		return 0;
	rules.fs = all_of_files(version);
	fd = (int)syscall(CREATE_RULESET, &rules, ruleset_bytes(version), 0);
	if (fd < 0)
		return 0;
	if (reach == SANDBOX_NETWORK)
		allow_reading(fd);
	is_done = syscall(RESTRICT_SELF, fd, 0) == 0;
	close(fd);
	return is_done ? version : 0;
}

/* --- seccomp --- */

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE_ARCH AUDIT_ARCH_RISCV64
#endif

#ifdef NATIVE_ARCH

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define REFUSE BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define KILL BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
/* Goes past the next `count` if it is not so. */
#define IF_EQUAL(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, (count))
#define IF_NOT_EQUAL(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), (count), 0)
#define IF_ANY(bits, count) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (uint32_t)(bits), 0, (count))

/* Whole rules, each of which may be the last that is looked at. What is loaded between them is the number of the call. */
#define REFUSE_CALL(name) IF_EQUAL(SYS_##name, 1), REFUSE
/* Arguments are looked at by their lower half: these processors are little-endian, and the kernel takes no more of these. */
#define REFUSE_CALL_WITH(name, n, bits) IF_EQUAL(SYS_##name, 4), LOAD(args[n]), IF_ANY(bits, 1), REFUSE, ALLOW

/* What opens more than for reading. */
enum { OPEN_CHANGES = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, CALL_MAX = 0x40000000 };

static const struct sock_filter start_rules[] = {
	LOAD(arch),
	IF_NOT_EQUAL(NATIVE_ARCH, 1),
	KILL,
	LOAD(nr),
	/* x86-64 has its calls a second time, for programs with short pointers. */
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, CALL_MAX, 0, 1),
	REFUSE,
	/* No code but what is there. */
	REFUSE_CALL_WITH(mmap, 2, PROT_EXEC),
	REFUSE_CALL_WITH(mprotect, 2, PROT_EXEC),
#define SANDBOX_CALL(name) REFUSE_CALL(name),
#define SANDBOX_LOCAL_CALL(name)
#include "common/svc/sandbox_calls.tbl"
};

static const struct sock_filter local_rules[] = {
#define SANDBOX_CALL(name)
#define SANDBOX_LOCAL_CALL(name) REFUSE_CALL(name),
#include "common/svc/sandbox_calls.tbl"
#ifdef SYS_open
	REFUSE_CALL(open),
#endif
	REFUSE_CALL(openat),
	IF_EQUAL(SYS_socket, 3),
	LOAD(args[0]),
	IF_NOT_EQUAL(AF_UNIX, 1),
	REFUSE,
	ALLOW,
};

static const struct sock_filter network_rules[] = {
#ifdef SYS_open
	REFUSE_CALL_WITH(open, 1, OPEN_CHANGES),
#endif
	REFUSE_CALL_WITH(openat, 2, OPEN_CHANGES),
	IF_EQUAL(SYS_socket, 6),
	LOAD(args[0]),
	IF_NOT_EQUAL(AF_UNIX, 4),
	IF_NOT_EQUAL(AF_INET, 3),
	IF_NOT_EQUAL(AF_INET6, 2),
	/* For the list of the own addresses. */
	IF_NOT_EQUAL(AF_NETLINK, 1),
	REFUSE,
	ALLOW,
};

static bool filter_calls(enum sandbox_reach reach) {
	struct sock_filter rules[ARRAY_LEN(start_rules) + ARRAY_LEN(local_rules) + ARRAY_LEN(network_rules)];
	const struct sock_filter *more = reach == SANDBOX_LOCAL ? local_rules : network_rules;
	size_t count = reach == SANDBOX_LOCAL ? ARRAY_LEN(local_rules) : ARRAY_LEN(network_rules);
	struct sock_fprog program = { .filter = rules, .len = (unsigned short)(ARRAY_LEN(start_rules) + count) };

	memcpy(rules, start_rules, sizeof(start_rules));
	memcpy(&rules[ARRAY_LEN(start_rules)], more, count * sizeof(*more));
	/* Without SPEC_ALLOW, kernels before 5.16 make every branch of the process slow. */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) == 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

#else

static bool filter_calls(enum sandbox_reach reach UNUSED) {
	return false;
}

#endif

void sandbox_enter(enum sandbox_reach reach, struct sandbox_report *out) {
	/* In this order: the filter lets nobody open a folder. */
	out->landlock = restrict_files(reach);
	out->has_filter = filter_calls(reach);
}

void sandbox_start(bool is_wanted, enum sandbox_reach reach) {
	struct sandbox_report r;

	if (!is_wanted)
		return;
	if (HAS_SANITIZER) {
		log_text(LOG_INFO, "no sandbox: this build has a sanitizer");
		return;
	}
	sandbox_enter(reach, &r);
	log_line(r.landlock > 0 && r.has_filter ? LOG_INFO : LOG_WARN, r.landlock > 0 && r.has_filter ? "in the sandbox" :
	    "this kernel has not all of the sandbox", LF_I("landlock", r.landlock), LF_TEXT("seccomp", r.has_filter ? "on" : "off"));
}
