/* What the core asks of a board. Each target (boards/...) defines struct hal and these functions; they are
 * joined at link time. One core calls them from one thread; nothing here is called from an interrupt. */
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

/* Put a code into a DAC channel's input register; nothing moves before hal_dac_load. */
void hal_dac_write(hal_t *hal, uint8_t channel, uint16_t code);

/* Let every channel that was written move, all at once (LDAC). */
void hal_dac_load(hal_t *hal);

/* Bit j closes the nudge switch of output j; every other switch opens. */
void hal_switches(hal_t *hal, uint8_t closed);

/* Convert the channels of the mask, lowest first, into codes[0], codes[1], ...; false if the ADC does not answer. */
bool hal_adc_scan(hal_t *hal, uint8_t mask, uint16_t *codes);

/* Set all edges, or read back what they are set to; false if a potentiometer does not answer. */
bool hal_edges_write(hal_t *hal, const uint8_t *codes);
bool hal_edges_read(hal_t *hal, uint8_t *codes);

/* Open the switches, then bring every DAC to midscale. Works from any state and any number of times. */
void hal_safe(hal_t *hal);

/* Start a wait of so many microseconds (at most 1000) and, later, wait for its end. Work may lie between. */
void hal_timer_start(hal_t *hal, uint16_t us);
void hal_timer_wait(hal_t *hal);

/* Milliseconds since power-up; wraps around. */
uint32_t hal_millis(hal_t *hal);

/* Send one byte to the host; waits for room, never for the byte to have left. */
void hal_transmit(hal_t *hal, uint8_t byte);

/* One byte of the EEPROM. Writing takes milliseconds; power may fail between any two writes. */
uint8_t hal_eeprom_read(hal_t *hal, uint16_t address);
void hal_eeprom_write(hal_t *hal, uint16_t address, uint8_t value);

/* Tell the MCU's watchdog and the board's supervisor that the program is alive. */
void hal_kick(hal_t *hal);

/* Start again as after power-up, once all that was transmitted has left. Does not return on hardware. */
void hal_reboot(hal_t *hal);

#endif
