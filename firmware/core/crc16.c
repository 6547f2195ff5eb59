#include "crc16.h"

uint16_t crc16(uint16_t crc, uint8_t byte)
{
    /* without a table: on an 8-bit machine the shifts are byte moves */
    uint8_t x = (uint8_t)((crc >> 8) ^ byte);
    x ^= (uint8_t)(x >> 4);
    return (uint16_t)((uint16_t)(crc << 8) ^ (uint16_t)((uint16_t)x << 12) ^ (uint16_t)((uint16_t)x << 5) ^ x);
}
