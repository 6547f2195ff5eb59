/* The virtual board: converters, switches, edges, the analog circuit between them, and probes. */
#include <math.h>
#include <string.h>

#include "host.h"
#include "narrow.h"
#include "virtual.h"

/* --- converters and switches ---------------------------------------------------------------------- */

void hal_dac_write(hal_t *h, uint8_t channel, uint16_t code)
{
    h->written[channel] = code;
    h->waiting |= (uint16_t)(1u << channel);
}

static void move(host_board *h, uint8_t k, uint16_t code)
{
    h->dac[k] = code;
    h->dac_volts[k] = ((double)code - 32768.0) * (5.0 / 65536.0) * (1.0 + h->dac_gain[k]) + h->dac_offset[k];
    if (code < h->low[k] || code > h->high[k]) {
        h->violations++;
    }
}

void hal_dac_load(hal_t *h)
{
    h->loads++;
    for (uint8_t k = 0; k < HAL_DACS; k++) {
        if (h->waiting & (uint16_t)(1u << k)) {
            move(h, k, h->written[k]);
        }
    }
    h->waiting = 0;
}

void hal_switches(hal_t *h, uint8_t closed)
{
    h->closed = closed & (SWITCH_STATES - 1);
}

void hal_safe(hal_t *h)
{
    h->closed = 0;
    h->waiting = 0;
    for (uint8_t k = 0; k < HAL_DACS; k++) {
        h->written[k] = HAL_MIDSCALE;
        move(h, k, HAL_MIDSCALE);
    }
}

/* Return the voltage of an ADC channel, by superposition of the DACs. */
static double superposed(const host_board *h, uint8_t channel)
{
    const double *row = h->transfer[h->closed][channel];
    double sum = 0;
    for (uint8_t k = 0; k < HAL_DACS; k++) {
        sum += row[k] * h->dac_volts[k];
    }
    return sum;
}

static uint16_t converted(host_board *h, uint8_t channel, double volts)
{
    if (h->noise_volts > 0) {
        volts += h->noise_volts * noise_normal(&h->noise);
    }
    double nominal = volts * (1.0 + h->adc_gain[channel]) + h->adc_offset[channel];
    double code = floor((nominal + 2.5) / 5.12 * 65536.0 + 0.5);
    if (!(code > 0)) {
        return 0;
    }
    return code < 65535 ? word_of_double(code) : 65535u;
}

bool hal_adc_scan(hal_t *h, uint8_t mask, uint16_t *codes)
{
    double volts[HAL_ADCS] = {0};
    bool given = false; /* the callback returned the voltages: no superposition */
    h->scans++;
    if (!h->known[h->closed]) {
        int found = h->analog ? h->analog(h->user, h->closed, h->dac_volts, volts) : 1;
        given = found > 0;
        if (found < 0 || (!given && !h->known[h->closed])) {
            return false;
        }
    }
    for (uint8_t j = 0; j < HAL_ADCS; j++) {
        if (mask & (uint8_t)(1u << j)) {
            *codes++ = converted(h, j, given ? volts[j] : superposed(h, j));
        }
    }
    return true;
}

bool hal_edges_write(hal_t *h, const uint8_t *codes)
{
    memcpy(h->edges, codes, sizeof h->edges);
    if (h->on_edges) {
        h->on_edges(h->user, h->edges);
    }
    return true;
}

bool hal_edges_read(hal_t *h, uint8_t *codes)
{
    memcpy(codes, h->edges, sizeof h->edges);
    return true;
}

/* --- analog circuit ------------------------------------------------------------------------------- */

void host_attach(host_board *h, host_analog_fn analog, host_edges_fn edges, void *user)
{
    h->analog = analog;
    h->on_edges = edges;
    h->user = user;
    host_forget_transfers(h);
}

void host_set_transfer(host_board *h, uint8_t switches, const double *transfer)
{
    switches &= SWITCH_STATES - 1;
    memcpy(h->transfer[switches], transfer, sizeof h->transfer[switches]);
    h->known[switches] = true;
}

void host_forget_transfers(host_board *h)
{
    memset(h->known, 0, sizeof h->known);
}

void host_set_converters(host_board *h, const double *dac_gain, const double *dac_offset, const double *adc_gain,
                         const double *adc_offset, double noise_volts, uint64_t seed)
{
    memcpy(h->dac_gain, dac_gain, sizeof h->dac_gain);
    memcpy(h->dac_offset, dac_offset, sizeof h->dac_offset);
    memcpy(h->adc_gain, adc_gain, sizeof h->adc_gain);
    memcpy(h->adc_offset, adc_offset, sizeof h->adc_offset);
    h->noise_volts = noise_volts;
    noise_seed(&h->noise, seed);
    for (uint8_t k = 0; k < HAL_DACS; k++) {
        move(h, k, h->dac[k]);
    }
}

void host_noise_get(const host_board *h, uint64_t *words)
{
    noise_get(&h->noise, words);
}

void host_noise_set(host_board *h, const uint64_t *words)
{
    noise_set(&h->noise, words);
}

/* --- probes --------------------------------------------------------------------------------------- */

uint16_t host_dac_code(const host_board *h, uint8_t channel)
{
    return channel < HAL_DACS ? h->dac[channel] : 0;
}

uint8_t host_switches(const host_board *h)
{
    return h->closed;
}

void host_edge_codes(const host_board *h, uint8_t *codes)
{
    memcpy(codes, h->edges, sizeof h->edges);
}

void host_allow(host_board *h, const uint16_t *low, const uint16_t *high)
{
    memcpy(h->low, low, sizeof h->low);
    memcpy(h->high, high, sizeof h->high);
    h->violations = 0;
}

uint64_t host_violations(const host_board *h)
{
    return h->violations;
}

uint64_t host_loads(const host_board *h)
{
    return h->loads;
}

uint64_t host_scans(const host_board *h)
{
    return h->scans;
}
