"""The calibration record: lock, two banks, and power lost at every single write."""

from __future__ import annotations

from dataclasses import replace

import pytest

from .conftest import NewRig
from .record import BANKS, FLAWED, PLAIN, SIZE, Converter, Record, crc16, sealed, with_generation
from .rig import Rig
from .wire_blocks import block, contents, framed

OLD = replace(PLAIN, serial="OLD-1", volts_uV=1_100_000)
NEW = replace(FLAWED, serial="NEW-1", volts_uV=900_000)


def write(rig: Rig, record: bytes) -> None:
    rig.send(f"CAL:UNL {rig.ask('*IDN?').split(',')[2]}\n".encode())
    rig.send(b"CAL:DATA " + framed(record) + b"\n")


def stored(rig: Rig) -> bytes:
    """The record that the board says it uses, without generation and CRC: those the board makes."""
    rig.send(b"CAL:DATA?\n")
    answer = rig.fetch()
    return content(contents(answer))


def content(record: bytes) -> bytes:
    return record[:3] + record[4 : SIZE - 2]


def writes_of_a_record(new_rig: NewRig) -> int:
    """How many EEPROM writes one record takes: the fewest after which power need not fail."""
    low, high = 1, 4 * SIZE
    while low < high:
        middle = (low + high) // 2
        rig = new_rig(OLD)
        rig.lose_power_after(middle)
        write(rig, NEW.encode())
        low, high = (low, middle) if rig.is_on else (middle + 1, high)
    return low


def test_a_new_record_is_told_and_used(rig: Rig) -> None:
    write(rig, NEW.encode())
    assert rig.errors() == []
    assert stored(rig) == content(NEW.encode())
    rig.power_on()
    assert stored(rig) == content(NEW.encode())
    assert rig.ask("*IDN?").split(",")[2] == "NEW-1"
    assert float(rig.ask("SOUR:LIM:VOLT?")) == 0.9
    assert rig.ask("*TST?") == "0"


