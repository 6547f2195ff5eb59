/* Conversion between codes and microvolts of one converter. */
#include "scale.h"

#include "narrow.h"
#include "numbers.h"
#include "rom.h"

#define MILLION 1000000

NOINLINE static uint32_t gain(const converter_t *converter)
{
    return (uint32_t)(MILLION + converter->gain_ppm);
}

int32_t scale_dac_uV(const converter_t *dac, uint16_t code)
{
    /* 5 V / 65536 per code, gain in millionths */
    return number_scaled(((int32_t)code - 32768) * 5, gain(dac), 65536) + dac->offset_uV;
}

NOINLINE int32_t scale_dac_code(const converter_t *dac, int32_t uV)
{
    return 32768 + scale_dac_difference(dac, uV - dac->offset_uV);
}

int32_t scale_dac_difference(const converter_t *dac, int32_t uV)
{
    return number_scaled(uV, 65536, 5 * gain(dac));
}

int32_t scale_adc_difference(const converter_t *adc, int32_t uV)
{
    /* 5.12 V / 65536 = 78.125 uV = 1000000 / 12800 uV */
    return number_scaled(uV, 12800, gain(adc));
}

int32_t scale_adc_uV(const converter_t *adc, uint16_t code)
{
    /* 78.125 uV = 625/8 uV; code 32000 is 0 V */
    return number_scaled(((int32_t)code - 32000) * 625, gain(adc), (uint32_t)8 * MILLION) + adc->offset_uV;
}

nudge_map_t scale_nudge_map(const converter_t *adc, const converter_t *dac)
{
    /* A - 1 = (1.024 (1 + ga) - (1 + gd)) / (1 + gd), numerator and denominator times 1000 million */
    int32_t rise = (int32_t)24 * MILLION + (int32_t)1024 * adc->gain_ppm - (int32_t)1000 * dac->gain_ppm;
    nudge_map_t map;
    /* fits: record_plausible allows gain errors of up to 30 000 ppm, so -9344 <= slope <= 22896, |shift| <= 886 */
    map.slope = as_int16(number_scaled(rise, (uint32_t)1 << 18, 1000 * gain(dac)));
    map.shift = as_int16(scale_dac_difference(dac, (int32_t)adc->offset_uV - dac->offset_uV));
    return map;
}

NOINLINE int32_t scale_nudge_code(const nudge_map_t *map, uint16_t adc_code)
{
    int32_t d = (int32_t)adc_code - 32000;
    int32_t tilt = d * map->slope + 131072;
    /* shift by 18 in two steps, which is faster on an 8-bit CPU; all supported compilers shift arithmetically */
    return 32768 + d + (int16_t)(as_int16(tilt >> 16) >> 2) + map->shift;
}
