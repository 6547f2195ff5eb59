/* Calibration record: 338 bytes, stored twice in the EEPROM so that one valid copy exists at any time. */
#ifndef HWLEARN_RECORD_H
#define HWLEARN_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "hal.h"

#define RECORD_SIZE 338u /* including the CRC */
#define RECORD_SERIAL 12u

typedef struct {
    int16_t gain_ppm;
    int16_t offset_uV;
} converter_t;

/* Contents of a record that the core uses. */
typedef struct {
    char serial[RECORD_SERIAL + 1u];
    int32_t volts_uV, nudge_uV;
    uint8_t edge_low, edge_high;
    converter_t dac[HAL_DACS];
    converter_t adc[HAL_ADCS];
} record_t;

/* Read the newest valid record (338 bytes) from the EEPROM. Return false if there is none. */
bool record_read(hal_t *hal, uint8_t *bytes);

/* Return whether 338 bytes are a plausible record. Generation and CRC are not checked. */
bool record_plausible(const uint8_t *bytes);

/* Decode 338 plausible bytes. */
void record_decode(record_t *record, const uint8_t *bytes);

/* Overwrite the older record with 338 bytes, in which generation and CRC are replaced. */
void record_store(hal_t *hal, uint8_t *bytes);

#endif
