/* The commands of the wire protocol: which there are, and what they do. */
#ifndef HWLEARN_COMMANDS_H
#define HWLEARN_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "parser.h"

#define COMMAND_NONE 255u

struct board;

/* Find a header, given without a leading colon behind an optional path; COMMAND_NONE if there is none. */
uint8_t commands_find(const char *path, const char *header, uint8_t size);

/* Whether so many parameters and a block (or none) fit; 0, or the error code. */
int16_t commands_fit(uint8_t command, uint8_t parameters, bool block);

/* Whether a block of so many data bytes, without its CRC, can be right for this command. */
bool commands_length_fits(const struct board *board, uint8_t command, uint16_t size);

/* Read its numbers, and do it. */
void commands_run(struct board *board, uint8_t command, arguments_t *arguments);

#endif
