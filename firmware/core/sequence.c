/* Batches of samples: settle times, readings, nudges and replies. */
#include "sequence.h"

#include "answers.h"
#include "narrow.h"
#include "rom.h"
#include "state.h"

#define OUTPUT_MASK 0x0Fu
#define LONGEST_TIMER_US 1000u

static uint16_t word_at(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | (uint16_t)((uint16_t)bytes[1] << 8));
}

uint8_t sequence_words(const board_t *board, sequence_kind_t kind)
{
    if (kind == SEQUENCE_FREE) {
        return HAL_INPUTS;
    }
    bool both = kind == SEQUENCE_NUDGE && board->sequence.sides == 2u;
    return (uint8_t)(HAL_INPUTS + HAL_OUTPUTS + (both ? HAL_OUTPUTS : 0));
}

/* --- waiting and reading -------------------------------------------------------------------------- */

/* Start the settle time and return the part beyond the first timer period. Other work may run meanwhile. */
NOINLINE static uint16_t settle_begin(board_t *board)
{
    uint16_t all = board->sequence.settle_us;
    uint16_t first = all > LONGEST_TIMER_US ? LONGEST_TIMER_US : all;
    hal_timer_start(board->hal, first);
    return (uint16_t)(all - first);
}

NOINLINE static void settle_end(board_t *board, uint16_t left)
{
    hal_timer_wait(board->hal);
    while (left > 0 && !board->line.cancel) {
        uint16_t next = left > LONGEST_TIMER_US ? LONGEST_TIMER_US : left;
        hal_kick(board->hal);
        hal_timer_start(board->hal, next);
        hal_timer_wait(board->hal);
        left = (uint16_t)(left - next);
    }
}

NOINLINE static bool read_averaged(board_t *board, uint8_t mask, uint16_t *codes)
{
    uint8_t bits = board->sequence.average_bits;
    if (bits == 0) {
        return hal_adc_scan(board->hal, mask, codes);
    }
    uint32_t sums[HAL_ADCS] = {0};
    uint8_t count = 0;
    for (uint8_t rest = mask; rest != 0; rest &= (uint8_t)(rest - 1u)) {
        count++;
    }
    for (uint8_t n = (uint8_t)(1u << bits); n > 0; n--) {
        if (!hal_adc_scan(board->hal, mask, codes)) {
            return false;
        }
        for (uint8_t k = 0; k < count; k++) {
            sums[k] += codes[k];
        }
    }
    for (uint8_t k = 0; k < count; k++) {
        codes[k] = as_word((int32_t)((sums[k] + (1ul << (bits - 1u))) >> bits));
    }
    return true;
}

bool sequence_read(board_t *board, uint8_t mask, uint16_t *codes)
{
    settle_end(board, settle_begin(board));
    return read_averaged(board, mask, codes);
}

static bool inside_adc_range(uint16_t code)
{
    return code != 0 && code != 0xFFFFu;
}

bool sequence_nudge_allowed(const board_t *board, uint8_t output, uint16_t dac_code, uint16_t adc_code)
{
    int32_t away = (int32_t)dac_code - scale_nudge_code(&board->maps[output], adc_code);
    return inside_adc_range(adc_code) && (away < 0 ? -away : away) <= (int32_t)board->limits.nudge_dac_codes[output];
}

/* --- limit check of a request --------------------------------------------------------------------- */

NOINLINE static bool request_allowed(const board_t *board, sequence_kind_t kind, const uint8_t *at, uint16_t samples)
{
    uint8_t nudges = kind == SEQUENCE_NUDGE ? (uint8_t)(sequence_words(board, kind) - HAL_INPUTS) : 0u;
    uint8_t targets = kind == SEQUENCE_TWO_PHASE ? HAL_OUTPUTS : 0u;
    for (; samples > 0; samples--, at += 2u * targets) {
        const uint16_t *low = board->limits.low;
        const uint16_t *high = board->limits.high;
        for (uint8_t k = HAL_INPUTS; k > 0; k--, at += 2) {
            uint16_t code = word_at(at);
            if (code < *low++ || code > *high++) {
                return false;
            }
        }
        for (uint8_t k = 0; k < nudges; k++, at += 2) {
            uint16_t code = word_at(at);
            uint8_t channel = (uint8_t)(HAL_INPUTS + k % HAL_OUTPUTS);
            if (code != FLOATING && !limits_allow(&board->limits, channel, code)) {
                return false;
            }
        }
    }
    return true;
}

/* --- one sample ----------------------------------------------------------------------------------- */

