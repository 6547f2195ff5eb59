/* Hard limits: set from the calibration record at power-up. The host can narrow them but never widen them. */
#ifndef HWLEARN_LIMITS_H
#define HWLEARN_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "hal.h"
#include "record.h"

#define FLOATING 0xFFFFu /* nudge code or target of an output that floats */

typedef struct {
    int32_t volts_uV, nudge_uV;
    uint8_t edge_low, edge_high;
    /* the same limits in codes */
    uint16_t low[HAL_DACS], high[HAL_DACS];
    uint16_t nudge_dac_codes[HAL_OUTPUTS]; /* nudge limit in DAC codes */
    uint16_t nudge_adc_codes[HAL_OUTPUTS]; /* nudge limit in ADC codes */
} limits_t;

/* Set the limits of the record. */
void limits_load(limits_t *limits, const record_t *record);

/* Narrow a limit. Return false, and change nothing, if the value is wider than the limit or not valid. */
bool limits_narrow_volts(limits_t *limits, const record_t *record, int32_t uV);
bool limits_narrow_nudge(limits_t *limits, const record_t *record, int32_t uV);
bool limits_narrow_edges(limits_t *limits, int32_t low, int32_t high);

static inline bool limits_allow(const limits_t *limits, uint8_t channel, uint16_t code)
{
    return code >= limits->low[channel] && code <= limits->high[channel];
}

#endif
