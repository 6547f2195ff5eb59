/* The virtual board: power, serial line, time and EEPROM. Chips and analog circuit: converters.c. */
#include "host.h"

#include <stdlib.h>
#include <string.h>

#include "narrow.h"
#include "virtual.h"

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

/* --- serial line and time ------------------------------------------------------------------------- */

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
            boot(h); /* the remaining received bytes are lost */
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

size_t host_transmit(host_board *h, uint8_t *out, size_t capacity)
{
    size_t size = h->out_size < capacity ? h->out_size : capacity;
    if (size > 0) {
        memcpy(out, h->out, size);
        memmove(h->out, h->out + size, h->out_size - size);
        h->out_size -= size;
    }
    return size;
}

void hal_transmit(hal_t *h, uint8_t byte)
{
    if (h->out_size == h->out_capacity) {
        size_t capacity = h->out_capacity ? 2 * h->out_capacity : 4096;
        uint8_t *grown = realloc(h->out, capacity);
        if (!grown) {
            return;
        }
        h->out = grown;
        h->out_capacity = capacity;
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
    return low_long((h->now_us - h->booted_us) / 1000u);
}

void hal_kick(hal_t *h)
{
    (void)h;
}

void hal_reboot(hal_t *h)
{
    h->reboot = true;
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
