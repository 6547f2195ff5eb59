/* Emulated SPI bus and pins: pass the MCU's register accesses to the chip models, with the timing of the bus. */
#ifndef HWLEARN_EMU_BUS_H
#define HWLEARN_EMU_BUS_H

#include <simavr/sim_avr.h>
#include <stdbool.h>
#include <stdint.h>

#include "chips.h"

typedef struct {
    avr_t *avr;
    chips_t *chips;
    uint32_t lines; /* latest levels passed to the chips */
    bool supervised; /* the supervisor holds the RESET lines low */
    uint64_t kicked; /* cycle of the latest edge on the kick line */
    /* SPI */
    bool busy, seen; /* a transfer is in progress; SPSR was read with SPIF set */
    uint8_t out, in;
} bus_t;

void bus_begin(bus_t *bus, avr_t *avr, chips_t *chips);
void bus_reset(bus_t *bus); /* the MCU was reset: its pins float */
void bus_supervise(bus_t *bus, bool low);

#endif
