/* Models of the chips on the SPI bus after their data sheets: select, exchange bytes, deselect. */
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
    uint8_t written; /* mask of input registers not yet loaded into the outputs */
    uint8_t first; /* number of the DAC at channel 0 */
} ad5676r_t;

typedef struct {
    uint8_t sent[2], bytes; /* first two bytes of the frame; number of bytes */
    uint8_t ranges[8];
    uint8_t features;
    int8_t channel; /* negative: none selected yet */
    uint64_t released; /* cycle of the rising edge of CS, at which acquisition starts */
    bool silent;
    uint16_t result;
} ads8688_t;

typedef struct {
    uint16_t shift;
    uint8_t bytes;
    uint8_t first; /* number of the edge at RDAC 1 */
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
/* Set converters and switches to their power-up states; the potentiometers keep their codes. */
void chips_power_on(chips_t *chips);
/* Interrupt the ADC's supply. */
void chips_upset_adc(chips_t *chips);
void chips_fault(chips_t *chips, const char *what);

void chip_select(chips_t *chips, uint8_t which);
uint8_t chip_exchange(chips_t *chips, uint8_t which, uint8_t byte);
void chip_deselect(chips_t *chips, uint8_t which);

void chips_ldac(chips_t *chips); /* LDAC falls */
void chips_dac_reset(chips_t *chips, bool low);
void chips_switch_reset(chips_t *chips, bool low);

#endif
