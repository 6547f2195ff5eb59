/* Conversions to narrower integers. `make lint` rejects every other cast of a computed value to a narrower type.
 *
 * as_...: the caller has checked the range, or a comment states why the value fits. Builds with CHECK_NARROWING
 * (sanitizers, fuzzing) stop at a value that does not fit.
 * low_..., high_...: a part of the value is wanted, for instance one byte of a word that is sent. */
#ifndef HWLEARN_NARROW_H
#define HWLEARN_NARROW_H

#include <stdbool.h>
#include <stdint.h>

#ifdef CHECK_NARROWING
#define NARROW_REQUIRE(condition) ((condition) ? (void)0 : __builtin_trap())
#else
#define NARROW_REQUIRE(condition) ((void)0)
#endif

#define NARROW_INLINE static inline __attribute__((always_inline))

NARROW_INLINE bool fits_word(int32_t value)
{
    return value >= 0 && value <= 0xFFFF;
}

NARROW_INLINE uint8_t as_byte(int32_t value)
{
    NARROW_REQUIRE(value >= 0 && value <= 0xFF);
    return (uint8_t)value;
}

NARROW_INLINE uint16_t as_word(int32_t value)
{
    NARROW_REQUIRE(fits_word(value));
    return (uint16_t)value;
}

NARROW_INLINE int16_t as_int16(int32_t value)
{
    NARROW_REQUIRE(value >= INT16_MIN && value <= INT16_MAX);
    return (int16_t)value;
}

NARROW_INLINE uint8_t low_byte(uint16_t word)
{
    return (uint8_t)word;
}

NARROW_INLINE uint8_t high_byte(uint16_t word)
{
    return (uint8_t)(word >> 8);
}

NARROW_INLINE uint16_t low_word(uint32_t value)
{
    return (uint16_t)value;
}

NARROW_INLINE uint16_t high_word(uint32_t value)
{
    return (uint16_t)(value >> 16);
}

NARROW_INLINE uint32_t low_long(uint64_t value)
{
    return (uint32_t)value;
}

/* For the ports to a computer; the core has no floating point. */
NARROW_INLINE uint16_t word_of_double(double value)
{
    NARROW_REQUIRE(value > -1.0 && value < 65536.0);
    return (uint16_t)value;
}

#endif
