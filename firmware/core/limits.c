#include "limits.h"

#include "rom.h"
#include "scale.h"

APART static uint16_t code_within(int32_t code)
{
    if (code < 0) {
        return 0;
    }
    return code > 0xFFFE ? 0xFFFEu : (uint16_t)code; /* 0xFFFF is no voltage: it says that a nudge floats */
}

/* What the limits are in codes. */
static void find_codes(limits_t *limits, const record_t *record)
{
    for (uint8_t k = 0; k < HAL_DACS; k++) {
        limits->low[k] = code_within(scale_dac_code(&record->dac[k], -limits->volts_uV));
        limits->high[k] = code_within(scale_dac_code(&record->dac[k], limits->volts_uV));
    }
    for (uint8_t j = 0; j < HAL_OUTPUTS; j++) {
        limits->dac_span[j] = code_within(scale_dac_span(&record->dac[HAL_INPUTS + j], limits->nudge_uV));
        limits->adc_span[j] = code_within(scale_adc_span(&record->adc[j], limits->nudge_uV));
    }
}

void limits_load(limits_t *limits, const record_t *record)
{
    limits->volts_uV = record->volts_uV;
    limits->nudge_uV = record->nudge_uV;
    limits->edge_low = record->edge_low;
    limits->edge_high = record->edge_high;
    find_codes(limits, record);
}

APART static bool narrow(limits_t *limits, const record_t *record, int32_t *limit, int32_t uV)
{
    if (uV < 1 || uV > *limit) {
        return false;
    }
    *limit = uV;
    find_codes(limits, record);
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
    limits->edge_low = (uint8_t)low;
    limits->edge_high = (uint8_t)high;
    return true;
}
