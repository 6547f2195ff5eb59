/* Conversion between decimal text and fixed-point numbers, in integer arithmetic. */
#ifndef HWLEARN_NUMBERS_H
#define HWLEARN_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum { NUMBER_OK, NUMBER_NONE, NUMBER_RANGE } number_t;

/* Read text such as "-12", "0.5" or "5e-07", multiply by 10^shift and round to the nearest integer, halves away
 * from zero. */
number_t number_read(const char *text, uint8_t size, int8_t shift, int32_t *value);

/* Write an integer and a terminating zero to out (12 bytes). Return the address of the zero. */
char *number_write(char *out, int32_t value);

/* Write a value in millionths as a decimal number such as "-0.500000" (13 bytes). */
char *number_write_micro(char *out, int32_t micro);

/* Return a b / c, rounded to the nearest integer, halves away from zero. Requires b + 2 c < 2^32. */
int32_t number_scaled(int32_t a, uint32_t b, uint32_t c);

#endif
