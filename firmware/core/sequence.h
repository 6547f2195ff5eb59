/* Batches of samples: free phases, nudged phases, and both with the nudges found on the board. */
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

/* Whether the answer of one sample holds these. */
enum { STATUS_NOT_NUDGED = 1, STATUS_SATURATED = 2, STATUS_NOT_MEASURED = 4, STATUS_SILENT = 8 };

/* How many words one sample has in the request. */
uint8_t sequence_words(const struct board *board, sequence_kind_t kind);

/* Check a whole request against the limits, then run it and answer; eta in 1/4096 (two-phase only). */
void sequence_run(struct board *board, sequence_kind_t kind, const uint8_t *request, uint16_t size, uint16_t eta);

/* Whether a nudge DAC may stand at a code while its output, left alone, reads an ADC code. A reading at the end of
 * the converter's range tells no distance, so then it may not. */
bool sequence_near(const struct board *board, uint8_t output, uint16_t dac_code, uint16_t adc_code);

/* Wait for the settle time, then read the ADC channels of the mask, averaged; false if the ADC does not answer. */
bool sequence_read(struct board *board, uint8_t mask, uint16_t *codes);

#endif
