/* Hard limits in microvolts and in codes. */
#include "limits.h"

#include "narrow.h"
#include "rom.h"
#include "scale.h"

NOINLINE static uint16_t code_within(int32_t code)
{
    if (code < 0) {
        return 0;
    }
    return code > 0xFFFE ? 0xFFFEu : as_word(code); /* 0xFFFF is FLOATING, not a voltage */
}

/* Convert the limits to codes. */
static void convert_to_codes(limits_t *limits, const record_t *record)
{
    for (uint8_t k = 0; k < HAL_DACS; k++) {
        limits->low[k] = code_within(scale_dac_code(&record->dac[k], -limits->volts_uV));
        limits->high[k] = code_within(scale_dac_code(&record->dac[k], limits->volts_uV));
    }
    for (uint8_t j = 0; j < HAL_OUTPUTS; j++) {
        limits->nudge_dac_codes[j] = code_within(scale_dac_difference(&record->dac[HAL_INPUTS + j], limits->nudge_uV));
        limits->nudge_adc_codes[j] = code_within(scale_adc_difference(&record->adc[j], limits->nudge_uV));
    }
}

void limits_load(limits_t *limits, const record_t *record)
{
    limits->volts_uV = record->volts_uV;
    limits->nudge_uV = record->nudge_uV;
    limits->edge_low = record->edge_low;
    limits->edge_high = record->edge_high;
    convert_to_codes(limits, record);
}

NOINLINE static bool narrow(limits_t *limits, const record_t *record, int32_t *limit, int32_t uV)
{
    if (uV < 1 || uV > *limit) {
        return false;
    }
    *limit = uV;
    convert_to_codes(limits, record);
    return true;
}

bool limits_narrow_volts(limits_t *limits, const record_t *record, int32_t uV)
{
    return narrow(limits, record, &limits->volts_uV, uV);
}

bool limits_narrow_nudge(limits_t *limits, const record_t *record, int32_t uV)
{
    return narrow(limits, record, &limits->nudge_uV, uV);
}

bool limits_narrow_edges(limits_t *limits, int32_t low, int32_t high)
{
    if (low < limits->edge_low || high > limits->edge_high || low > high) {
        return false;
    }
    limits->edge_low = as_byte(low);
    limits->edge_high = as_byte(high);
    return true;
}
