/*
 * json_compared - what json_read() makes of a text, beside what jansson makes of it
 */
#ifndef TESTS_UNIT_JSON_COMPARED_H
#define TESTS_UNIT_JSON_COMPARED_H

#include "common/base/slice.h"

/* Ends the process where they differ, but in what json_read.h says of names that come twice. */
void json_compare(struct slice text);

#endif
