/*
 * quiet_check - assertions for walks of millions of steps
 *
 * Check tells its parent the place of every assertion, with a write each, which takes most of such a test's time. With this header
 * only one that fails is told.
 */
#ifndef TESTS_UNIT_QUIET_CHECK_H
#define TESTS_UNIT_QUIET_CHECK_H

#include <check.h>

#undef ck_assert_msg
#define ck_assert_msg(is_true, ...) ((is_true) ? (void)0 : ck_abort_msg(__VA_ARGS__))

#endif
