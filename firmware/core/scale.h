/* Codes and microvolts of one converter: true = nominal (1 + gain) + offset. */
#ifndef HWLEARN_SCALE_H
#define HWLEARN_SCALE_H

#include <stdint.h>

#include "record.h"

/* How ADC codes of an output become DAC codes of its nudge, without a division. */
typedef struct {
    int16_t slope; /* 2^18 (A - 1) */
    int16_t shift;
} nudge_map_t;

int32_t scale_dac_uV(const converter_t *dac, uint16_t code);
int32_t scale_dac_code(const converter_t *dac, int32_t uV); /* may lie outside 0 ... 65535 */
int32_t scale_adc_uV(const converter_t *adc, uint16_t code);

/* How many codes a difference of so many microvolts is. */
int32_t scale_dac_span(const converter_t *dac, int32_t uV);
int32_t scale_adc_span(const converter_t *adc, int32_t uV);

nudge_map_t scale_nudge_map(const converter_t *adc, const converter_t *dac);

/* The DAC code for the volts of an ADC code; may lie outside 0 ... 65535. */
int32_t scale_nudge_code(const nudge_map_t *map, uint16_t adc_code);

#endif
