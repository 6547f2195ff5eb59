/* The virtual board: a library with the same core, and an analog circuit that the caller provides.
 * cffi reads the text below the guard, so it contains only plain declarations. */
#ifndef HWLEARN_HOST_H
#define HWLEARN_HOST_H
#include <stddef.h>
#include <stdint.h>
/* cffi reads from here */

typedef struct hal host_board;

/* Compute adc_volts[8] from the DAC volts[16] and the closed switches and return 1, or call host_set_transfer for
 * these switches and return 0. Return -1 if the ADC must not respond. */
typedef int (*host_analog_fn)(void *user, uint8_t switches, const double *dac_volts, double *adc_volts);
/* Called after the edges were set to codes[32]. */
typedef void (*host_edges_fn)(void *user, const uint8_t *codes);

host_board *host_new(void);              /* switched off, EEPROM blank, edges at midscale; NULL: out of memory */
void host_free(host_board *board);
void host_power_on(host_board *board);   /* power-up or reset; only the EEPROM and the edges keep their contents */
int host_is_on(const host_board *board); /* 0 before power-up and after a power failure */

/* Serial line. Received bytes are processed before the call returns; sent bytes are buffered until fetched. */
void host_receive(host_board *board, const uint8_t *data, size_t size);
size_t host_pending(const host_board *board);
size_t host_transmit(host_board *board, uint8_t *out, size_t capacity);

/* Advance time, which otherwise advances only in the firmware's waits. Watchdog and timeouts act during the call. */
void host_advance_us(host_board *board, uint64_t us);
uint64_t host_now_us(const host_board *board);

/* Analog circuit. Without one, every ADC channel reads 0 V. */
void host_attach(host_board *board, host_analog_fn analog, host_edges_fn edges, void *user);
/* Set ADC volts = transfer[8][16] (in row order) times DAC volts while exactly these switches are closed. */
void host_set_transfer(host_board *board, uint8_t switches, const double *transfer);
void host_forget_transfers(host_board *board);
/* Set the converter errors: DAC volts = nominal volts (1 + gain) + offset,
 * nominal ADC volts = (volts + noise) (1 + gain) + offset. */
void host_set_converters(host_board *board, const double *dac_gain, const double *dac_offset,
                         const double *adc_gain, const double *adc_offset, double noise_volts, uint64_t seed);
/* State of the noise as 6 words, to continue it in another process. */
void host_noise_get(const host_board *board, uint64_t *words);
void host_noise_set(host_board *board, const uint64_t *words);

/* Probes. */
uint16_t host_dac_code(const host_board *board, uint8_t channel);
uint8_t host_switches(const host_board *board);
void host_edge_codes(const host_board *board, uint8_t *codes);
/* Set the allowed codes [low, high] of each DAC channel. host_violations counts the codes outside since then. */
void host_allow(host_board *board, const uint16_t *low, const uint16_t *high);
uint64_t host_violations(const host_board *board);
uint64_t host_loads(const host_board *board);  /* number of DAC updates */
uint64_t host_scans(const host_board *board);  /* number of ADC scans */

/* EEPROM and injected power failures. */
uint8_t *host_eeprom(host_board *board);                       /* its 4096 bytes */
void host_lose_power_after(host_board *board, int64_t writes); /* number of EEPROM writes; negative: never */
#endif
