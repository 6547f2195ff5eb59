/* Conversion between codes and microvolts of one converter: true = nominal (1 + gain) + offset. */
#ifndef HWLEARN_SCALE_H
#define HWLEARN_SCALE_H

#include <stdint.h>

#include "record.h"

/* Coefficients that map ADC codes of an output to DAC codes of its nudge without a division. */
typedef struct {
    int16_t slope; /* 2^18 (A - 1) */
    int16_t shift;
} nudge_map_t;

int32_t scale_dac_uV(const converter_t *dac, uint16_t code);
int32_t scale_dac_code(const converter_t *dac, int32_t uV); /* may be outside 0 ... 65535 */
int32_t scale_adc_uV(const converter_t *adc, uint16_t code);

/* Convert a voltage difference in microvolts to codes. */
int32_t scale_dac_difference(const converter_t *dac, int32_t uV);
int32_t scale_adc_difference(const converter_t *adc, int32_t uV);

nudge_map_t scale_nudge_map(const converter_t *adc, const converter_t *dac);

/* Return the DAC code at the voltage of an ADC code. It may be outside 0 ... 65535. */
int32_t scale_nudge_code(const nudge_map_t *map, uint16_t adc_code);

#endif
