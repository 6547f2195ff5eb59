/* Letters and words, without the tables that the C library has for other alphabets. */
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

/* Whether a parameter, in any case, is a word in capitals in flash. */
bool same_word(const parameter_t *from, const char *rom);

#endif
