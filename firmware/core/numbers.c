#include "numbers.h"

#define MOST_DIGITS 9 /* of a mantissa; further ones only count as powers of ten */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

number_t number_read(const char *text, uint8_t size, int8_t shift, int32_t *value)
{
    uint8_t k = 0;
    bool negative = false;
    if (k < size && (text[k] == '+' || text[k] == '-')) {
        negative = text[k++] == '-';
    }
    uint32_t mantissa = 0;
    int16_t power = shift;
    uint8_t kept = 0;
    bool any = false;
    bool fraction = false;
    for (; k < size; k++) {
        if (text[k] == '.' && !fraction) {
            fraction = true;
            continue;
        }
        if (!is_digit(text[k])) {
            break;
        }
        any = true;
        if (kept < MOST_DIGITS) {
            mantissa = mantissa * 10u + (uint32_t)(text[k] - '0');
            kept = (uint8_t)(kept + (mantissa != 0));
            power = (int16_t)(power - fraction);
        } else {
            power = (int16_t)(power + !fraction);
        }
    }
    if (!any) {
        return NUMBER_NONE;
    }
    if (k < size && (text[k] == 'e' || text[k] == 'E')) {
        bool down = false;
        int16_t exponent = 0;
        k++;
        if (k < size && (text[k] == '+' || text[k] == '-')) {
            down = text[k++] == '-';
        }
        if (k == size) {
            return NUMBER_NONE;
        }
        for (; k < size && is_digit(text[k]); k++) {
            if (exponent < 1000) {
                exponent = (int16_t)(exponent * 10 + (text[k] - '0'));
            }
        }
        power = (int16_t)(down ? power - exponent : power + exponent);
    }
    if (k != size) {
        return NUMBER_NONE;
    }
    if (mantissa == 0) {
        *value = 0;
        return NUMBER_OK;
    }
    uint8_t dropped = 0; /* the digit that rounds */
    for (; power < 0; power++) {
        dropped = (uint8_t)(mantissa % 10u);
        mantissa /= 10u;
        if (mantissa == 0 && dropped == 0) {
            break;
        }
    }
    mantissa += dropped >= 5u;
    for (; power > 0; power--) {
        if (mantissa > 214748364u) {
            return NUMBER_RANGE;
        }
        mantissa *= 10u;
    }
    if (mantissa > 2147483647u) {
        return NUMBER_RANGE;
    }
    *value = negative ? -(int32_t)mantissa : (int32_t)mantissa;
    return NUMBER_OK;
}

static char *unsigned_write(char *out, uint32_t value, uint8_t least)
{
    char digits[10];
    uint8_t n = 0;
    do {
        digits[n++] = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0 || n < least);
    while (n > 0) {
        *out++ = digits[--n];
    }
    *out = '\0';
    return out;
}

static uint32_t magnitude(int32_t value)
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
    /* long multiplication from the highest bit, dividing as it goes: small on a machine without 64-bit numbers */
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
