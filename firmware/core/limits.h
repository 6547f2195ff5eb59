/* What no host may exceed: from the calibration record at power-up, narrowed and never widened by the host. */
#ifndef HWLEARN_LIMITS_H
#define HWLEARN_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "hal.h"
#include "record.h"

#define FLOATING 0xFFFFu /* in a nudge code or a target: this output floats */

typedef struct {
    int32_t volts_uV, nudge_uV;
    uint8_t edge_low, edge_high;
    /* the same in codes */
    uint16_t low[HAL_DACS], high[HAL_DACS];
    uint16_t dac_span[HAL_OUTPUTS]; /* nudge DAC against free reading, in DAC codes */
    uint16_t adc_span[HAL_OUTPUTS]; /* and in ADC codes */
} limits_t;

/* Take those of the record. */
void limits_load(limits_t *limits, const record_t *record);

/* Narrow; false if that would widen, or makes no sense, and then nothing changes. */
bool limits_narrow_volts(limits_t *limits, const record_t *record, int32_t uV);
bool limits_narrow_nudge(limits_t *limits, const record_t *record, int32_t uV);
bool limits_narrow_edges(limits_t *limits, int32_t low, int32_t high);

static inline bool limits_allow(const limits_t *limits, uint8_t channel, uint16_t code)
{
    return code >= limits->low[channel] && code <= limits->high[channel];
}

#endif
