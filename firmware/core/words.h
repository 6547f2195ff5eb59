/* Case conversion and word comparison, without the locale tables of the C library. */
#ifndef HWLEARN_WORDS_H
#define HWLEARN_WORDS_H

#include <stdbool.h>

#include "parser.h"

static inline bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static inline char upper(char c)
{
    return is_lower(c) ? (char)(c - 'a' + 'A') : c;
}

/* Return whether a parameter, in any case, equals a word in flash, given in capitals. */
bool same_word(const parameter_t *from, const char *rom);

#endif
