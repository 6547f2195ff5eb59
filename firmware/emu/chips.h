/* The chips on the SPI bus, each as its data sheet has it: select, exchange bytes, deselect. */
#ifndef HWLEARN_EMU_CHIPS_H
#define HWLEARN_EMU_CHIPS_H

#include <stdbool.h>
#include <stdint.h>

#include "world.h"

enum { SELECT_DAC_INPUTS, SELECT_DAC_NUDGES, SELECT_SWITCHES, SELECT_ADC, SELECT_EDGES, SELECTS = SELECT_EDGES + 8 };

#define PULLED_UP 0xFFu /* what MISO reads when no chip drives it */

typedef struct {
    uint32_t shift;
    uint8_t bytes;
} frame_t;

typedef struct {
    frame_t frame;
    uint16_t input[8];
    uint8_t written; /* input registers that the outputs do not have yet */
    uint8_t first; /* channel 0 is this DAC of the world */
} ad5676r_t;

typedef struct {
    uint8_t sent[2], bytes; /* the first two bytes of a frame count */
    uint8_t ranges[8];
    uint8_t features;
    int8_t channel; /* negative: none chosen yet */
    uint64_t released; /* cycle at which CS rose: it acquires since then */
    bool silent;
    uint16_t result;
} ads8688_t;

typedef struct {
    uint16_t shift;
    uint8_t bytes;
    uint8_t first; /* RDAC 1 is this edge of the world */
} ad5144_t;

typedef struct {
    world_t *world;
    uint64_t now; /* cycle of the MCU */
    ad5676r_t dac[2];
    uint8_t switch_shift;
    ads8688_t adc;
    ad5144_t edge[8];
    bool dac_reset, switch_reset; /* RESET lines are low */
    bool unplugged;
    uint64_t faults;
    const char *fault;
} chips_t;

void chips_begin(chips_t *chips, world_t *world);
/* Converters and switches as after power-up; potentiometers keep what they have. */
void chips_power_on(chips_t *chips);
/* The ADC's supply dips. */
void chips_upset_adc(chips_t *chips);
void chips_fault(chips_t *chips, const char *what);

void chip_select(chips_t *chips, uint8_t which);
uint8_t chip_exchange(chips_t *chips, uint8_t which, uint8_t byte);
void chip_deselect(chips_t *chips, uint8_t which);

void chips_ldac(chips_t *chips); /* LDAC falls */
void chips_dac_reset(chips_t *chips, bool low);
void chips_switch_reset(chips_t *chips, bool low);

#endif
