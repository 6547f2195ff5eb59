/* Replies to the host: numbers, texts and blocks. */
#ifndef HWLEARN_ANSWERS_H
#define HWLEARN_ANSWERS_H

#include <stdint.h>

struct board;

/* Start a reply. A ';' separates it from the previous reply to the same message. */
void answer_number(struct board *board, int32_t value);
void answer_micro(struct board *board, int32_t micro);  /* a value in millionths, as a number with six decimals */
void answer_text(struct board *board, const char *rom); /* text in flash */
void answer_block(struct board *board, uint16_t bytes); /* block header; bytes: data length without the CRC */

/* Continue the reply. */
void answer_more(struct board *board, const char *rom);
void answer_more_text(struct board *board, const char *text); /* text in RAM */
void answer_next_number(struct board *board, int32_t value); /* after a comma */
void answer_more_micro(struct board *board, int32_t micro);
void answer_byte(struct board *board, uint8_t byte); /* block data, included in the CRC */
void answer_words(struct board *board, const uint16_t *words, uint8_t count); /* block data, included in the CRC */
void answer_block_end(struct board *board); /* send the CRC */

#endif
