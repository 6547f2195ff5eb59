/* Constants in flash. Without PROGMEM the AVR copies constants to RAM, which is small. */
#ifndef HWLEARN_ROM_H
#define HWLEARN_ROM_H

#include <string.h>

#ifdef __AVR__
#include <avr/pgmspace.h>
#define ROM PROGMEM
#define rom_byte(address) pgm_read_byte(address)
#define rom_word(address) pgm_read_word(address)
#define rom_copy(to, from, size) ((void)memcpy_P((to), (from), (size)))
#define ROM_TEXT(text) PSTR(text)
#else
#define ROM
#define rom_byte(address) (*(const uint8_t *)(address))
#define rom_word(address) (*(const uint16_t *)(address))
#define rom_copy(to, from, size) ((void)memcpy((to), (from), (size)))
#define ROM_TEXT(text) (text)
#endif

/* Prevents inlining: on the AVR, large stack frames and repeated code cost flash. */
#define NOINLINE __attribute__((noinline))

#endif
