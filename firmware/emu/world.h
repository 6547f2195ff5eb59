/* Analog circuit between DACs and ADC, with the arithmetic of boards/host/converters.c: without noise, both boards
 * read the same codes. */
#ifndef HWLEARN_EMU_WORLD_H
#define HWLEARN_EMU_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "emu.h"
#include "noise.h"

enum { DACS = 16, ADCS = 8, EDGES = 32, SWITCH_STATES = 16 };

typedef struct {
    uint16_t dac[DACS];
    double dac_volts[DACS];
    uint8_t closed;
    uint8_t edges[EDGES];

    emu_analog_fn analog;
    emu_edges_fn on_edges;
    void *user;
    bool known[SWITCH_STATES];
    double transfer[SWITCH_STATES][ADCS][DACS];
    bool solved; /* volts are valid for the present DAC codes, switches and edges */
    double volts[ADCS];

    double dac_gain[DACS], dac_offset[DACS], adc_gain[ADCS], adc_offset[ADCS];
    double noise_volts;
    noise_t noise;

    uint16_t low[DACS], high[DACS];
    uint64_t violations, loads;
    uint64_t moved_closed; /* changes of a DAC code while a switch was closed */
} world_t;

void world_begin(world_t *world);
void world_move(world_t *world, uint8_t channel, uint16_t code);
void world_switch(world_t *world, uint8_t closed);
void world_edge(world_t *world, uint8_t edge, uint8_t code);
/* Convert one channel. Return false if the ADC must not respond. */
bool world_convert(world_t *world, uint8_t channel, uint16_t *code);

#endif
