/* The emulated board: cycle-accurate emulation of the ATmega2560 binary in libsimavr, with models of the other chips.
 * For tests only, because libsimavr is under the GPL. Functions with the same meaning as in boards/host/host.h have
 * the same names. cffi reads the text below the guard, so it contains only plain declarations. */
#ifndef HWLEARN_EMU_H
#define HWLEARN_EMU_H
#include <stddef.h>
#include <stdint.h>
/* cffi reads from here */

typedef struct emu emu_board;

/* As host_analog_fn and host_edges_fn. The analog function is called at a conversion after any change. */
typedef int (*emu_analog_fn)(void *user, uint8_t switches, const double *dac_volts, double *adc_volts);
typedef void (*emu_edges_fn)(void *user, const uint8_t *codes);

emu_board *emu_new(const char *elf); /* switched off, EEPROM blank, edges at midscale; NULL: ELF file not usable */
void emu_free(emu_board *board);
void emu_power_on(emu_board *board); /* power-up or reset; the EEPROM and the edges keep their contents */

/* Serial line at 1 Mbaud in both directions. Received bytes are queued and arrive at the UART one after another. */
void emu_receive(emu_board *board, const uint8_t *data, size_t size);
size_t emu_transmit(emu_board *board, uint8_t *out, size_t capacity);
uint64_t emu_last_byte(const emu_board *board); /* cycle at which the last byte was sent */
uint64_t emu_overruns(const emu_board *board);  /* bytes lost because the program did not read them in time */

/* Time in cycles of 62.5 ns. It advances only during these calls. */
void emu_advance_us(emu_board *board, uint64_t us);
/* Run until the program is idle, at most `most` cycles. Return whether it is idle. */
int emu_work(emu_board *board, uint64_t most);
uint64_t emu_now(const emu_board *board);

/* Analog circuit, as in host.h. */
void emu_attach(emu_board *board, emu_analog_fn analog, emu_edges_fn edges, void *user);
void emu_set_transfer(emu_board *board, uint8_t switches, const double *transfer);
void emu_forget_transfers(emu_board *board);
void emu_set_converters(emu_board *board, const double *dac_gain, const double *dac_offset, const double *adc_gain,
                        const double *adc_offset, double noise_volts, uint64_t seed);
void emu_noise_get(const emu_board *board, uint64_t *words);
void emu_noise_set(emu_board *board, const uint64_t *words);

/* Probes. */
uint16_t emu_dac_code(const emu_board *board, uint8_t channel);
uint8_t emu_switches(const emu_board *board);
void emu_edge_codes(const emu_board *board, uint8_t *codes);
void emu_allow(emu_board *board, const uint16_t *low, const uint16_t *high);
uint64_t emu_violations(const emu_board *board); /* since emu_allow */
uint64_t emu_moved_closed(const emu_board *board); /* moves of a DAC to another code while a switch was closed */
uint64_t emu_loads(const emu_board *board);
/* Number of violations of a data sheet by the program, and a description of the latest. */
uint64_t emu_faults(const emu_board *board);
const char *emu_fault(const emu_board *board);
uint32_t emu_resets(const emu_board *board); /* resets of the MCU by its own watchdog or the supervisor */
uint32_t emu_trips(const emu_board *board);  /* trips of the supervisor */

/* EEPROM and injected failures. */
uint8_t *emu_eeprom(emu_board *board);              /* its 4096 bytes */
void emu_eeprom_time(emu_board *board, uint32_t us); /* for each write; 3400 unless set */
void emu_hang(emu_board *board);                    /* put the program in an endless loop, interrupts disabled */
void emu_stop_clock(emu_board *board, int stopped); /* stop the crystal, and with it the MCU's watchdog */
void emu_damage_next(emu_board *board); /* damage the next byte on the line: wrong value, no stop bit */
void emu_unplug_edges(emu_board *board, int unplugged);
void emu_upset_adc(emu_board *board); /* interrupt the ADC's supply: its registers have their power-up values */
#endif
