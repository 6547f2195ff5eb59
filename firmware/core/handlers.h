/* Command handlers, all of type handler_t. The table in commands.c assigns them to headers. */
#ifndef HWLEARN_HANDLERS_H
#define HWLEARN_HANDLERS_H

#include "parser.h"

struct board;

typedef void handler_t(struct board *board, const arguments_t *arguments);

/* do_system.c */
handler_t do_identify, do_reset, do_clear_status, do_events, do_enable_events, do_enabled_events,
    do_status_byte, do_operation_complete, do_is_complete, do_wait_to_continue, do_self_test, do_next_error,
    do_count_errors, do_capability, do_set_watchdog, do_get_watchdog, do_watchdog_tripped,
    do_clear_watchdog, do_reboot;

/* do_outputs.c */
handler_t do_output_off, do_output_state, do_allow_outputs, do_set_voltage, do_get_voltage, do_close_switches,
    do_closed_switches, do_open_switches, do_measure, do_set_volts_limit, do_get_volts_limit, do_set_nudge_limit,
    do_get_nudge_limit, do_set_edges_limit, do_get_edges_limit;

/* do_edges.c */
handler_t do_set_edges, do_get_edges, do_set_edge, do_get_edge, do_get_state;

/* do_sequences.c */
handler_t do_set_settle, do_get_settle, do_set_average, do_get_average, do_set_sides, do_get_sides,
    do_free_phase, do_nudged_phase, do_two_phase;

/* do_calibration.c */
handler_t do_get_record, do_unlock, do_set_record;

#endif
