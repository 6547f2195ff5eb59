/* Constants that stay in flash: on the AVR plain constants are copied to RAM, of which there is little. */
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

/* Not to be built into its callers: on the AVR large frames and many copies cost flash. */
#define APART __attribute__((noinline))

#endif
