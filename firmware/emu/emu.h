/* The ATmega2560 binary in libsimavr, with models of the chips around it: the product's own code, cycle by cycle.
 * For tests only, as libsimavr is under the GPL. Named as boards/host/host.h where it means the same.
 * Read by cffi as it stands below the guard, so it holds plain declarations only. */
#ifndef HWLEARN_EMU_H
#define HWLEARN_EMU_H
#include <stddef.h>
#include <stdint.h>
/* cffi reads from here */

typedef struct emu emu_board;

/* As host_analog_fn and host_edges_fn; asked at every conversion whose circumstances are new. */
typedef int (*emu_analog_fn)(void *user, uint8_t switches, const double *dac_volts, double *adc_volts);
typedef void (*emu_edges_fn)(void *user, const uint8_t *codes);

emu_board *emu_new(const char *elf); /* EEPROM blank, edges at their middle, switched off; NULL: no such program */
void emu_free(emu_board *board);
void emu_power_on(emu_board *board); /* or a reset button: MCU, DACs, switches and ADC start anew, edges stay */

/* The wire, at 1 Mbaud in both directions: what is received queues up and goes to the UART bit by bit. */
void emu_receive(emu_board *board, const uint8_t *data, size_t size);
size_t emu_transmit(emu_board *board, uint8_t *out, size_t room);
uint64_t emu_last_byte(const emu_board *board); /* cycle at which the newest byte had left */
uint64_t emu_overruns(const emu_board *board);  /* bytes that the UART lost because nobody took them in time */

/* Time, in cycles of 62.5 ns; it passes only here. */
void emu_advance_us(emu_board *board, uint64_t us);
/* Go on until the program has done all that there was to do, or `most` cycles have passed; whether it had. */
int emu_work(emu_board *board, uint64_t most);
uint64_t emu_now(const emu_board *board);

/* The analog world, as in host.h. */
void emu_attach(emu_board *board, emu_analog_fn analog, emu_edges_fn edges, void *user);
void emu_set_transfer(emu_board *board, uint8_t switches, const double *transfer);
void emu_forget_transfers(emu_board *board);
void emu_set_converters(emu_board *board, const double *dac_gain, const double *dac_offset, const double *adc_gain,
                        const double *adc_offset, double noise_volts, uint64_t seed);

/* Probes. */
uint16_t emu_dac_code(const emu_board *board, uint8_t channel);
uint8_t emu_switches(const emu_board *board);
void emu_edge_codes(const emu_board *board, uint8_t *codes);
void emu_allow(emu_board *board, const uint16_t *low, const uint16_t *high);
uint64_t emu_violations(const emu_board *board); /* since emu_allow */
uint64_t emu_moved_closed(const emu_board *board); /* moves of a DAC to another code while a switch was closed */
uint64_t emu_loads(const emu_board *board);
/* What the program did to a chip that its data sheet forbids; the newest in words. */
uint64_t emu_faults(const emu_board *board);
const char *emu_fault(const emu_board *board);
uint32_t emu_resets(const emu_board *board); /* of the MCU by its own watchdog */
uint32_t emu_trips(const emu_board *board);  /* of the supervisor */

/* Accidents. */
uint8_t *emu_eeprom(emu_board *board);              /* its 4096 bytes */
void emu_eeprom_time(emu_board *board, uint32_t us); /* for each write; 3400 unless set */
void emu_hang(emu_board *board);                    /* the program runs in a circle, interrupts off */
void emu_stop_clock(emu_board *board, int stopped); /* the crystal breaks; not even the MCU's watchdog runs */
void emu_damage_next(emu_board *board); /* the next byte on the line arrives without its stop bit, and wrong */
void emu_unplug_edges(emu_board *board, int unplugged);
void emu_upset_adc(emu_board *board); /* its supply dips: its registers are as after power-up */
#endif
