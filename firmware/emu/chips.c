/* Models of the chips on the SPI bus after their data sheets. */
#include "chips.h"

#include <string.h>

#define MIDSCALE 0x8000u
#define ACQUIRE_CYCLES 19u /* of 62.5 ns: 1.15 us (SBAS582C 6.6, tACQ) */

void chips_fault(chips_t *c, const char *what)
{
    c->faults++;
    c->fault = what;
}

/* --- AD5676R: data sheet, Input Shift Register, Table of commands ------------------------------------ */

static void dac_load(chips_t *c, ad5676r_t *dac)
{
    for (uint8_t k = 0; k < 8u; k++) {
        if (dac->written >> k & 1u) {
            world_move(c->world, (uint8_t)(dac->first + k), dac->input[k]);
        }
    }
    dac->written = 0;
}

static void dac_execute(chips_t *c, ad5676r_t *dac)
{
    uint8_t command = (uint8_t)(dac->frame.shift >> 20 & 0xFu);
    uint8_t address = (uint8_t)(dac->frame.shift >> 16 & 0xFu);
    uint16_t data = (uint16_t)dac->frame.shift;
    if (dac->frame.bytes != 3u) {
        chips_fault(c, "AD5676R: a frame that does not have 24 bits");
        return;
    }
    if (c->dac_reset) {
        chips_fault(c, "AD5676R: a command while RESET is low");
        return;
    }
    if (command == 0) {
        return;
    }
    if (command != 1u || address > 7u) {
        chips_fault(c, "AD5676R: unknown command");
        return;
    }
    dac->input[address] = data;
    dac->written |= (uint8_t)(1u << address);
}

void chips_ldac(chips_t *c)
{
    if (c->dac_reset) {
        return; /* ignored (Hardware Reset) */
    }
    c->world->loads++;
    dac_load(c, &c->dac[0]);
    dac_load(c, &c->dac[1]);
}

void chips_dac_reset(chips_t *c, bool low)
{
    if (low && !c->dac_reset) {
        for (uint8_t n = 0; n < 2u; n++) {
            for (uint8_t k = 0; k < 8u; k++) {
                c->dac[n].input[k] = MIDSCALE;
            }
            c->dac[n].written = 0xFF;
            dac_load(c, &c->dac[n]);
        }
    }
    c->dac_reset = low;
}

/* --- ADG714: data sheet, Theory of Operation --------------------------------------------------------- */

void chips_switch_reset(chips_t *c, bool low)
{
    c->switch_reset = low;
    if (low) {
        c->switch_shift = 0;
        world_switch(c->world, 0);
    }
}

/* --- ADS8688: SBAS582C 8.4 and 8.5 ------------------------------------------------------------------- */

static void adc_defaults(ads8688_t *adc)
{
    memset(adc->ranges, 0, sizeof adc->ranges); /* -10.24 V to 10.24 V */
    adc->features = 0;
    adc->channel = -1;
}

void chips_upset_adc(chips_t *c)
{
    adc_defaults(&c->adc);
}

/* Falling edge of CS: sample and convert the selected channel. */
static void adc_convert(chips_t *c, ads8688_t *adc)
{
    adc->result = 0;
    adc->silent = false;
    if (c->now - adc->released < ACQUIRE_CYCLES) {
        chips_fault(c, "ADS8688: acquisition time below 1.15 us");
    }
    if (adc->channel < 0) {
        return;
    }
    uint8_t channel = (uint8_t)adc->channel;
    if (!world_convert(c->world, channel, &adc->result)) {
        adc->silent = true;
    } else if (adc->ranges[channel] == 0) { /* -10.24 V to 10.24 V: four times the step, 0 V at midscale */
        adc->result = (uint16_t)(32768u + adc->result / 4u);
    } else if (adc->ranges[channel] != 6u) {
        chips_fault(c, "ADS8688: unknown range");
    }
}

static uint8_t adc_exchange(ads8688_t *adc, uint8_t byte)
{
    uint8_t n = adc->bytes;
    if (n < sizeof adc->sent) {
        adc->sent[n] = byte;
    }
    adc->bytes = n < 200u ? (uint8_t)(n + 1u) : n;
    if (adc->silent) {
        return PULLED_UP;
    }
    if (n == 2u) {
        return (uint8_t)(adc->result >> 8);
    }
    if (n == 3u) {
        return (uint8_t)adc->result;
    }
    if (n == 4u && adc->channel >= 0 && (adc->features & 7u) == 3u) {
        uint8_t channel = (uint8_t)adc->channel;
        return (uint8_t)(channel << 4 | (adc->features >> 6) << 2 | adc->ranges[channel] >> 1);
    }
    return 0;
}

