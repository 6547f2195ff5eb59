/* Batches of samples: free phases, nudged phases, and both phases with nudges computed on the board. */
#ifndef HWLEARN_SEQUENCE_H
#define HWLEARN_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

struct board;

typedef enum { SEQUENCE_FREE, SEQUENCE_NUDGE, SEQUENCE_TWO_PHASE } sequence_kind_t;

typedef struct {
    uint16_t settle_us;
    uint8_t average_bits; /* 2^bits readings are averaged */
    uint8_t sides;        /* 1 or 2 */
} sequence_t;

/* Status bits of a sample. */
enum { STATUS_NOT_NUDGED = 1, STATUS_SATURATED = 2, STATUS_NOT_MEASURED = 4, STATUS_NO_RESPONSE = 8 };

/* Return the number of request words per sample. */
uint8_t sequence_words(const struct board *board, sequence_kind_t kind);

/* Check the whole request against the limits, run it and send the reply. eta is in 1/4096 (two-phase only). */
void sequence_run(struct board *board, sequence_kind_t kind, const uint8_t *request, uint16_t size, uint16_t eta);

/* Return whether the nudge limit allows a DAC code for an output with this free reading. A reading at the end of
 * the ADC range allows none, because the voltage is unknown. */
bool sequence_nudge_allowed(const struct board *board, uint8_t output, uint16_t dac_code, uint16_t adc_code);

/* Wait for the settle time and read averages of the ADC channels of the mask. Return false if the ADC does not
 * respond. */
bool sequence_read(struct board *board, uint8_t mask, uint16_t *codes);

#endif
