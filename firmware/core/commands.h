/* Command table of the wire protocol: header lookup, parameter checks and dispatch. */
#ifndef HWLEARN_COMMANDS_H
#define HWLEARN_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "parser.h"

#define COMMAND_NONE 255u

struct board;

/* Find the command of path + header (no leading colon). Return COMMAND_NONE if it is unknown. */
uint8_t commands_find(const char *path, const char *header, uint8_t size);

/* Check the number of parameters and the presence of a block. Return 0 or an error code. */
int16_t commands_fit(uint8_t command, uint8_t parameters, bool block);

/* Return whether the command accepts a block of this data size (without CRC). */
bool commands_length_fits(const struct board *board, uint8_t command, uint16_t size);

/* Read the numeric parameters and execute the command. */
void commands_run(struct board *board, uint8_t command, arguments_t *arguments);

#endif