static void adc_execute(chips_t *c, ads8688_t *adc)
{
    uint8_t first = adc->sent[0];
    uint8_t second = adc->sent[1];
    if (adc->bytes < 2u) {
        chips_fault(c, "ADS8688: a frame of less than 16 bits");
    } else if (first & 0x80u) {
        if (second != 0) {
            chips_fault(c, "ADS8688: a command whose second byte is not 0");
        } else if ((first & 0xE3u) == 0xC0u) {
            adc->channel = (int8_t)(first >> 2 & 7u);
        } else if (first == 0x85u) {
            adc_defaults(adc);
        } else {
            chips_fault(c, "ADS8688: unknown command");
        }
    } else if (first & 1u) {
        uint8_t address = first >> 1;
        if (adc->bytes < 3u) {
            chips_fault(c, "ADS8688: a register write of less than 24 bits");
        } else if (address == 3u) {
            adc->features = second;
        } else if (address >= 5u && address <= 12u) {
            adc->ranges[address - 5u] = second;
        } else {
            chips_fault(c, "ADS8688: unknown register");
        }
    } else if (first != 0) {
        chips_fault(c, "ADS8688: register read, which is not modelled");
    }
}

/* --- AD5144: data sheet, Table 14 and Daisy-Chain Connection ---------------------------------------- */

static void edge_execute(chips_t *c, ad5144_t *edge)
{
    uint8_t command = (uint8_t)(edge->shift >> 12);
    uint8_t address = (uint8_t)(edge->shift >> 8 & 0xFu);
    uint8_t data = (uint8_t)edge->shift;
    if (edge->bytes < 2u) {
        chips_fault(c, "AD5144: a frame of less than 16 bits");
    } else if (command == 1u && address < 4u) {
        world_edge(c->world, (uint8_t)(edge->first + address), data);
    } else if (command == 3u && address < 4u && (data & 3u) == 3u) {
        edge->shift = c->world->edges[edge->first + address];
    } else if (command != 0) {
        chips_fault(c, "AD5144: unknown command");
    }
}

/* --- the bus ----------------------------------------------------------------------------------------- */

void chips_begin(chips_t *c, world_t *world)
{
    memset(c, 0, sizeof *c);
    c->world = world;
    c->fault = "";
    c->dac[1].first = 8;
    for (uint8_t k = 0; k < 8u; k++) {
        c->edge[k].first = (uint8_t)(4u * k);
    }
}

void chips_power_on(chips_t *c)
{
    chips_switch_reset(c, true);
    chips_dac_reset(c, false);
    chips_dac_reset(c, true);
    adc_defaults(&c->adc);
}

void chip_select(chips_t *c, uint8_t which)
{
    if (which < SELECT_SWITCHES) {
        c->dac[which].frame = (frame_t){0, 0};
    } else if (which == SELECT_ADC) {
        c->adc.bytes = 0;
        c->adc.sent[0] = c->adc.sent[1] = 0;
        adc_convert(c, &c->adc);
    } else if (which >= SELECT_EDGES) {
        c->edge[which - SELECT_EDGES].bytes = 0;
    }
}

uint8_t chip_exchange(chips_t *c, uint8_t which, uint8_t byte)
{
    if (which < SELECT_SWITCHES) {
        frame_t *frame = &c->dac[which].frame;
        frame->shift = frame->shift << 8 | byte;
        frame->bytes++;
    } else if (which == SELECT_SWITCHES) {
        c->switch_shift = byte;
    } else if (which == SELECT_ADC) {
        return adc_exchange(&c->adc, byte);
    } else if (!c->unplugged) {
        ad5144_t *edge = &c->edge[which - SELECT_EDGES];
        uint8_t out = (uint8_t)(edge->shift >> 8);
        edge->shift = (uint16_t)((uint16_t)(edge->shift << 8) | byte);
        edge->bytes++;
        return out;
    }
    return PULLED_UP;
}

void chip_deselect(chips_t *c, uint8_t which)
{
    if (which < SELECT_SWITCHES) {
        dac_execute(c, &c->dac[which]);
    } else if (which == SELECT_SWITCHES) {
        if (c->switch_reset) {
            chips_fault(c, "ADG714: a command while RESET is low");
        } else {
            world_switch(c->world, c->switch_shift);
        }
    } else if (which == SELECT_ADC) {
        c->adc.released = c->now;
        adc_execute(c, &c->adc);
    } else if (!c->unplugged) {
        edge_execute(c, &c->edge[which - SELECT_EDGES]);
    }
}
