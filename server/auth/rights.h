/*
 * rights - what somebody may do, and where. Pure.
 */
#ifndef SERVER_AUTH_RIGHTS_H
#define SERVER_AUTH_RIGHTS_H

#include "common/base/slice.h"

enum auth_right {
#define AUTH_RIGHT(name, bit) RIGHT_##name = 1 << (bit),
#include "server/auth/rights.tbl"
};

enum { PATTERN_MAX = 128 };

/* The bit of the right of this name, or 0. */
uint8_t right_find(struct slice name);
/* '*' in the pattern stands for any run of characters, also none. Time: at most the product of the lengths. */
bool pattern_matches(struct slice pattern, struct slice text);

#endif
