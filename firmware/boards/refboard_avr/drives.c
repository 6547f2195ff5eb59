/* Drivers of the two DACs and of the nudge switches, and the safe state. */
#include <util/delay.h>

#include "avr_hal.h"
#include "narrow.h"
#include "rom.h"
#include "spi.h"

/* AD5676R: frame of 24 bits (four bits command, four bits channel, sixteen bits code), executed at the rising edge of
 * SYNC (data sheet, Input Shift Register, Command Definitions, Address Commands). Command 1 writes an input register;
 * the output changes at the falling edge of LDAC (Load DAC). The GAIN pin is tied high: codes range from 0 to 5 V. */
#define DAC_WRITE_INPUT 0x10u

#define DAC_CHANNELS 8u

void pins_begin(void)
{
    /* set levels before directions, so that no chip is selected for a moment */
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

NOINLINE uint8_t spi_exchange(uint8_t byte)
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
    spi_start(high_byte(code));
    (void)spi_finish();
    spi_start(low_byte(code));
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

/* ADG714: the last eight bits before the rising edge of SYNC; bit j closes switch j+1 (Theory of Operation). */
void hal_switches(hal_t *hal, uint8_t closed)
{
    (void)hal;
    pin_low(PIN_SWITCHES);
    spi_start(closed);
    (void)spi_finish();
    pin_high(PIN_SWITCHES);
}

/* Each step is done twice, by the RESET line and over SPI, so that one broken connection has no effect. RESET sets the
 * input and DAC registers of an AD5676R to midscale, because RSTSEL is tied high (data sheet, Hardware Reset). */
void hal_safe(hal_t *hal)
{
    spi_fast();
    pin_low(PIN_SWITCH_RESET);
    _delay_us(0.25);
    pin_high(PIN_SWITCH_RESET);
    hal_switches(hal, 0);
    _delay_us(1); /* the switches open within 120 ns (ADG714, tOFF), before any DAC changes */
    pin_low(PIN_DAC_RESET);
    _delay_us(0.25);
    pin_high(PIN_DAC_RESET);
    _delay_us(0.25);
    for (uint8_t channel = 0; channel < HAL_DACS; channel++) {
        hal_dac_write(hal, channel, HAL_MIDSCALE);
    }
    hal_dac_load(hal);
}
