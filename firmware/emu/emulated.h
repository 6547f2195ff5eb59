/* State of the emulated board: the MCU, the models of its peripherals and of the chips on the board. */
#ifndef HWLEARN_EMU_EMULATED_H
#define HWLEARN_EMU_EMULATED_H

#include <simavr/sim_avr.h>
#include <simavr/sim_io.h>
#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "chips.h"
#include "eeprom.h"
#include "emu.h"
#include "uart.h"
#include "world.h"

#define CYCLES_PER_US 16u

struct emu {
    avr_t *avr;
    avr_io_t watcher; /* called at every reset of the MCU */
    world_t world;
    chips_t chips;
    bus_t bus;
    uart_t uart;
    eeprom_t eeprom;
    bool on, stopped, powering;
    uint64_t lost_cycles; /* time without power or clock */
    uint32_t resets, trips;
};

#endif
