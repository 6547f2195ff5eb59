#include "scale.h"

#include "numbers.h"

#define MILLION 1000000

int32_t scale_dac_uV(const converter_t *dac, uint16_t code)
{
    /* 5 V / 65536 = 78125/1024 uV */
    int64_t nominal = ((int64_t)code - 32768) * 78125;
    return number_scaled(nominal, MILLION + dac->gain_ppm, (int64_t)1024 * MILLION) + dac->offset_uV;
}

int32_t scale_dac_code(const converter_t *dac, int32_t uV)
{
    return 32768 + scale_dac_span(dac, uV - dac->offset_uV);
}

int32_t scale_dac_span(const converter_t *dac, int32_t uV)
{
    return number_scaled(uV, 65536, (int64_t)5 * (MILLION + dac->gain_ppm));
}

int32_t scale_adc_span(const converter_t *adc, int32_t uV)
{
    /* 5.12 V / 65536 = 78.125 uV */
    return number_scaled((int64_t)uV * 64, MILLION / 1000, (int64_t)5 * (MILLION + adc->gain_ppm));
}

int32_t scale_adc_uV(const converter_t *adc, uint16_t code)
{
    int64_t nominal_nV = (int64_t)code * 78125 - (int64_t)2500 * MILLION;
    return number_scaled(nominal_nV, MILLION + adc->gain_ppm, (int64_t)1000 * MILLION) + adc->offset_uV;
}

nudge_map_t scale_nudge_map(const converter_t *adc, const converter_t *dac)
{
    /* A - 1 = (1.024 (1 + ga) - (1 + gd)) / (1 + gd), over 1000 million */
    int64_t rise = (int64_t)1024 * (MILLION + adc->gain_ppm) - (int64_t)1000 * (MILLION + dac->gain_ppm);
    nudge_map_t map;
    map.slope = (int16_t)number_scaled(rise, (int32_t)1 << 18, (int64_t)1000 * (MILLION + dac->gain_ppm));
    map.shift = (int16_t)scale_dac_span(dac, (int32_t)adc->offset_uV - dac->offset_uV);
    return map;
}
