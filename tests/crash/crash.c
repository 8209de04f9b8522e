/* crash - the mistakes */
#include "tests/crash/crash.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

/* The page behind the end of a file. */
static void read_what_is_not_there(void) {
	int fd = memfd_create("crash", MFD_CLOEXEC);
	volatile char *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	(void)page[0];
}

static unsigned overflow(unsigned depth) {
	volatile uint8_t frame[4096];

	frame[0] = (uint8_t)depth;
	return depth > 0 ? overflow(depth - 1) + frame[0] : 0;
}

static void write_nowhere(void) {
	volatile int *volatile nowhere = (volatile int *)(uintptr_t)0x10;

	*nowhere = 1;
}

void crash_on_order(struct slice order) {
	void (*volatile no_function)(void) = NULL;

	if (slice_eq_text(order, "crash:SEGV"))
		write_nowhere();
	else if (slice_eq_text(order, "crash:STACK"))
		overflow(UINT32_MAX);
	else if (slice_eq_text(order, "crash:JUMP"))
		no_function();
	else if (slice_eq_text(order, "crash:BUS"))
		read_what_is_not_there();
	else if (slice_eq_text(order, "crash:FPE"))
		raise(SIGFPE);
	else if (slice_eq_text(order, "crash:ILL"))
		__builtin_trap();
	else
		BUG_ON(slice_eq_text(order, "crash:BUG"));
}
