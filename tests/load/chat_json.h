/*
 * chat_json - members of the JSON objects that the chat sends
 *
 * Not a parser: whatever is no JSON has no members. Pure.
 */
#ifndef TESTS_LOAD_CHAT_JSON_H
#define TESTS_LOAD_CHAT_JSON_H

#include "common/base/slice.h"

/* The value of a member of the object itself, not of what is in it; as it stands there, texts without their quotes. Empty: there is none. */
struct slice chat_json_member(struct slice object, const char *name);
/* The same in an object of which all values are texts and numbers, and faster. In a text, each quote has a backslash before it, so
 * what stands between two quotes and a colon is a name. */
struct slice chat_json_flat(struct slice object, const char *quoted_name_and_colon);
uint64_t chat_json_number(struct slice value);
/* How many of the objects in an array are of this type, which stands first in each. */
uint64_t chat_json_count(struct slice array, const char *type);

#endif