def test_power_lost_after_every_write_leaves_one_whole_record(new_rig: NewRig) -> None:
    needed = writes_of_a_record(new_rig)
    assert 10 < needed <= 2 * SIZE
    seen = []
    for before in (0, 1):  # the first and the second bank are overwritten
        for writes in range(needed + 2):
            rig = new_rig(OLD)
            if before:
                write(rig, OLD.encode())
                assert rig.errors() == []
            rig.lose_power_after(writes)
            write(rig, NEW.encode())
            rig.lose_power_after(-1)
            rig.power_on()
            rig.fetch()
            found = stored(rig)
            assert found in (content(OLD.encode()), content(NEW.encode())), (before, writes)
            assert rig.ask("*TST?") == "0"
            volts = float(rig.ask("SOUR:LIM:VOLT?"))
            assert volts == (1.1 if found == content(OLD.encode()) else 0.9)
            seen.append(found == content(NEW.encode()))
    for half in (seen[: len(seen) // 2], seen[len(seen) // 2 :]):
        assert half == sorted(half)  # old up to some write, new from there on
        assert not half[0]
        assert half[-1]


def test_a_mixture_that_has_the_right_crc_is_no_record(new_rig: NewRig) -> None:
    """Two records whose CRCs agree after 92 bytes: the head of one before the tail of the other passes any CRC."""
    older = replace(OLD, generation=4, serial="OLDER")
    wanted = crc16(older.encode()[:92])
    head = replace(NEW, generation=6, dacs=(*NEW.dacs[:15], Converter(0, 0))).encode()[:90]
    offset = next(k for k in range(-32768, 32768) if crc16(head + k.to_bytes(2, "little", signed=True)) == wanted)
    new = replace(NEW, generation=6, dacs=(*NEW.dacs[:15], Converter(0, offset)))
    mixture = new.encode()[:92] + older.encode()[92:]
    assert sealed(mixture) == mixture
    rig = new_rig(replace(OLD, generation=5))
    rig.provision(older.encode(), bank=1)
    before = bytes(rig.eeprom)
    for writes in range(writes_of_a_record(new_rig)):
        rig.eeprom[:] = before
        rig.power_on()
        rig.lose_power_after(writes)
        write(rig, new.encode())
        assert not rig.is_on
        rig.power_on()
        assert stored(rig) in (content(OLD.encode()), content(new.encode())), writes


@pytest.mark.parametrize("torn", [0x00, 0x48, 0x57, 0xA5, 0xFF])
def test_the_byte_under_way_may_hold_anything(new_rig: NewRig, torn: int) -> None:
    """Power that fails within a write leaves that byte undefined: still the old or the new record is whole."""
    needed = writes_of_a_record(new_rig)
    rig = new_rig(OLD)
    before = bytes(rig.eeprom)
    write(rig, NEW.encode())
    bank = BANKS[1]
    order = [0, *range(1, SIZE), 0]  # the first byte marks a record, and is written last
    assert len(order) >= needed
    for writes in range(0, needed, 3):
        rig.eeprom[:] = before
        rig.power_on()
        rig.lose_power_after(writes)
        write(rig, NEW.encode())
        assert not rig.is_on
        rig.eeprom[bank + order[writes]] = bytes([torn])
        rig.power_on()
        assert stored(rig) in (content(OLD.encode()), content(NEW.encode())), writes


def test_power_lost_in_the_middle_of_repeated_writes(new_rig: NewRig) -> None:
    """A board that loses power in each of many writes still has a whole record."""
    rig = new_rig(OLD)
    valid = {content(OLD.encode())}
    for k in range(60):
        record = replace(NEW, made=k).encode()
        rig.lose_power_after(k * 37 % (SIZE + 5))
        write(rig, record)
        rig.lose_power_after(-1)
        rig.power_on()
        rig.fetch()
        valid.add(content(record))
        found = stored(rig)
        assert found in valid
        valid = {found}


def test_generations_count_round(new_rig: NewRig) -> None:
    rig = new_rig(replace(OLD, generation=250))
    for k in range(20):
        record = replace(NEW, serial=f"N-{k}", made=k).encode()
        write(rig, record)
        assert rig.errors() == []
        rig.power_on()
        assert rig.ask("*IDN?").split(",")[2] == f"N-{k}"


@pytest.mark.parametrize(("first", "second", "used"), [(1, 2, 1), (2, 1, 0), (255, 0, 1), (0, 255, 0)])
def test_the_newer_of_two_records_is_used(new_rig: NewRig, first: int, second: int, used: int) -> None:
    rig = new_rig(replace(OLD, generation=first, serial="BANK-0"))
    rig.provision(replace(OLD, generation=second, serial="BANK-1").encode(), bank=1)
    rig.power_on()
    assert rig.ask("*IDN?").split(",")[2] == f"BANK-{used}"


@pytest.mark.parametrize("damaged", [0, 1])
def test_one_damaged_bank_leaves_the_other(new_rig: NewRig, damaged: int) -> None:
    rig = new_rig(replace(OLD, serial="BANK-0"))
    rig.provision(with_generation(replace(OLD, serial="BANK-1").encode(), 2), bank=1)
    rig.eeprom[BANKS[damaged] + 17] = bytes([rig.eeprom[BANKS[damaged] + 17][0] ^ 4])
    rig.power_on()
    assert rig.ask("*IDN?").split(",")[2] == f"BANK-{1 - damaged}"


def assert_locked(rig: Rig) -> None:
    assert rig.ask("*IDN?").split(",")[2] == "0"
    assert int(rig.ask("*TST?")) & 1
    rig.errors()
    rig.allow([(32768, 32768)] * 16)
    edges = rig.edges
    for message, data in [
        ("SOUR:VOLT 0,0", b""), ("SOUR:VOLT 9,0.1", b""), ("ROUT:CLOS 1", b""),
        ("SEQ:FREE? ", block([32768] * 8)), ("SEQ:NUDG? ", block([32768] * 16)),
        ("SEQ:TWOP? 0.5,", block([32768] * 12)), ("EDGE:DATA ", block([5] * 32)), ("EDGE:CODE 0,5", b""),
    ]:  # fmt: skip
        rig.say(message, data)
        assert rig.errors() == [-340], message
    assert rig.is_safe()
    assert rig.edges == edges
    assert rig.violations() == 0


def test_both_banks_destroyed(rig: Rig) -> None:
    write(rig, NEW.encode())
    for bank in BANKS:
        rig.eeprom[bank + 100] = bytes([rig.eeprom[bank + 100][0] ^ 0x20])
    rig.power_on()
    assert_locked(rig)


def test_blank_board(new_rig: NewRig) -> None:
    assert_locked(new_rig(None))


@pytest.mark.parametrize("fill", [0x00, 0x48, 0xFF])
def test_eeprom_full_of_one_byte(new_rig: NewRig, fill: int) -> None:
    rig = new_rig(None)
    rig.eeprom[:] = bytes([fill]) * 4096
    rig.power_on()
    assert_locked(rig)


def test_the_limits_of_a_blank_board_are_the_tightest(new_rig: NewRig) -> None:
    rig = new_rig(None)
    assert rig.errors() == [-340]
    assert [float(rig.ask(f"SOUR:LIM:{limit}?")) for limit in ("VOLT", "NUDG")] == [0, 0]
    rig.say("SOUR:LIM:VOLT 1")
    assert rig.errors() in ([-222], [-340])


def test_a_blank_board_takes_its_first_record(new_rig: NewRig) -> None:
    rig = new_rig(None)
    assert rig.errors() == [-340]
    write(rig, NEW.encode())
    assert rig.errors() == []
    rig.power_on()
    assert rig.ask("*IDN?").split(",")[2] == "NEW-1"
    rig.say("SOUR:VOLT 0,0.1")
    assert rig.errors() == []


@pytest.mark.parametrize("position", [16, 20, 24, 25])
def test_a_record_with_a_right_crc_and_wrong_limits_is_not_valid(new_rig: NewRig, position: int) -> None:
    body = bytearray(OLD.encode())
    body[position : position + 4] = {
        16: b"\xff\xff\xff\x7f",
        20: b"\xff\xff\xff\xff",
        24: b"\xff\0\0\0",
        25: b"\0\0\0\0",
    }[position]
    if position == 25:
        body[24] = 3
    rig = new_rig(None)
    rig.provision(sealed(bytes(body)))
    rig.power_on()
    assert_locked(rig)


@pytest.mark.parametrize(("field", "value"), [(0, b"XX"), (2, b"\x02"), (2, b"\0")])
def test_a_record_of_another_kind_is_not_valid(new_rig: NewRig, field: int, value: bytes) -> None:
    body = bytearray(OLD.encode())
    body[field : field + len(value)] = value
    rig = new_rig(None)
    rig.provision(sealed(bytes(body)))
    rig.power_on()
    assert_locked(rig)


def test_unlocking_counts_for_one_writing(rig: Rig) -> None:
    write(rig, PLAIN.encode())
    assert rig.errors() == []
    rig.say("CAL:DATA ", framed(PLAIN.encode()))
    assert rig.errors() == [-203]


@pytest.mark.parametrize("serial", ["T-0002", "T-000", "T-00011", "t-0001", "0"])
def test_another_serial_unlocks_nothing(rig: Rig, serial: str) -> None:
    rig.say(f"CAL:UNL {serial}")
    assert rig.errors() == [-224]
    rig.say("CAL:DATA ", framed(PLAIN.encode()))
    assert rig.errors() == [-203]


@pytest.mark.parametrize("lock", ["*RST", "SYST:REB"])
def test_what_locks_again(rig: Rig, lock: str) -> None:
    rig.say("CAL:UNL T-0001")
    rig.say(lock)
    rig.say("CAL:DATA ", framed(PLAIN.encode()))
    assert rig.errors() == [-203]


@pytest.mark.parametrize("size", [SIZE - 2, SIZE + 2, 2, SIZE - 1])
def test_a_record_of_another_length(rig: Rig, size: int) -> None:
    before = bytes(rig.eeprom)
    rig.say("CAL:UNL T-0001")
    data = (PLAIN.encode() * 2)[: size - 2]
    whole = block(memoryview(data).cast("H")) if size % 2 == 0 else framed(data + b"\0\0")
    rig.say("CAL:DATA ", whole)
    assert rig.errors() == [-161]
    assert bytes(rig.eeprom) == before


def test_serials_that_would_break_the_identity(rig: Rig) -> None:
    for serial in ("A,B", "A B", "A;B", "", "A\nB"):
        before = bytes(rig.eeprom)
        write(rig, replace(PLAIN, serial=serial).encode())
        assert rig.errors() == [-222], serial
        assert bytes(rig.eeprom) == before


def test_the_board_counts_the_generation(rig: Rig) -> None:
    for expected in (2, 3, 4):
        write(rig, replace(PLAIN, generation=77).encode())
        rig.send(b"CAL:DATA?\n")
        record = rig.fetch()[5:-1]
        assert record == replace(PLAIN, generation=expected).encode()


def test_limits_of_a_new_record_do_not_widen_before_power_up(rig: Rig, new_rig: NewRig) -> None:
    """A record with wider limits, whatever the board makes of it at once, holds from power-up on."""
    rig = new_rig(OLD)
    rig.say("SOUR:LIM:VOLT 0.5")
    write(rig, replace(OLD, volts_uV=2_000_000).encode())
    assert rig.errors() == []
    assert float(rig.ask("SOUR:LIM:VOLT?")) in (0.5, 2.0)
    rig.power_on()
    assert float(rig.ask("SOUR:LIM:VOLT?")) == 2.0


def test_record_type_is_what_the_card_says() -> None:
    assert len(Record().encode()) == SIZE
