/* Driver of the ADS8688 ADC: eight 16-bit channels, 0 to 5.12 V. Every reading is verified by its channel number.
 *
 * Each channel has a second-order 15 kHz low-pass filter before the multiplexer (SBAS582C 8.3.5). After a full-scale
 * step it takes about 170 us to settle to the last bit. This driver does not wait for it; SEQuence:SETTle does. */
#include <util/delay.h>

#include "avr_hal.h"
#include "spi.h"

/* Commands: first byte of a frame, executed at the rising edge of CS (SBAS582C 8.5.1, Table 6). */
#define CONTINUE 0x00u
#define RESET 0x85u
#define MANUAL_CHANNEL(n) ((uint8_t)(0xC0u + 4u * (n)))

/* Program registers: seven address bits, one write bit, then the value (8.5.2). */
#define WRITE_REGISTER(address) ((uint8_t)(2u * (address) + 1u))
#define REGISTER_FEATURES 0x03u
#define REGISTER_RANGE(n) (0x05u + (n))
#define RANGE_5V12 0x06u /* 0 to 1.25 VREF (8.5.2.3.3) */

/* Byte after each result on SDO: four bits channel, two bits device, the upper two bits of the range (8.5.2.3.2,
 * Tables 13 and 14). It is wrong if the chip does not respond or has lost its range settings. */
#define FEATURES_ALL 0x03u
#define PROOF(channel) ((uint8_t)(16u * (channel) + (RANGE_5V12 >> 1)))

/* The chip needs an acquisition time of at least 1.15 us between frames (6.6, tACQ). The loop itself takes the rest.
 * The emulated chip reports a fault if the time is too short. */
#define ACQUIRE_US 0.75

static void write_register(uint8_t address, uint8_t value)
{
    pin_low(PIN_ADC);
    (void)spi_exchange(WRITE_REGISTER(address));
    (void)spi_exchange(value);
    (void)spi_exchange(0);
    pin_high(PIN_ADC);
    _delay_us(ACQUIRE_US);
}

void adc_begin(void)
{
    pin_low(PIN_ADC);
    (void)spi_exchange(RESET);
    (void)spi_exchange(0);
    pin_high(PIN_ADC);
    _delay_us(ACQUIRE_US);
    for (uint8_t channel = 0; channel < HAL_ADCS; channel++) {
        write_register((uint8_t)REGISTER_RANGE(channel), RANGE_5V12);
    }
    write_register(REGISTER_FEATURES, FEATURES_ALL);
}

/* A frame returns the result of the channel that the previous frame selected, so the scan starts with one extra
 * frame. */
bool hal_adc_scan(hal_t *hal, uint8_t mask, uint16_t *codes)
{
    (void)hal;
    uint8_t channel = 0;
    bool fine = true;
    if (mask == 0) {
        return true;
    }
    while (!(mask & 1u)) {
        mask >>= 1;
        channel++;
    }
    pin_low(PIN_ADC);
    spi_start(MANUAL_CHANNEL(channel));
    (void)spi_finish();
    spi_start(0);
    (void)spi_finish();
    pin_high(PIN_ADC);
    _delay_us(ACQUIRE_US);
    for (;;) {
        uint8_t next = channel;
        uint8_t command = CONTINUE;
        for (mask >>= 1; mask != 0; mask >>= 1) {
            next++;
            if (mask & 1u) {
                command = MANUAL_CHANNEL(next);
                break;
            }
        }
        pin_low(PIN_ADC);
        spi_start(command);
        (void)spi_finish();
        spi_start(0);
        (void)spi_finish();
        spi_start(0);
        uint8_t high = spi_finish();
        spi_start(0);
        uint8_t low = spi_finish();
        spi_start(0);
        uint8_t proof = spi_finish();
        pin_high(PIN_ADC);
        *codes++ = (uint16_t)((uint16_t)((uint16_t)high << 8) | low);
        fine = fine && proof == PROOF(channel);
        if (command == CONTINUE) {
            break;
        }
        channel = next;
        _delay_us(ACQUIRE_US);
    }
    if (!fine) {
        adc_begin(); /* the chip may have lost power for a moment: configure it again for the next scan */
    }
    return fine;
}