typedef struct {
    uint16_t codes[2][HAL_OUTPUTS]; /* plus and minus */
    uint8_t closed[2];              /* closed switches of each side */
} nudges_t;

typedef struct {
    uint16_t status;
    uint16_t readings[3][HAL_ADCS]; /* free, plus, minus; only the first four of each are used */
} sample_t;

/* Read the nudge codes of the host. Return whether all are within the nudge limit of the free readings. */
NOINLINE static bool read_nudges(const board_t *board, const uint8_t *at, const uint16_t *free, nudges_t *nudges)
{
    bool fine = true;
    for (uint8_t side = 0; side < board->sequence.sides; side++) {
        nudges->closed[side] = 0;
        for (uint8_t j = 0; j < HAL_OUTPUTS; j++, at += 2) {
            uint16_t code = word_at(at);
            nudges->codes[side][j] = code;
            if (code == FLOATING) {
                continue;
            }
            nudges->closed[side] = (uint8_t)(nudges->closed[side] | (1u << j));
            if (!sequence_nudge_allowed(board, j, code, free[j])) {
                fine = false;
            }
        }
    }
    return fine;
}

/* Compute nudges from targets: v = f +- eta (t - f). Return false if a nudge exceeds a limit. */
NOINLINE static bool compute_nudges(const board_t *board, const uint8_t *at, const uint16_t *free, uint16_t eta,
                                    nudges_t *nudges)
{
    uint8_t closed = 0;
    for (uint8_t j = 0; j < HAL_OUTPUTS; j++, at += 2) {
        uint16_t target = word_at(at);
        uint16_t f = free[j];
        nudges->codes[0][j] = nudges->codes[1][j] = FLOATING;
        if (target == FLOATING) {
            continue;
        }
        bool rising = target >= f;
        uint16_t apart = rising ? (uint16_t)(target - f) : (uint16_t)(f - target);
        uint32_t product = (uint32_t)apart * eta + 2048u; /* eta < 2^15 */
        uint16_t upper = high_word(product);
        /* product >> 12, in the form that is fastest on an 8-bit CPU */
        uint16_t delta = (uint16_t)((uint16_t)(upper << 4) | (uint16_t)(low_word(product) >> 12));
        if (!inside_adc_range(f) || upper > 0x0FFFu || delta > board->limits.nudge_adc_codes[j]) {
            return false;
        }
        closed = (uint8_t)(closed | (1u << j));
        for (uint8_t side = 0; side < board->sequence.sides; side++, rising = !rising) {
            uint16_t wanted = (uint16_t)(rising ? f + delta : f - delta);
            if (rising ? wanted < f : wanted > f) {
                return false; /* outside the ADC codes */
            }
            int32_t code = scale_nudge_code(&board->maps[j], wanted);
            if (!fits_word(code) || !limits_allow(&board->limits, (uint8_t)(HAL_INPUTS + j), as_word(code))) {
                return false;
            }
            nudges->codes[side][j] = as_word(code);
        }
    }
    nudges->closed[0] = nudges->closed[1] = closed;
    return true;
}

NOINLINE static void drive_inputs(board_t *board, const uint8_t *at)
{
    if (board->closed) {
        hal_switches(board->hal, 0);
        board->closed = 0;
    }
    for (uint8_t k = 0; k < HAL_INPUTS; k++, at += 2) {
        hal_dac_write(board->hal, k, word_at(at));
    }
    hal_dac_load(board->hal);
}

NOINLINE static void drive_nudges(board_t *board, const uint16_t *codes, uint8_t closed)
{
    if (board->closed & (uint8_t)~closed) {
        hal_switches(board->hal, (uint8_t)(board->closed & closed));
    }
    for (uint8_t j = 0; j < HAL_OUTPUTS; j++) {
        if (codes[j] != FLOATING) {
            hal_dac_write(board->hal, (uint8_t)(HAL_INPUTS + j), codes[j]);
        }
    }
    hal_dac_load(board->hal);
    if (board->closed != closed) {
        hal_switches(board->hal, closed);
    }
    board->closed = closed;
}

static void repeat_free(sample_t *sample)
{
    for (uint8_t j = 0; j < HAL_OUTPUTS; j++) {
        sample->readings[1][j] = sample->readings[2][j] = sample->readings[0][j];
    }
}

NOINLINE static void note_saturation(sample_t *sample, uint8_t phase)
{
    for (uint8_t j = 0; j < HAL_OUTPUTS; j++) {
        if (!inside_adc_range(sample->readings[phase][j])) {
            sample->status |= STATUS_SATURATED;
        }
    }
}

