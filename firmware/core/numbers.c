/* Conversion between decimal text and fixed-point numbers, in integer arithmetic. */
#include "numbers.h"

#include "narrow.h"
#include "rom.h"

#define MANTISSA_FULL 100000000u /* further digits change only the power of ten */
#define EXPONENT_MAX 20         /* larger exponents overflow or underflow in any case */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Return the sign with which the text starts; 0: none. */
NOINLINE static char sign_of(const char *text, const char *end)
{
    if (text < end && (*text == '-' || *text == '+')) {
        return *text;
    }
    return '\0';
}

number_t number_read(const char *text, uint8_t size, int8_t shift, int32_t *value)
{
    const char *end = text + size;
    char sign = sign_of(text, end);
    text += sign != 0;
    uint32_t mantissa = 0;
    int16_t power = shift;
    bool any = false;
    bool fraction = false;
    for (; text < end; text++) {
        if (is_digit(*text)) {
            any = true;
            bool kept = mantissa < MANTISSA_FULL;
            if (kept) {
                mantissa = mantissa * 10u + (uint8_t)(*text - '0');
            }
            power = (int16_t)(power + (kept ? 0 : 1) - (fraction ? 1 : 0));
        } else if (*text == '.' && !fraction) {
            fraction = true;
        } else {
            break;
        }
    }
    if (any && text < end && (*text == 'e' || *text == 'E')) {
        text++;
        char direction = sign_of(text, end);
        text += direction != 0;
        uint8_t exponent = 0;
        any = text < end;
        for (; text < end && is_digit(*text); text++) {
            if (exponent < EXPONENT_MAX) {
                exponent = (uint8_t)(exponent * 10u + (uint8_t)(*text - '0'));
            }
        }
        power = (int16_t)(direction == '-' ? power - exponent : power + exponent);
    }
    if (!any || text != end) {
        return NUMBER_NONE;
    }
    uint8_t dropped = 0; /* last dropped digit, for rounding */
    for (; power < 0 && (mantissa | dropped); power++) {
        dropped = as_byte((int32_t)(mantissa % 10u));
        mantissa /= 10u;
    }
    mantissa += dropped >= 5u;
    for (; power > 0 && mantissa && mantissa < 214748364u; power--) {
        mantissa *= 10u;
    }
    if ((power > 0 && mantissa) || mantissa > 2147483647u) {
        return NUMBER_RANGE;
    }
    *value = sign == '-' ? -(int32_t)mantissa : (int32_t)mantissa;
    return NUMBER_OK;
}

static char *unsigned_write(char *out, uint32_t value, uint8_t min_digits)
{
    char digits[10];
    uint8_t n = 0;
    do {
        digits[n++] = (char)('0' + as_byte((int32_t)(value % 10u)));
        value /= 10u;
    } while (value != 0 || n < min_digits);
    while (n > 0) {
        *out++ = digits[--n];
    }
    *out = '\0';
    return out;
}

NOINLINE static uint32_t magnitude(int32_t value)
{
    return value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
}

char *number_write(char *out, int32_t value)
{
    if (value < 0) {
        *out++ = '-';
    }
    return unsigned_write(out, magnitude(value), 1);
}

char *number_write_micro(char *out, int32_t micro)
{
    if (micro < 0) {
        *out++ = '-';
    }
    out = unsigned_write(out, magnitude(micro) / 1000000u, 1);
    *out++ = '.';
    return unsigned_write(out, magnitude(micro) % 1000000u, 6);
}

int32_t number_scaled(int32_t a, uint32_t b, uint32_t c)
{
    /* bitwise multiplication with interleaved division: needs no 64-bit arithmetic, which is large on an AVR */
    uint32_t bits = magnitude(a);
    uint32_t quotient = 0;
    uint32_t rest = 0;
    for (uint8_t k = 32; k > 0; k--) {
        quotient <<= 1;
        rest <<= 1;
        if (bits & 0x80000000u) {
            rest += b;
        }
        bits <<= 1;
        while (rest >= c) {
            rest -= c;
            quotient++;
        }
    }
    if (rest >= c - rest) {
        quotient++;
    }
    return a < 0 ? -(int32_t)quotient : (int32_t)quotient;
}
