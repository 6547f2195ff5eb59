/* Command handlers of OUTPut, SOURce, ROUTe and MEASure, including the limits. */
#include "handlers.h"

#include "answers.h"
#include "narrow.h"
#include "rom.h"
#include "state.h"
#include "words.h"

/* --- outputs -------------------------------------------------------------------------------------- */

void do_output_off(board_t *board, const arguments_t *arguments)
{
    const parameter_t *word = &arguments->parameters[0];
    if (!same_word(word, ROM_TEXT("OFF")) && !same_word(word, ROM_TEXT("0"))) {
        board_error(board, E_WORD);
        return;
    }
    board_off(board);
}

void do_allow_outputs(board_t *board, const arguments_t *arguments)
{
    uint16_t present = as_word(arguments->values[0]);
    uint16_t next = as_word(arguments->values[1]);
    if (present != board->state) {
        board_error(board, E_OFF);
        return;
    }
    if (next != present) { /* equal numbers only check the state */
        board->state = next;
        board->off = false;
    }
}

void do_output_state(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board_driving(board));
}

void do_set_voltage(board_t *board, const arguments_t *arguments)
{
    uint8_t k = as_byte(arguments->values[0]);
    int32_t uV = arguments->values[1];
    if (!board_may_drive(board)) {
        return;
    }
    if (uV > board->limits.volts_uV || uV < -board->limits.volts_uV) {
        board_error(board, E_RANGE);
        return;
    }
    if (board->closed && k < HAL_INPUTS) {
        board_error(board, E_CONFLICT);
        return;
    }
    /* with a negative gain error or an offset, a voltage within the limits can need a code that does not exist */
    int32_t needed = scale_dac_code(&board->record.dac[k], uV);
    uint16_t code = fits_word(needed) ? as_word(needed) : FLOATING; /* limits_allow rejects FLOATING */
    uint8_t output = (uint8_t)(k - HAL_INPUTS);
    bool nudging = output < HAL_OUTPUTS && (board->closed & (uint8_t)(1u << output));
    if (!limits_allow(&board->limits, k, code) ||
        (nudging && !sequence_nudge_allowed(board, output, code, board->free_code[output]))) {
        board_error(board, E_RANGE);
        return;
    }
    hal_dac_write(board->hal, k, code);
    hal_dac_load(board->hal);
    board->dac[k] = code;
}

void do_get_voltage(board_t *board, const arguments_t *arguments)
{
    uint8_t k = as_byte(arguments->values[0]);
    answer_micro(board, scale_dac_uV(&board->record.dac[k], board->dac[k]));
}

void do_close_switches(board_t *board, const arguments_t *arguments)
{
    uint8_t mask = as_byte(arguments->values[0]);
    uint8_t more = (uint8_t)(mask & (uint8_t)~board->closed);
    if (!board_may_drive(board)) {
        return;
    }
    if (!sequence_read(board, (1u << HAL_OUTPUTS) - 1u, board->readings)) {
        board_error(board, E_NO_RESPONSE);
        return;
    }
    for (uint8_t j = 0; j < HAL_OUTPUTS; j++) {
        if (!(more & (uint8_t)(1u << j))) {
            continue;
        }
        board->free_code[j] = board->readings[j]; /* used only after the switch is closed */
        if (!sequence_nudge_allowed(board, j, board->dac[HAL_INPUTS + j], board->readings[j])) {
            board_error(board, E_RANGE);
            return;
        }
    }
    board->closed = mask;
    hal_switches(board->hal, mask);
}

void do_closed_switches(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->closed);
}

void do_open_switches(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    hal_switches(board->hal, 0);
    board->closed = 0;
}

void do_measure(board_t *board, const arguments_t *arguments)
{
    uint8_t mask = 0xFF;
    if (arguments->count) {
        mask = (uint8_t)(1u << as_byte(arguments->values[0]));
    }
    if (!sequence_read(board, mask, board->readings)) {
        board_error(board, E_NO_RESPONSE);
        return;
    }
    uint8_t n = 0;
    for (uint8_t k = 0; k < HAL_ADCS; k++) {
        if (!(mask & (uint8_t)(1u << k))) {
            continue;
        }
        int32_t uV = scale_adc_uV(&board->record.adc[k], board->readings[n]);
        if (n++ == 0) {
            answer_micro(board, uV);
        } else {
            hal_transmit(board->hal, ',');
            answer_more_micro(board, uV);
        }
    }
}

/* --- limits --------------------------------------------------------------------------------------- */

void do_set_volts_limit(board_t *board, const arguments_t *arguments)
{
    if (!limits_narrow_volts(&board->limits, &board->record, arguments->values[0])) {
        board_error(board, E_RANGE);
        return;
    }
    board_safe(board); /* the present outputs may exceed the new limit */
}

void do_get_volts_limit(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_micro(board, board->limits.volts_uV);
}

void do_set_nudge_limit(board_t *board, const arguments_t *arguments)
{
    if (!limits_narrow_nudge(&board->limits, &board->record, arguments->values[0])) {
        board_error(board, E_RANGE);
        return;
    }
    board_safe(board); /* the present outputs may exceed the new limit */
}

void do_get_nudge_limit(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_micro(board, board->limits.nudge_uV);
}

void do_set_edges_limit(board_t *board, const arguments_t *arguments)
{
    if (!limits_narrow_edges(&board->limits, arguments->values[0], arguments->values[1])) {
        board_error(board, E_RANGE);
    }
}

void do_get_edges_limit(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->limits.edge_low);
    answer_next_number(board, board->limits.edge_high);
}
