/* The board as a library: see host.h. */
#include "host.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "noise.h"

enum { SWITCH_STATES = 1 << HAL_OUTPUTS };

struct hal {
    board_t board;
    bool on;
    bool reboot;
    bool running; /* inside run(); what comes now comes as in an interrupt */
    uint64_t now_us, timer_us, booted_us;

    /* the wire */
    uint8_t *out;
    size_t out_size, out_room;

    /* chips */
    uint16_t dac[HAL_DACS], written[HAL_DACS];
    uint16_t waiting; /* channels written and not yet loaded */
    double dac_volts[HAL_DACS];
    uint8_t closed;
    uint8_t edges[HAL_EDGES];
    uint8_t eeprom[HAL_EEPROM];

    /* the analog world */
    host_analog_fn analog;
    host_edges_fn on_edges;
    void *user;
    bool known[SWITCH_STATES];
    double transfer[SWITCH_STATES][HAL_ADCS][HAL_DACS];
    double dac_gain[HAL_DACS], dac_offset[HAL_DACS];
    double adc_gain[HAL_ADCS], adc_offset[HAL_ADCS];
    double noise_volts;
    noise_t noise;

    /* observers and accidents */
    uint16_t low[HAL_DACS], high[HAL_DACS];
    uint64_t violations, loads, scans;
    int64_t writes_left;
    jmp_buf power_lost;
};

/* --- power ---------------------------------------------------------------------------------------- */

host_board *host_new(void)
{
    host_board *h = calloc(1, sizeof *h);
    if (!h) {
        return NULL;
    }
    memset(h->eeprom, 0xFF, sizeof h->eeprom);
    memset(h->edges, 128, sizeof h->edges);
    memset(h->high, 0xFF, sizeof h->high);
    h->writes_left = -1;
    for (uint8_t k = 0; k < HAL_DACS; k++) {
        h->dac[k] = h->written[k] = HAL_MIDSCALE;
    }
    noise_seed(&h->noise, 0);
    return h;
}

void host_free(host_board *h)
{
    if (h) {
        free(h->out);
        free(h);
    }
}

static void boot(host_board *h)
{
    h->on = true;
    h->reboot = false;
    h->booted_us = h->timer_us = h->now_us;
    h->writes_left = -1;
    board_init(&h->board, h);
}

void host_power_on(host_board *h)
{
    h->out_size = 0;
    boot(h);
}

int host_is_on(const host_board *h)
{
    return h->on;
}

static void power_off(host_board *h)
{
    h->on = false;
    h->closed = 0;
    for (uint8_t k = 0; k < HAL_DACS; k++) {
        h->dac[k] = h->written[k] = HAL_MIDSCALE;
        h->dac_volts[k] = 0;
    }
}

/* --- the wire and time ---------------------------------------------------------------------------- */

static void run(host_board *h, const uint8_t *data, size_t size)
{
    size_t taken = 0;
    if (!h->on) {
        return;
    }
    if (h->running) {
        while (taken < size) {
            board_rx(&h->board, data[taken++]);
        }
        return;
    }
    h->running = true;
    if (setjmp(h->power_lost)) {
        h->running = false;
        power_off(h);
        return;
    }
    for (;;) {
        while (taken < size && !line_full(&h->board.line)) {
            board_rx(&h->board, data[taken++]);
        }
        board_poll(&h->board);
        if (h->reboot) {
            boot(h); /* what was under way to it is lost */
            break;
        }
        if (line_empty(&h->board.line) && !h->board.line.lost && taken == size) {
            break;
        }
    }
    h->running = false;
}

void host_receive(host_board *h, const uint8_t *data, size_t size)
{
    run(h, data, size);
}

void host_advance_us(host_board *h, uint64_t us)
{
    h->now_us += us;
    run(h, NULL, 0);
}

uint64_t host_now_us(const host_board *h)
{
    return h->now_us;
}

size_t host_pending(const host_board *h)
{
    return h->out_size;
}

size_t host_transmit(host_board *h, uint8_t *out, size_t room)
{
    size_t size = h->out_size < room ? h->out_size : room;
    if (size > 0) {
        memcpy(out, h->out, size);
        memmove(h->out, h->out + size, h->out_size - size);
        h->out_size -= size;
    }
    return size;
}

void hal_transmit(hal_t *h, uint8_t byte)
{
    if (h->out_size == h->out_room) {
        size_t room = h->out_room ? 2 * h->out_room : 4096;
        uint8_t *grown = realloc(h->out, room);
        if (!grown) {
            return;
        }
        h->out = grown;
        h->out_room = room;
    }
    h->out[h->out_size++] = byte;
}

void hal_timer_start(hal_t *h, uint16_t us)
{
    h->timer_us = h->now_us + us;
}

void hal_timer_wait(hal_t *h)
{
    if (h->timer_us > h->now_us) {
        h->now_us = h->timer_us;
    }
}

uint32_t hal_millis(hal_t *h)
{
    return (uint32_t)((h->now_us - h->booted_us) / 1000u);
}

void hal_kick(hal_t *h)
{
    (void)h;
}

void hal_reboot(hal_t *h)
{
    h->reboot = true;
}

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

/* What the ADC channel sees of the DACs, by superposition. */
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
    return code < 65535 ? (uint16_t)code : 65535u;
}

bool hal_adc_scan(hal_t *h, uint8_t mask, uint16_t *codes)
{
    double volts[HAL_ADCS] = {0};
    bool given = false; /* volts come from outside, not from superposition */
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

/* --- EEPROM --------------------------------------------------------------------------------------- */

uint8_t hal_eeprom_read(hal_t *h, uint16_t address)
{
    return h->eeprom[address];
}

void hal_eeprom_write(hal_t *h, uint16_t address, uint8_t value)
{
    if (h->writes_left == 0) {
        longjmp(h->power_lost, 1);
    }
    if (h->writes_left > 0) {
        h->writes_left--;
    }
    h->eeprom[address] = value;
}

uint8_t *host_eeprom(host_board *h)
{
    return h->eeprom;
}

void host_lose_power_after(host_board *h, int64_t writes)
{
    h->writes_left = writes;
}

/* --- the analog world ----------------------------------------------------------------------------- */

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

/* --- observers ------------------------------------------------------------------------------------ */

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
