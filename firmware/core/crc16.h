/* CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF, not reflected; "123456789" gives 0x29B1. */
#ifndef HWLEARN_CRC16_H
#define HWLEARN_CRC16_H

#include <stdint.h>

#include "narrow.h"

#define CRC16_START 0xFFFFu

/* Update the CRC by one byte; inline, for loops over many bytes. It works on single bytes and without a table,
 * because an 8-bit CPU executes these shifts as nibble swaps and masks. */
static inline __attribute__((always_inline)) uint16_t crc16_next(uint16_t crc, uint8_t byte)
{
    uint8_t above = high_byte(crc);
    uint8_t below = low_byte(crc);
    uint8_t x = (uint8_t)(above ^ byte);
    x ^= (uint8_t)(x >> 4);
    uint8_t high = (uint8_t)(below ^ (uint8_t)(x << 4) ^ (uint8_t)(x >> 3));
    uint8_t low = (uint8_t)((uint8_t)(x << 5) ^ x);
    return (uint16_t)((uint16_t)((uint16_t)high << 8) | low);
}

/* Update the CRC by one byte; an ordinary function, which saves flash. */
uint16_t crc16(uint16_t crc, uint8_t byte);

#endif
