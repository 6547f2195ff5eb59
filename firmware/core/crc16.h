/* CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF, not reflected; "123456789" gives 0x29B1. */
#ifndef HWLEARN_CRC16_H
#define HWLEARN_CRC16_H

#include <stdint.h>

#define CRC16_START 0xFFFFu

/* One byte more. Without a table: on an 8-bit machine the shifts are byte moves. */
static inline uint16_t crc16(uint16_t crc, uint8_t byte)
{
    uint8_t x = (uint8_t)((crc >> 8) ^ byte);
    x ^= (uint8_t)(x >> 4);
    return (uint16_t)((uint16_t)(crc << 8) ^ (uint16_t)((uint16_t)x << 12) ^ (uint16_t)((uint16_t)x << 5) ^ x);
}

#endif
