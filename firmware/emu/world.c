/* Analog circuit between DACs and ADC. */
#include "world.h"

#include <math.h>
#include <string.h>

#define MIDSCALE 0x8000u

void world_begin(world_t *w)
{
    memset(w, 0, sizeof *w);
    memset(w->high, 0xFF, sizeof w->high);
    memset(w->edges, 128, sizeof w->edges);
    for (uint8_t k = 0; k < DACS; k++) {
        w->dac[k] = MIDSCALE;
    }
    noise_seed(&w->noise, 0);
}

void world_move(world_t *w, uint8_t k, uint16_t code)
{
    w->moved_closed += w->dac[k] != code && w->closed != 0;
    w->dac[k] = code;
    w->dac_volts[k] = ((double)code - 32768.0) * (5.0 / 65536.0) * (1.0 + w->dac_gain[k]) + w->dac_offset[k];
    w->solved = false;
    if (code < w->low[k] || code > w->high[k]) {
        w->violations++;
    }
}

void world_switch(world_t *w, uint8_t closed)
{
    w->closed = closed & (SWITCH_STATES - 1);
    w->solved = false;
}

void world_edge(world_t *w, uint8_t edge, uint8_t code)
{
    if (w->edges[edge] == code) {
        return;
    }
    w->edges[edge] = code;
    w->solved = false;
    if (w->on_edges) {
        w->on_edges(w->user, w->edges);
    }
}

static bool solve(world_t *w)
{
    if (!w->known[w->closed]) {
        double volts[ADCS] = {0};
        int found = w->analog ? w->analog(w->user, w->closed, w->dac_volts, volts) : 1;
        if (found > 0) {
            memcpy(w->volts, volts, sizeof volts);
            w->solved = true;
            return true;
        }
        if (found < 0 || !w->known[w->closed]) {
            return false;
        }
    }
    for (uint8_t j = 0; j < ADCS; j++) {
        double sum = 0;
        for (uint8_t k = 0; k < DACS; k++) {
            sum += w->transfer[w->closed][j][k] * w->dac_volts[k];
        }
        w->volts[j] = sum;
    }
    w->solved = true;
    return true;
}

bool world_convert(world_t *w, uint8_t channel, uint16_t *code)
{
    if (!w->solved && !solve(w)) {
        return false;
    }
    double volts = w->volts[channel];
    if (w->noise_volts > 0) {
        volts += w->noise_volts * noise_normal(&w->noise);
    }
    double nominal = volts * (1.0 + w->adc_gain[channel]) + w->adc_offset[channel];
    double found = floor((nominal + 2.5) / 5.12 * 65536.0 + 0.5);
    if (!(found > 0)) {
        *code = 0;
    } else {
        *code = found < 65535 ? (uint16_t)found : (uint16_t)65535u;
    }
    return true;
}
