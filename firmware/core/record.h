/* The calibration record: 338 bytes, kept twice in the EEPROM so that one is whole at any moment. */
#ifndef HWLEARN_RECORD_H
#define HWLEARN_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "hal.h"

#define RECORD_SIZE 338u /* its CRC included */
#define RECORD_SERIAL 12u

typedef struct {
    int16_t gain_ppm;
    int16_t offset_uV;
} converter_t;

/* What the core keeps of a record. */
typedef struct {
    char serial[RECORD_SERIAL + 1u];
    int32_t volts_uV, nudge_uV;
    uint8_t edge_low, edge_high;
    converter_t dac[HAL_DACS];
    converter_t adc[HAL_ADCS];
} record_t;

/* Read the newest whole record from the EEPROM, 338 bytes; false if there is none. */
bool record_read(hal_t *hal, uint8_t *bytes);

/* Whether 338 bytes hold a plausible record; their generation and CRC do not matter. */
bool record_plausible(const uint8_t *bytes);

/* Take what the core needs out of 338 plausible bytes. */
void record_take(record_t *record, const uint8_t *bytes);

/* Write 338 bytes over the older record, with a generation and a CRC of their own; they are spoilt thereby. */
void record_store(hal_t *hal, uint8_t *bytes);

#endif
