/* CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF, not reflected; "123456789" gives 0x29B1. */
#ifndef HWLEARN_CRC16_H
#define HWLEARN_CRC16_H

#include <stdint.h>

#define CRC16_START 0xFFFFu

/* One byte more. */
uint16_t crc16(uint16_t crc, uint8_t byte);

#endif
