/* EEPROM with its write time. */
#include "eeprom.h"

#include <simavr/avr_eeprom.h>
#include <simavr/sim_io.h>
#include <stddef.h>

enum { EECR = 0x3F, EEDR = 0x40, EEARL = 0x41, EEARH = 0x42 };
enum { EERE = 1, EEPE = 2, EEMPE = 4 };
enum { ARMED_FOR = 4 }; /* cycles */

static avr_cycle_count_t done(avr_t *avr, avr_cycle_count_t when, void *param)
{
    (void)when;
    (void)param;
    avr->data[EECR] &= (uint8_t)~EEPE;
    return 0;
}

static void write_control(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param)
{
    eeprom_t *e = param;
    uint16_t at = (uint16_t)((avr->data[EEARL] | avr->data[EEARH] << 8) & (EEPROM_SIZE - 1));
    uint8_t busy = avr->data[address] & EEPE;
    bool armed = e->armed != 0 && avr->cycle - e->armed <= ARMED_FOR;
    if (!busy && (value & EERE)) {
        avr->data[EEDR] = e->bytes[at];
    }
    if (!busy && armed && (value & EEPE)) {
        e->bytes[at] = avr->data[EEDR];
        e->written = avr->cycle;
        e->armed = 0;
        if (e->cycles_per_write > 0) {
            busy = EEPE;
            avr_cycle_timer_register(avr, e->cycles_per_write, done, e);
        }
    } else if (value & EEMPE) {
        e->armed = avr->cycle;
    }
    avr->data[address] = (uint8_t)((value & ~(EERE | EEPE | EEMPE)) | busy);
}

void eeprom_begin(eeprom_t *e, avr_t *avr)
{
    avr_eeprom_desc_t whole = {.ee = NULL, .offset = 0, .size = EEPROM_SIZE};
    (void)avr_ioctl(avr, AVR_IOCTL_EEPROM_GET, &whole); /* returns -1 also on success */
    e->avr = avr;
    e->bytes = whole.ee;
    e->cycles_per_write = (uint64_t)EEPROM_WRITE_US * avr->frequency / 1000000u;
    avr->io[AVR_DATA_TO_IO(EECR)].w.c = write_control;
    avr->io[AVR_DATA_TO_IO(EECR)].w.param = e;
}
