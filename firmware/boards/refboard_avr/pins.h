/* Which pin of the ATmega2560 goes where: the one place that says so, for the firmware and for its emulation.
 *
 * A pin is "letter, bit". All of them lie on ports A to G, where one instruction sets or clears a pin.
 * Resistors on the board hold the lines while the MCU is in reset or missing: chip selects and LDAC up,
 * both RESET lines down. So no chip leaves its reset state before a program that runs lets it. */
#ifndef HWLEARN_PINS_H
#define HWLEARN_PINS_H

/* SPI. SS belongs to no chip, but the MCU stays SPI master only while it is an output. MISO has a pull-up. */
#define PIN_SS B, 0
#define PIN_SCK B, 1
#define PIN_MOSI B, 2
#define PIN_MISO B, 3

#define PIN_LDAC B, 4         /* both AD5676R: falling edge moves all outputs */
#define PIN_DAC_RESET B, 5    /* both AD5676R: low is midscale, RSTSEL is tied high */
#define PIN_SWITCH_RESET B, 6 /* ADG714: low opens all switches */
#define PIN_KICK B, 7         /* supervisor: any edge counts */

#define PIN_DAC_INPUTS C, 0 /* AD5676R, channels 0-7: the inputs */
#define PIN_DAC_NUDGES C, 1 /* AD5676R, channels 8-15: nudges and spare */
#define PIN_SWITCHES C, 2   /* ADG714 */
#define PIN_ADC C, 3        /* ADS8688; its RST/PD pin is tied high, its REFSEL pin low: internal reference */

/* AD5144 number n on the edge card has its chip select at bit n; edges 4n to 4n+3 are its RDAC 1 to 4. */
#define PORT_EDGES A

/* UART0 is PE0 (RXD) and PE1 (TXD).
 *
 * The supervisor (a watchdog chip, 1.6 s) pulls both RESET lines and the MCU's own RESET low for 200 ms when
 * the kicks stop: converters hold their value while an MCU hangs, so the MCU's own watchdog is not enough. */
#define SUPERVISOR_MS 1600u
#define SUPERVISOR_RESET_MS 200u

#endif
