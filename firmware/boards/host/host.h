/* The board as a library on a computer: the same core, with an analog world that the caller provides.
 * Read by cffi as it stands below the guard, so it holds plain declarations only. */
#ifndef HWLEARN_HOST_H
#define HWLEARN_HOST_H
#include <stddef.h>
#include <stdint.h>
/* cffi reads from here */

typedef struct hal host_board;

/* Fill adc_volts[8] for the DAC volts[16] that stand and the closed switches, and return 1; or call
 * host_set_transfer for these switches and return 0. Returning -1 means that the ADC does not answer. */
typedef int (*host_analog_fn)(void *user, uint8_t switches, const double *dac_volts, double *adc_volts);
/* The edges have moved to codes[32]. */
typedef void (*host_edges_fn)(void *user, const uint8_t *codes);

host_board *host_new(void);              /* switched off, EEPROM blank, edges at their middle; NULL: no memory */
void host_free(host_board *board);
void host_power_on(host_board *board);   /* boots: everything but EEPROM and edges is as new; also a reset button */
int host_is_on(const host_board *board); /* 0 before power-up and after a power loss */

/* The wire. Received bytes are handled at once; what the board says waits until it is fetched. */
void host_receive(host_board *board, const uint8_t *data, size_t size);
size_t host_pending(const host_board *board);
size_t host_transmit(host_board *board, uint8_t *out, size_t room);

/* Time passes only here and in the firmware's own waits; watchdogs and time-outs act before it returns. */
void host_advance_us(host_board *board, uint64_t us);
uint64_t host_now_us(const host_board *board);

/* The analog world. Without one every ADC channel reads 0 V. */
void host_attach(host_board *board, host_analog_fn analog, host_edges_fn edges, void *user);
/* ADC volts = transfer[8][16] (row by row) times DAC volts while exactly these switches are closed. */
void host_set_transfer(host_board *board, uint8_t switches, const double *transfer);
void host_forget_transfers(host_board *board);
/* True errors: volts out of a DAC = nominal (1 + gain) + offset; nominal ADC volts = (volts + noise) (1 + gain) + offset. */
void host_set_converters(host_board *board, const double *dac_gain, const double *dac_offset,
                         const double *adc_gain, const double *adc_offset, double noise_volts, uint64_t seed);

/* What an observer with probes on the board would see. */
uint16_t host_dac_code(const host_board *board, uint8_t channel);
uint8_t host_switches(const host_board *board);
void host_edge_codes(const host_board *board, uint8_t *codes);
/* Codes within [low, high] may stand at a DAC channel; how many broke that since the last host_allow. */
void host_allow(host_board *board, const uint16_t *low, const uint16_t *high);
uint64_t host_violations(const host_board *board);
uint64_t host_loads(const host_board *board);  /* how often DACs moved */
uint64_t host_scans(const host_board *board);  /* how often the ADC was read */

/* Accidents. */
uint8_t *host_eeprom(host_board *board);                           /* its 4096 bytes */
void host_lose_power_after(host_board *board, int64_t writes);     /* EEPROM writes; negative: never */
#endif
