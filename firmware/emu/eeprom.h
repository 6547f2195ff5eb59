/* EEPROM with its write time (ATmega2560 data sheet, 8.6), which simavr does not model. */
#ifndef HWLEARN_EMU_EEPROM_H
#define HWLEARN_EMU_EEPROM_H

#include <simavr/sim_avr.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    avr_t *avr;
    uint8_t *bytes; /* memory of simavr */
    uint64_t armed; /* cycle at which EEMPE was set */
    uint64_t written; /* cycle of the latest write */
    uint64_t cycles_per_write;
} eeprom_t;

enum { EEPROM_SIZE = 4096, EEPROM_WRITE_US = 3400 };

void eeprom_begin(eeprom_t *eeprom, avr_t *avr);

#endif
