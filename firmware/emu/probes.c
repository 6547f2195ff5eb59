/* The emulated board: its analog circuit, probes and injected failures. */
#include <string.h>

#include "emulated.h"

/* --- analog circuit ---------------------------------------------------------------------------------- */

void emu_attach(emu_board *e, emu_analog_fn analog, emu_edges_fn edges, void *user)
{
    e->world.analog = analog;
    e->world.on_edges = edges;
    e->world.user = user;
    emu_forget_transfers(e);
}

void emu_set_transfer(emu_board *e, uint8_t switches, const double *transfer)
{
    switches &= SWITCH_STATES - 1;
    memcpy(e->world.transfer[switches], transfer, sizeof e->world.transfer[switches]);
    e->world.known[switches] = true;
    e->world.solved = false;
}

void emu_forget_transfers(emu_board *e)
{
    memset(e->world.known, 0, sizeof e->world.known);
    e->world.solved = false;
}

void emu_set_converters(emu_board *e, const double *dac_gain, const double *dac_offset, const double *adc_gain,
                        const double *adc_offset, double noise_volts, uint64_t seed)
{
    world_t *w = &e->world;
    memcpy(w->dac_gain, dac_gain, sizeof w->dac_gain);
    memcpy(w->dac_offset, dac_offset, sizeof w->dac_offset);
    memcpy(w->adc_gain, adc_gain, sizeof w->adc_gain);
    memcpy(w->adc_offset, adc_offset, sizeof w->adc_offset);
    w->noise_volts = noise_volts;
    noise_seed(&w->noise, seed);
    for (uint8_t k = 0; k < DACS; k++) {
        world_move(w, k, w->dac[k]);
    }
}

void emu_noise_get(const emu_board *e, uint64_t *words)
{
    noise_get(&e->world.noise, words);
}

void emu_noise_set(emu_board *e, const uint64_t *words)
{
    noise_set(&e->world.noise, words);
}

/* --- probes and injected failures -------------------------------------------------------------------- */

uint16_t emu_dac_code(const emu_board *e, uint8_t channel)
{
    return channel < DACS ? e->world.dac[channel] : 0;
}

uint8_t emu_switches(const emu_board *e)
{
    return e->world.closed;
}

void emu_edge_codes(const emu_board *e, uint8_t *codes)
{
    memcpy(codes, e->world.edges, sizeof e->world.edges);
}

void emu_allow(emu_board *e, const uint16_t *low, const uint16_t *high)
{
    memcpy(e->world.low, low, sizeof e->world.low);
    memcpy(e->world.high, high, sizeof e->world.high);
    e->world.violations = 0;
}

uint64_t emu_violations(const emu_board *e)
{
    return e->world.violations;
}

uint64_t emu_moved_closed(const emu_board *e)
{
    return e->world.moved_closed;
}

uint64_t emu_loads(const emu_board *e)
{
    return e->world.loads;
}

uint64_t emu_faults(const emu_board *e)
{
    return e->chips.faults;
}

const char *emu_fault(const emu_board *e)
{
    return e->chips.fault;
}

uint32_t emu_resets(const emu_board *e)
{
    return e->resets;
}

uint32_t emu_trips(const emu_board *e)
{
    return e->trips;
}

uint8_t *emu_eeprom(emu_board *e)
{
    return e->eeprom.bytes;
}

void emu_eeprom_time(emu_board *e, uint32_t us)
{
    e->eeprom.cycles_per_write = (uint64_t)us * CYCLES_PER_US;
}

void emu_damage_next(emu_board *e)
{
    e->uart.damaged = true;
}

void emu_unplug_edges(emu_board *e, int unplugged)
{
    e->chips.unplugged = unplugged != 0;
}

void emu_upset_adc(emu_board *e)
{
    chips_upset_adc(&e->chips);
}
