/* What goes back to the host. */
#ifndef HWLEARN_ANSWERS_H
#define HWLEARN_ANSWERS_H

#include <stdint.h>

struct board;

/* Every answer begins with one of these; a ';' parts it from the one before. */
void answer_number(struct board *board, int32_t value);
void answer_micro(struct board *board, int32_t micro); /* in units, with six decimals */
void answer_text(struct board *board, const char *rom); /* text in flash */
void answer_block(struct board *board, uint16_t bytes); /* header of a block of so many bytes and their CRC */

/* More of the same answer. */
void answer_more(struct board *board, const char *rom);
void answer_more_text(struct board *board, const char *text); /* text in RAM */
void answer_more_number(struct board *board, int32_t value);
void answer_more_micro(struct board *board, int32_t micro);
void answer_byte(struct board *board, uint8_t byte); /* of a block; counts for its CRC */
void answer_words(struct board *board, const uint16_t *words, uint8_t count); /* likewise */
void answer_block_end(struct board *board); /* sends the CRC */

#endif
