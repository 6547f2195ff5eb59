/* Parser: splits received bytes into headers, parameters and blocks. commands.h defines their meaning. */
#ifndef HWLEARN_PARSER_H
#define HWLEARN_PARSER_H

#include <stdbool.h>
#include <stdint.h>

#define TEXT_MAX 96u         /* characters of a command */
#define BLOCK_DATA_MAX 3072u /* bytes, without the CRC */
#define BLOCK_QUIET_MS 100u   /* timeout of a block and of the end of its message */
#define PARAMETERS_MAX 2u

struct board;

typedef struct {
    const char *text;
    uint8_t size;
} parameter_t;

/* Parameters of one command, and its block if it has one. */
typedef struct {
    parameter_t parameters[PARAMETERS_MAX];
    uint8_t count;
    int32_t values[PARAMETERS_MAX]; /* values of the numeric parameters */
    const uint8_t *block; /* NULL: none */
    uint16_t block_size;  /* without the CRC */
} arguments_t;

typedef enum {
    STATE_TEXT,
    STATE_BLOCK_DIGITS, /* after # */
    STATE_BLOCK_LENGTH,
    STATE_BLOCK_DATA,
    STATE_BLOCK_SKIP, /* the data are discarded */
    STATE_BLOCK_END,  /* only the end of the command may follow */
    STATE_SKIP_LINE,  /* discard bytes until a newline */
    STATE_SKIP_QUIET  /* discard bytes until silence: they may be a block of unknown length */
} state_t;

typedef struct {
    state_t state;
    uint8_t size;     /* characters in text */
    bool failed;        /* after an error: the rest of the message is not executed */
    bool answered;    /* a reply was sent, so the end of the message sends a newline */
    uint8_t command;  /* command of the block */
    uint8_t digits;
    uint32_t length;  /* bytes of the block, or remaining bytes to discard */
    uint16_t filled;
    uint16_t crc;
    char path[24]; /* level at which headers without a colon are looked up first; empty: the root */
    char text[TEXT_MAX];
    uint8_t block[BLOCK_DATA_MAX + 2u];
} parser_t;

/* Process the received bytes. */
void parser_run(struct board *board);

/* Handle the timeout: no byte was received for BLOCK_QUIET_MS. */
void parser_quiet(struct board *board);

/* Handle lost bytes. */
void parser_overrun(struct board *board);

#endif