/* Measure the nudged phases of a sample. Return false if the ADC does not respond. */
NOINLINE static bool measure_nudged(board_t *board, const nudges_t *nudges, sample_t *sample)
{
    for (uint8_t side = 0; side < board->sequence.sides; side++) {
        drive_nudges(board, nudges->codes[side], nudges->closed[side]);
        settle_end(board, settle_begin(board));
        if (!read_averaged(board, OUTPUT_MASK, sample->readings[1u + side])) {
            return false;
        }
        note_saturation(sample, (uint8_t)(1u + side));
    }
    return true;
}

NOINLINE static void send_sample(board_t *board, sequence_kind_t kind, const sample_t *sample)
{
    uint8_t first = kind == SEQUENCE_NUDGE;
    uint8_t last = kind == SEQUENCE_FREE ? 0u : board->sequence.sides;
    answer_words(board, &sample->status, 1);
    for (uint8_t phase = first; phase <= last; phase++) {
        answer_words(board, sample->readings[phase], HAL_OUTPUTS);
    }
}

/* --- a batch -------------------------------------------------------------------------------------- */

static void mark_not_measured(sample_t *sample)
{
    sample->status = STATUS_NOT_MEASURED;
    for (uint8_t phase = 0; phase < 3u; phase++) {
        for (uint8_t j = 0; j < HAL_OUTPUTS; j++) {
            sample->readings[phase][j] = 0;
        }
    }
}

/* Measure one sample while the previous sample is sent. Return false if the sequence must end. */
NOINLINE static bool measure(board_t *board, sequence_kind_t kind, const uint8_t *at, uint16_t eta,
                             const sample_t *before, sample_t *sample)
{
    nudges_t nudges;
    sample->status = 0;
    drive_inputs(board, at);
    uint16_t left = settle_begin(board);
    if (before) {
        send_sample(board, kind, before);
    }
    settle_end(board, left);
    if (!read_averaged(board, OUTPUT_MASK, sample->readings[0])) {
        mark_not_measured(sample);
        sample->status |= STATUS_NO_RESPONSE;
        return false;
    }
    note_saturation(sample, 0);
    if (kind == SEQUENCE_FREE) {
        return true;
    }
    at += 2u * HAL_INPUTS;
    if (kind == SEQUENCE_NUDGE ? !read_nudges(board, at, sample->readings[0], &nudges)
                               : !compute_nudges(board, at, sample->readings[0], eta, &nudges)) {
        sample->status |= STATUS_NOT_NUDGED;
        repeat_free(sample);
        return true;
    }
    if (!measure_nudged(board, &nudges, sample)) {
        mark_not_measured(sample);
        sample->status |= STATUS_NO_RESPONSE;
        return false;
    }
    return true;
}

void sequence_run(board_t *board, sequence_kind_t kind, const uint8_t *request, uint16_t size, uint16_t eta)
{
    uint8_t width = (uint8_t)(2u * sequence_words(board, kind));
    uint16_t samples = (uint16_t)(size / width);
    if (!board_may_drive(board)) {
        return;
    }
    if (board->closed) {
        board_error(board, E_CONFLICT);
        return;
    }
    if (!request_allowed(board, kind, request, samples)) {
        board_error(board, E_RANGE);
        return;
    }
    uint8_t phases = kind == SEQUENCE_FREE ? 1u : (uint8_t)(board->sequence.sides + (kind == SEQUENCE_TWO_PHASE));
    sample_t pair[2]; /* one is sent while the other is measured */
    sample_t *before = 0;
    board->line.cancel = false;
    board->line.running = true;
    answer_block(board, (uint16_t)(samples * 2u * (1u + HAL_OUTPUTS * (uint16_t)phases)));
    bool running = true;
    for (uint16_t s = 0; s < samples; s++, request += width) {
        sample_t *now = &pair[s & 1u];
        hal_kick(board->hal);
        if (running) {
            running = measure(board, kind, request, eta, before, now);
            if (board->line.cancel) {
                running = false;
                mark_not_measured(now); /* the outputs may not have settled */
            }
            if (!running) {
                board_safe(board);
            }
        } else {
            send_sample(board, kind, before);
            mark_not_measured(now);
        }
        before = now;
    }
    board_safe(board);
    board->line.running = false;
    if (board->line.cancel) {
        board_off(board);
    }
    if (before) {
        send_sample(board, kind, before);
    }
    answer_block_end(board);
    board->last_byte_ms = hal_millis(board->hal);
}
