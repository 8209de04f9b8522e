/* crash - the handler, and the table of what is loaded where */
#include "common/svc/crash.h"

#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include "common/svc/log.h"
#include "common/svc/trace.h"

enum {
	STACK_BYTES = 128 << 10,	/* a frame of a signal alone can have 10 KB of registers */
	FRAMES_MAX = 32,
	PLACES_MAX = 48,
	PLACE_NAME_BYTES = 32,
	TEXT_BYTES = 1000,	/* of a value in the log */
	HANG_SECONDS = 5,	/* a handler that hangs, on a lock of the unwinder's, is ended by SIGALRM */
};

static const int deadly[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };

/* Code of the program or of a library: start <= address < end. */
struct place {
	char name[PLACE_NAME_BYTES];
	uintptr_t start, end, bias;
};

static struct {
	struct place place[PLACES_MAX];
	size_t count;
} loaded;

static uint8_t stack[STACK_BYTES];
static volatile sig_atomic_t is_crashing;

/* --- text, without printf --- */

struct text {
	char bytes[TEXT_BYTES];
	size_t len;	/* < TEXT_BYTES */
};

static void add(struct text *t, const char *more) {
	for (; *more != '\0' && t->len < TEXT_BYTES - 1; more++)
		t->bytes[t->len++] = *more;
}

static void add_hex(struct text *t, uintptr_t value) {
	char digits[2 * sizeof(value) + 1];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do
		digits[--at] = "0123456789abcdef"[value % 16];
	while ((value /= 16) > 0);
	add(t, "0x");
	add(t, digits + at);
}

/* --- where it was --- */

static const struct place *place_of(uintptr_t address) {
	for (size_t i = 0; i < loaded.count; i++) {
		if (address >= loaded.place[i].start && address < loaded.place[i].end)
			return &loaded.place[i];
	}
	return NULL;
}

static void add_place(struct text *t, uintptr_t address) {
	const struct place *p = place_of(address);

	if (t->len > 0)
		add(t, " ");
	if (p != NULL) {
		add(t, p->name);
		add(t, "+");
	}
	add_hex(t, address - (p != NULL ? p->bias : 0));
}

static uintptr_t address_of(const ucontext_t *context) {
#if defined(__x86_64__)
	return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return (uintptr_t)context->uc_mcontext.pc;
#else
	(void)context;
	return 0;
#endif
}

/* Who called what is no code: such a call has no frame yet. */
static uintptr_t caller_of(const ucontext_t *context) {
#if defined(__x86_64__)
	return *(const uintptr_t *)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
	return (uintptr_t)context->uc_mcontext.regs[30];
#else
	(void)context;
	return 0;
#endif
}

/* The innermost first: where it happened, and then the calls that led there (an address of the call, not the one behind it). */
static void add_backtrace(struct text *t, const ucontext_t *context) {
	uintptr_t address = address_of(context);
	void *frames[FRAMES_MAX + 4];
	int count = backtrace(frames, (int)ARRAY_LEN(frames)), first = 0;

	add_place(t, address);
	if (place_of(address) == NULL) {
		add_place(t, caller_of(context) - 1);
		return;
	}
	/* Before it stand the handler and the kernel's way into it. */
	while (first < count && (uintptr_t)frames[first] != address)
		first++;
	for (int i = first < count ? first + 1 : 0; i < count; i++)
		add_place(t, (uintptr_t)frames[i] - 1);
}

/* --- the handler --- */

/* Somebody sent it, or this process itself. */
static bool is_sent(const siginfo_t *info) {
	return info->si_code == SI_USER || info->si_code == SI_QUEUE || info->si_code == SI_TKILL;
}

static void tell(int signo, const siginfo_t *info, const ucontext_t *context) {
	uint64_t serving = trace_get(&trace_own->serving);
	struct text address = { .len = 0 }, backtrace_text = { .len = 0 };
	struct log_field fields[7] = { 0 };
	char conn[ID_TEXT_LEN + 2];
	const char *name = sigabbrev_np(signo);
	size_t n = 0;

	fields[n++] = LF_TEXT("signal", name != NULL ? name : "unknown");
	if (is_sent(info) && info->si_pid != getpid()) {
		fields[n++] = LF_I("sent_by", info->si_pid);
	} else if (!is_sent(info)) {
		add_hex(&address, (uintptr_t)info->si_addr);
		fields[n++] = LF_SLICE("address", slice_of(address.bytes, address.len));
	}
	if (last_words[0] != '\0')
		fields[n++] = LF_TEXT("why", last_words);
	trace_conn_text(trace_own, serving, conn);
	if (serving != 0)
		fields[n++] = LF_TEXT(trace_conn_key(trace_own), conn);
	add_backtrace(&backtrace_text, context);
	fields[n++] = LF_SLICE("backtrace", slice_of(backtrace_text.bytes, backtrace_text.len));
	log_emit(LOG_ERROR, "crashed", fields);
}

/* Ends by the same signal: it is pending until this returns. */
static void on_crash(int signo, siginfo_t *info, void *context) {
	signal(signo, SIG_DFL);
	if (!is_crashing) {
		is_crashing = true;
		alarm(HANG_SECONDS);
		trace_event(crash, trace_get(&trace_own->serving), signo, is_sent(info) ? 0 : (uintptr_t)info->si_addr);
		tell(signo, info, context);
	}
	raise(signo);
}

/* --- the start --- */

static int note_loaded(struct dl_phdr_info *info, size_t size UNUSED, void *arg UNUSED) {
	const char *slash = strrchr(info->dlpi_name, '/'), *name = slash != NULL ? slash + 1 : info->dlpi_name;

	for (size_t i = 0; i < info->dlpi_phnum && loaded.count < PLACES_MAX; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		struct place *p = &loaded.place[loaded.count];

		if (h->p_type != PT_LOAD || (h->p_flags & PF_X) == 0)
			continue;
		strncpy(p->name, name[0] != '\0' ? name : program_invocation_short_name, sizeof(p->name) - 1);
		p->bias = info->dlpi_addr;
		p->start = info->dlpi_addr + h->p_vaddr;
		p->end = p->start + h->p_memsz;
		loaded.count++;
	}
	return 0;
}

void crash_init(void) {
	stack_t alternative = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
	void *frame;

	/* The first call loads the unwinder, for which a crash is too late. */
	(void)backtrace(&frame, 1);
	loaded.count = 0;
	dl_iterate_phdr(note_loaded, NULL);
	if (sigaltstack(&alternative, NULL) != 0)
		return;
	action.sa_sigaction = on_crash;
	sigfillset(&action.sa_mask);
	sigdelset(&action.sa_mask, SIGALRM);
	for (size_t i = 0; i < ARRAY_LEN(deadly); i++)
		sigaction(deadly[i], &action, NULL);
	last_words_are_told = true;
}
