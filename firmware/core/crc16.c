/* CRC-16/CCITT-FALSE as an ordinary function. */
#include "crc16.h"

uint16_t crc16(uint16_t crc, uint8_t byte)
{
    return crc16_next(crc, byte);
}
