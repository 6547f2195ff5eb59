/* Cortex-M port with memory in place of hardware. It checks that the core compiles, links and fits without features
 * of the AVR or of a computer. It simulates nothing: a real board would access its registers instead. */
#include <string.h>

#include "board.h"

struct hal {
    uint16_t written[HAL_DACS], dac[HAL_DACS];
    uint16_t waiting; /* mask of channels that are written but not yet loaded */
    uint8_t closed;
    uint16_t adc[HAL_ADCS];
    uint8_t edges[HAL_EDGES];
    uint8_t eeprom[HAL_EEPROM];
    uint32_t now_us, timer_us;
    volatile uint8_t sent; /* in place of the data register of a UART */
    volatile uint32_t kicks;
};

static board_t board;
static hal_t memory;

void hal_dac_write(hal_t *hal, uint8_t channel, uint16_t code)
{
    hal->written[channel] = code;
    hal->waiting = (uint16_t)(hal->waiting | 1u << channel);
}

void hal_dac_load(hal_t *hal)
{
    for (uint8_t k = 0; k < HAL_DACS; k++) {
        if (hal->waiting >> k & 1u) {
            hal->dac[k] = hal->written[k];
        }
    }
    hal->waiting = 0;
}

void hal_switches(hal_t *hal, uint8_t closed)
{
    hal->closed = closed;
}

bool hal_adc_scan(hal_t *hal, uint8_t mask, uint16_t *codes)
{
    for (uint8_t k = 0; k < HAL_ADCS; k++) {
        if (mask >> k & 1u) {
            *codes++ = hal->adc[k];
        }
    }
    return true;
}

bool hal_edges_write(hal_t *hal, const uint8_t *codes)
{
    memcpy(hal->edges, codes, sizeof hal->edges);
    return true;
}

bool hal_edges_read(hal_t *hal, uint8_t *codes)
{
    memcpy(codes, hal->edges, sizeof hal->edges);
    return true;
}

void hal_safe(hal_t *hal)
{
    hal->closed = 0;
    hal->waiting = 0;
    for (uint8_t k = 0; k < HAL_DACS; k++) {
        hal->dac[k] = HAL_MIDSCALE;
    }
}

void hal_timer_start(hal_t *hal, uint16_t us)
{
    hal->timer_us = hal->now_us + us;
}

void hal_timer_wait(hal_t *hal)
{
    hal->now_us = hal->timer_us;
}

uint32_t hal_millis(hal_t *hal)
{
    return hal->now_us / 1000u;
}

void hal_transmit(hal_t *hal, uint8_t byte)
{
    hal->sent = byte;
}

uint8_t hal_eeprom_read(hal_t *hal, uint16_t address)
{
    return hal->eeprom[address];
}

void hal_eeprom_write(hal_t *hal, uint16_t address, uint8_t value)
{
    hal->eeprom[address] = value;
}

void hal_kick(hal_t *hal)
{
    hal->kicks++;
}

void hal_reboot(hal_t *hal)
{
    board_init(&board, hal);
}

/* Entry point for the receive interrupt of a UART. */
void uart_interrupt(uint8_t byte);
void uart_interrupt(uint8_t byte)
{
    board_rx(&board, byte);
}

int main(void)
{
    board_init(&board, &memory);
    for (;;) {
        board_poll(&board);
    }
}
