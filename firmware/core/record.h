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

/* What the core keeps of a record in RAM. */
typedef struct {
    char serial[RECORD_SERIAL + 1u];
    int32_t volts_uV, nudge_uV;
    uint8_t edge_low, edge_high;
    converter_t dac[HAL_DACS];
    converter_t adc[HAL_ADCS];
} record_t;

/* Find the newest whole record; false if there is none. */
bool record_load(hal_t *hal, record_t *record);

/* Read one byte of the newest whole record (338 of them). */
uint8_t record_byte(hal_t *hal, uint16_t index);

/* Whether 338 bytes hold a plausible record; their generation and CRC do not matter. */
bool record_plausible(const uint8_t *bytes);

/* Write 338 bytes over the older record, with a generation and a CRC of their own; false if they do not read back. */
bool record_store(hal_t *hal, const uint8_t *bytes);

#endif
