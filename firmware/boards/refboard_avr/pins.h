/* Pin assignment of the ATmega2560, used by the firmware and by its emulation.
 *
 * A pin is written "letter, bit". All pins are on ports A to G, where one instruction sets or clears a pin.
 * Resistors on the board define the levels while the MCU is in reset or missing: chip selects and LDAC high,
 * both RESET lines low. So every chip stays in reset until the running program releases it. */
#ifndef HWLEARN_PINS_H
#define HWLEARN_PINS_H

/* SPI. SS is not connected, but it must be an output to keep the MCU in SPI master mode. MISO has a pull-up. */
#define PIN_SS B, 0
#define PIN_SCK B, 1
#define PIN_MOSI B, 2
#define PIN_MISO B, 3

#define PIN_LDAC B, 4         /* both AD5676R: a falling edge updates all outputs */
#define PIN_DAC_RESET B, 5    /* both AD5676R: low sets midscale, because RSTSEL is tied high */
#define PIN_SWITCH_RESET B, 6 /* ADG714: low opens all switches */
#define PIN_KICK B, 7         /* supervisor: rising and falling edges both count */

#define PIN_DAC_INPUTS C, 0 /* AD5676R, channels 0-7: the inputs */
#define PIN_DAC_NUDGES C, 1 /* AD5676R, channels 8-15: nudges and spare */
#define PIN_SWITCHES C, 2   /* ADG714 */
#define PIN_ADC C, 3        /* ADS8688; its RST/PD pin is tied high, its REFSEL pin low: internal reference */

/* Chip selects of the edge card: bit n selects AD5144 number n, whose RDAC 1 to 4 are edges 4n to 4n+3. */
#define PORT_EDGES A

/* UART0 is PE0 (RXD) and PE1 (TXD).
 *
 * The supervisor (a watchdog chip, 1.6 s) pulls both RESET lines and the MCU's RESET low for 200 ms when the kicks
 * stop. The MCU's own watchdog is not enough: if the MCU stops responding, the DACs hold their values. */
#define SUPERVISOR_MS 1600u
#define SUPERVISOR_RESET_MS 200u

#endif
