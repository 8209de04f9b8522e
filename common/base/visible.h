/*
 * visible - which characters of a text can be seen. Pure; the input is hostile.
 *
 * Names are seen by others beside names they trust, so they hold nothing that is invisible or turns the text around it: no
 * control characters, no line or paragraph separators, no bidirectional controls.
 */
#ifndef COMMON_BASE_VISIBLE_H
#define COMMON_BASE_VISIBLE_H

#include "common/base/slice.h"

#define VISIBLE_BAD_CHARACTER UINT32_MAX

/* How many bytes at the front are surely characters from 0x20 to 0x7E, looking at eight at a time: it may stop before the first other
 * one. *is_visible becomes true when one of them is no blank. */
size_t visible_ascii_run(struct slice s, bool *is_visible);
/* Cuts one character off the front of a text that is not empty. The texts come from parsers that have checked their UTF-8; a broken
 * one is bad, not fatal. */
uint32_t visible_next(struct slice *s);
/* Also the bad one. */
bool visible_is_control(uint32_t c);
/* Line and paragraph separators; embeddings, overrides and isolates of the bidirectional algorithm. */
bool visible_is_format_control(uint32_t c);
/* Shows as nothing: white space, and the characters without width that are used to look like somebody else. */
bool visible_is_blank(uint32_t c);
/* Something to see, and nothing that may not be in a name. *characters: how many. */
bool visible_is_plain(struct slice s, size_t *characters);

#endif
