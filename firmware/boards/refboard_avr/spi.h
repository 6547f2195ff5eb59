/* SPI bus and pins as inline functions: 16 cycles per byte without overhead.
 *
 * All four chips use SPI mode 1 (CPOL 0, CPHA 1): they sample data at the falling edge of SCLK. Sources: AD5676R
 * (data sheet, pin functions: SCLK), ADG714 (Theory of Operation, 3-Wire Serial Interface), AD5144 (Serial
 * Data Input), ADS8688 (SBAS582C 8.4.1.1; the Linux driver ti-ads8688 uses SPI_MODE_1). */
#ifndef HWLEARN_SPI_H
#define HWLEARN_SPI_H

#include <avr/io.h>
#include <stdint.h>

#include "pins.h"

#define SPI_INLINE static inline __attribute__((always_inline))

#define SET_(letter, bit) (PORT##letter |= (uint8_t)(1u << (bit)))
#define CLEAR_(letter, bit) (PORT##letter &= (uint8_t)~(1u << (bit)))
#define OUTPUT_(letter, bit) (DDR##letter |= (uint8_t)(1u << (bit)))
#define TOGGLE_(letter, bit) (PIN##letter = (uint8_t)(1u << (bit)))
#define pin_high(...) SET_(__VA_ARGS__)
#define pin_low(...) CLEAR_(__VA_ARGS__)
#define pin_output(...) OUTPUT_(__VA_ARGS__)
#define pin_toggle(...) TOGGLE_(__VA_ARGS__) /* writing a one to PINx toggles the pin (ATmega2560 data sheet, 13.2.2) */

#define PORT_(letter) PORT##letter
#define DDR_(letter) DDR##letter
#define port_of(letter) PORT_(letter)
#define direction_of(letter) DDR_(letter)

/* 8 MHz for converters and switches, whose maxima are 50 MHz, 30 MHz and 17 MHz. */
SPI_INLINE void spi_fast(void)
{
    SPCR = (uint8_t)(1u << SPE | 1u << MSTR | 1u << CPHA);
    SPSR = (uint8_t)(1u << SPI2X);
}

/* 1 MHz for the AD5144, whose open-drain outputs rise slowly through a resistor. */
SPI_INLINE void spi_slow(void)
{
    SPSR = 0;
    SPCR = (uint8_t)(1u << SPE | 1u << MSTR | 1u << CPHA | 1u << SPR0);
}

SPI_INLINE void spi_start(uint8_t byte)
{
    SPDR = byte;
}

/* Wait for the end of the transfer and return the received byte. */
SPI_INLINE uint8_t spi_finish(void)
{
    while (!(SPSR & (uint8_t)(1u << SPIF))) {
    }
    return SPDR;
}

/* Transfer one byte; not inline, which saves flash where speed does not matter. */
uint8_t spi_exchange(uint8_t byte);

#endif
