/* Numbers as text: decimal to fixed point and back, in integers alone. */
#ifndef HWLEARN_NUMBERS_H
#define HWLEARN_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum { NUMBER_OK, NUMBER_NONE, NUMBER_RANGE } number_t;

/* Read text such as "-12", "0.5" or "5e-07", times 10^shift, rounded to the nearest integer, halves away from zero. */
number_t number_read(const char *text, uint8_t size, int8_t shift, int32_t *value);

/* Write an integer and a final 0 into out, which has room for 12; return where the 0 is. */
char *number_write(char *out, int32_t value);

/* Write millionths as a decimal number, "-0.500000"; room for 13. */
char *number_write_micro(char *out, int32_t micro);

/* (a b) / c, rounded to the nearest integer, halves away from zero; b + 2 c < 2^32. */
int32_t number_scaled(int32_t a, uint32_t b, uint32_t c);

#endif
