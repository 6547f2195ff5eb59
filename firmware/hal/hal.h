/* Hardware abstraction layer. Each target (boards/...) defines struct hal and these functions, which are
 * selected at link time. The core calls them from one thread and never from an interrupt. */
#ifndef HWLEARN_HAL_H
#define HWLEARN_HAL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    HAL_INPUTS = 8,   /* DAC channels 0-7 drive the inputs */
    HAL_OUTPUTS = 4,  /* DAC channels 8-11 nudge the outputs, each through a resistor and a switch */
    HAL_DACS = 16,    /* channels 12-15 are spare */
    HAL_ADCS = 8,     /* channels 0-3 read the outputs, 4-7 are spare */
    HAL_EDGES = 32,   /* digital potentiometers */
    HAL_EEPROM = 4096 /* bytes */
};

#define HAL_MIDSCALE 0x8000u /* 0 V against the virtual ground: the safe code of every DAC */

typedef struct hal hal_t;

/* Write a code into the input register of a DAC channel. The output changes at hal_dac_load. */
void hal_dac_write(hal_t *hal, uint8_t channel, uint16_t code);

/* Update the outputs of all written channels at the same time (LDAC). */
void hal_dac_load(hal_t *hal);

/* Set the nudge switches: bit j closes the switch of output j, a zero bit opens it. */
void hal_switches(hal_t *hal, uint8_t closed);

/* Convert the channels of the mask, lowest first, into codes[0], codes[1], ... Return false if the ADC does not
 * respond. */
bool hal_adc_scan(hal_t *hal, uint8_t mask, uint16_t *codes);

/* Write or read back the codes of all edges. Return false if a potentiometer does not respond. */
bool hal_edges_write(hal_t *hal, const uint8_t *codes);
bool hal_edges_read(hal_t *hal, uint8_t *codes);

/* Enter the safe state: open all switches, then set every DAC to midscale. Valid in any state, also repeatedly. */
void hal_safe(hal_t *hal);

/* Start a timer of up to 1000 us, and wait until it has elapsed. Other work may run in between. */
void hal_timer_start(hal_t *hal, uint16_t us);
void hal_timer_wait(hal_t *hal);

/* Return the milliseconds since power-up; the count wraps around. */
uint32_t hal_millis(hal_t *hal);

/* Queue one byte for the host. Waits while the transmit buffer is full, not for the transmission. */
void hal_transmit(hal_t *hal, uint8_t byte);

/* Read or write one byte of the EEPROM. A write takes milliseconds; power may fail between any two writes. */
uint8_t hal_eeprom_read(hal_t *hal, uint16_t address);
void hal_eeprom_write(hal_t *hal, uint16_t address, uint8_t value);

/* Reset the MCU's watchdog timer and the timer of the board's supervisor. */
void hal_kick(hal_t *hal);

/* Restart as after power-up, after all queued bytes are transmitted. Does not return on hardware. */
void hal_reboot(hal_t *hal);

#endif
