/* redis_epoch - names for new lives of channels: none comes twice, on any host */
#include "broker/redis_epoch.h"

#include "common/base/digest.h"

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
enum { DIGITS = sizeof(digits) - 1 };
/* 62^8, and a step without a common divisor with it (62 is 2 * 31), near its golden section. */
static const uint64_t values = UINT64_C(218340105584896), step = UINT64_C(134941606358731);

void redis_epochs_init(struct redis_epochs *e) {
	random_bytes(&e->next, sizeof(e->next));
	e->next %= values;
}

struct slice redis_epochs_next(struct redis_epochs *e) {
	uint64_t n = e->next;

	e->next = (e->next + step) % values;
	for (int i = 0; i < REDIS_EPOCH_LEN; i++, n /= DIGITS)
		e->text[i] = digits[n % DIGITS];
	return slice_of(e->text, REDIS_EPOCH_LEN);
}
