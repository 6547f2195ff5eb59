/* SPI and the pins beside it: what the MCU writes into its registers reaches the chips, in the time that it takes. */
#ifndef HWLEARN_EMU_BUS_H
#define HWLEARN_EMU_BUS_H

#include <simavr/sim_avr.h>
#include <stdbool.h>
#include <stdint.h>

#include "chips.h"

typedef struct {
    avr_t *avr;
    chips_t *chips;
    uint32_t lines; /* levels as the chips last saw them */
    bool supervised; /* the supervisor holds the RESET lines low */
    uint64_t kicked; /* cycle of the newest edge on the kick line */
    /* SPI */
    bool busy, seen; /* a byte is under way; SPSR was read with SPIF set */
    uint8_t out, in;
} bus_t;

void bus_begin(bus_t *bus, avr_t *avr, chips_t *chips);
void bus_reset(bus_t *bus); /* the MCU was reset: its pins float */
void bus_supervise(bus_t *bus, bool low);

#endif
