/* Bytes into messages: headers, parameters and blocks; what they mean is in commands.h. */
#ifndef HWLEARN_PARSER_H
#define HWLEARN_PARSER_H

#include <stdbool.h>
#include <stdint.h>

#define TEXT_MOST 96u        /* characters of a message unit */
#define BLOCK_DATA_MOST 3072u /* bytes, without the CRC */
#define BLOCK_QUIET_MS 100u  /* a block that stops coming, or its end, is given up after so long */
#define PARAMETERS_MOST 2u

struct board;

typedef struct {
    const char *text;
    uint8_t size;
} parameter_t;

/* The parameters of one message unit, and its block if it has one. */
typedef struct {
    parameter_t parameters[PARAMETERS_MOST];
    uint8_t count;
    int32_t values[PARAMETERS_MOST]; /* those that are numbers */
    const uint8_t *block; /* NULL: none */
    uint16_t block_size;  /* without the CRC */
} arguments_t;

typedef enum {
    STATE_TEXT,
    STATE_BLOCK_DIGITS, /* behind # */
    STATE_BLOCK_LENGTH,
    STATE_BLOCK_DATA,
    STATE_BLOCK_SKIP, /* its data are of no use */
    STATE_BLOCK_END,  /* only an end may follow */
    STATE_SKIP_LINE,  /* until a newline */
    STATE_SKIP_QUIET  /* until silence: a block of unknown length may be under way */
} state_t;

typedef struct {
    state_t state;
    uint8_t size;     /* characters in text */
    bool dead;        /* an error was found: the rest of the message is not obeyed */
    bool answered;    /* the message has answered something, so a newline is due */
    uint8_t command;  /* of the block */
    uint8_t digits;
    uint32_t length;  /* bytes of the block, or that are left of it to skip */
    uint16_t filled;
    uint16_t crc;
    char path[24]; /* where headers without a colon are looked up first; empty: at the root */
    char text[TEXT_MOST];
    uint8_t block[BLOCK_DATA_MOST + 2u];
} parser_t;

/* Take whatever has come. */
void parser_run(struct board *board);

/* Nothing has come for BLOCK_QUIET_MS. */
void parser_quiet(struct board *board);

/* Bytes were lost on the line. */
void parser_overrun(struct board *board);

#endif
