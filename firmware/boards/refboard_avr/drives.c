/* What drives the network: two DACs with eight channels each, the nudge switches, and the way back to safety. */
#include <util/delay.h>

#include "avr_hal.h"
#include "rom.h"
#include "spi.h"

/* AD5676R: 24 bits, four of command, four of channel, sixteen of code, obeyed at the rising edge of SYNC
 * (data sheet, Input Shift Register, Command Definitions, Address Commands). Command 1 writes an input register
 * and nothing moves until LDAC falls (Load DAC); the GAIN pin is tied high, so codes span 0 to 5 V. */
#define DAC_WRITE_INPUT 0x10u

#define DAC_CHANNELS 8u

void pins_begin(void)
{
    /* levels before directions: nothing may be selected for a moment */
    port_of(PORT_EDGES) = 0xFF;
    direction_of(PORT_EDGES) = 0xFF;
    pin_high(PIN_DAC_INPUTS);
    pin_high(PIN_DAC_NUDGES);
    pin_high(PIN_SWITCHES);
    pin_high(PIN_ADC);
    pin_output(PIN_DAC_INPUTS);
    pin_output(PIN_DAC_NUDGES);
    pin_output(PIN_SWITCHES);
    pin_output(PIN_ADC);
    pin_high(PIN_LDAC);
    pin_output(PIN_LDAC);
    pin_low(PIN_DAC_RESET);
    pin_output(PIN_DAC_RESET);
    pin_low(PIN_SWITCH_RESET);
    pin_output(PIN_SWITCH_RESET);
    pin_output(PIN_KICK);
    pin_output(PIN_SS);
    pin_output(PIN_SCK);
    pin_output(PIN_MOSI);
    spi_fast();
}

APART uint8_t spi_exchange(uint8_t byte)
{
    spi_start(byte);
    return spi_finish();
}

void pins_release(void)
{
    pin_high(PIN_SWITCH_RESET);
    pin_high(PIN_DAC_RESET);
}

SPI_INLINE void dac_frame(uint8_t command, uint16_t code)
{
    spi_start(command);
    (void)spi_finish();
    spi_start((uint8_t)(code >> 8));
    (void)spi_finish();
    spi_start((uint8_t)code);
    (void)spi_finish();
}

void hal_dac_write(hal_t *hal, uint8_t channel, uint16_t code)
{
    (void)hal;
    if (channel < DAC_CHANNELS) {
        pin_low(PIN_DAC_INPUTS);
        dac_frame((uint8_t)(DAC_WRITE_INPUT | channel), code);
        pin_high(PIN_DAC_INPUTS);
    } else {
        pin_low(PIN_DAC_NUDGES);
        dac_frame((uint8_t)(DAC_WRITE_INPUT | (channel - DAC_CHANNELS)), code);
        pin_high(PIN_DAC_NUDGES);
    }
}

void hal_dac_load(hal_t *hal)
{
    (void)hal;
    pin_low(PIN_LDAC); /* two cycles, 125 ns */
    pin_high(PIN_LDAC);
}

/* ADG714: the last eight bits before SYNC rises, bit j closes switch j+1 (Theory of Operation). */
void hal_switches(hal_t *hal, uint8_t closed)
{
    (void)hal;
    pin_low(PIN_SWITCHES);
    spi_start(closed);
    (void)spi_finish();
    pin_high(PIN_SWITCHES);
}

/* Each step twice, by the RESET line and over SPI: a broken line of one kind leaves the other. RESET brings
 * input and DAC registers of an AD5676R to midscale, as RSTSEL is tied high (data sheet, Hardware Reset). */
void hal_safe(hal_t *hal)
{
    spi_fast();
    pin_low(PIN_SWITCH_RESET);
    _delay_us(0.25);
    pin_high(PIN_SWITCH_RESET);
    hal_switches(hal, 0);
    _delay_us(1); /* the switches are open, 120 ns at most (ADG714, tOFF), before anything moves */
    pin_low(PIN_DAC_RESET);
    _delay_us(0.25);
    pin_high(PIN_DAC_RESET);
    _delay_us(0.25);
    for (uint8_t channel = 0; channel < HAL_DACS; channel++) {
        hal_dac_write(hal, channel, HAL_MIDSCALE);
    }
    hal_dac_load(hal);
}
