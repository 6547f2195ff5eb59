"""The calibration record: lock, two banks, and power loss at every single write."""

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
    rig.send(f"CAL:UNL {rig.query('*IDN?').split(',')[2]}\n".encode())
    rig.send(b"CAL:DATA " + framed(record) + b"\n")


def stored(rig: Rig) -> bytes:
    """Return the record that the board reports, without generation and CRC, which the board sets."""
    rig.send(b"CAL:DATA?\n")
    answer = rig.fetch()
    return content(contents(answer))


def content(record: bytes) -> bytes:
    return record[:3] + record[4 : SIZE - 2]


def writes_of_a_record(new_rig: NewRig) -> int:
    """Return the number of EEPROM writes for one record."""
    low, high = 1, 4 * SIZE
    while low < high:
        middle = (low + high) // 2
        rig = new_rig(OLD)
        rig.lose_power_after(middle)
        write(rig, NEW.encode())
        low, high = (low, middle) if rig.is_on else (middle + 1, high)
    return low


def test_new_record_is_reported_and_used(rig: Rig) -> None:
    write(rig, NEW.encode())
    assert rig.errors() == []
    assert stored(rig) == content(NEW.encode())
    rig.power_on()
    assert stored(rig) == content(NEW.encode())
    assert rig.query("*IDN?").split(",")[2] == "NEW-1"
    assert float(rig.query("SOUR:LIM:VOLT?")) == 0.9
    assert rig.query("*TST?") == "0"


def test_power_loss_after_any_write_leaves_one_valid_record(new_rig: NewRig) -> None:
    needed = writes_of_a_record(new_rig)
    assert 10 < needed <= 2 * SIZE
    seen = []
    for before in (0, 1):  # overwrite the second bank, then the first
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
            assert rig.query("*TST?") == "0"
            volts = float(rig.query("SOUR:LIM:VOLT?"))
            assert volts == (1.1 if found == content(OLD.encode()) else 0.9)
            seen.append(found == content(NEW.encode()))
    for half in (seen[: len(seen) // 2], seen[len(seen) // 2 :]):
        assert half == sorted(half)  # the old record up to one write, the new one after it
        assert not half[0]
        assert half[-1]


def test_mixture_of_two_records_with_a_correct_crc_is_rejected(new_rig: NewRig) -> None:
    """The CRCs of both records agree after 92 bytes, so a mixture of them has a valid CRC."""
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
def test_undefined_byte_after_power_loss_leaves_one_valid_record(new_rig: NewRig, torn: int) -> None:
    """A power loss within a write leaves an undefined byte; the old or the new record must still be valid."""
    needed = writes_of_a_record(new_rig)
    rig = new_rig(OLD)
    before = bytes(rig.eeprom)
    write(rig, NEW.encode())
    bank = BANKS[1]
    order = [0, *range(1, SIZE), 0]  # the first byte marks a valid record and is written last
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


def test_power_loss_in_repeated_writes_leaves_one_valid_record(new_rig: NewRig) -> None:
    """A board that loses power in each of many writes still has a valid record."""
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


def test_generation_counter_wraps_around(new_rig: NewRig) -> None:
    rig = new_rig(replace(OLD, generation=250))
    for k in range(20):
        record = replace(NEW, serial=f"N-{k}", made=k).encode()
        write(rig, record)
        assert rig.errors() == []
        rig.power_on()
        assert rig.query("*IDN?").split(",")[2] == f"N-{k}"


@pytest.mark.parametrize(("first", "second", "used"), [(1, 2, 1), (2, 1, 0), (255, 0, 1), (0, 255, 0)])
def test_newer_of_two_records_is_used(new_rig: NewRig, first: int, second: int, used: int) -> None:
    rig = new_rig(replace(OLD, generation=first, serial="BANK-0"))
    rig.provision(replace(OLD, generation=second, serial="BANK-1").encode(), bank=1)
    rig.power_on()
    assert rig.query("*IDN?").split(",")[2] == f"BANK-{used}"


@pytest.mark.parametrize("damaged", [0, 1])
def test_other_bank_is_used_if_one_is_damaged(new_rig: NewRig, damaged: int) -> None:
    rig = new_rig(replace(OLD, serial="BANK-0"))
    rig.provision(with_generation(replace(OLD, serial="BANK-1").encode(), 2), bank=1)
    rig.eeprom[BANKS[damaged] + 17] = bytes([rig.eeprom[BANKS[damaged] + 17][0] ^ 4])
    rig.power_on()
    assert rig.query("*IDN?").split(",")[2] == f"BANK-{1 - damaged}"


def assert_locked(rig: Rig) -> None:
    assert rig.query("*IDN?").split(",")[2] == "0"
    assert int(rig.query("*TST?")) & 1
    rig.errors()
    rig.allow([(32768, 32768)] * 16)
    edges = rig.edges
    for message, data in [
        ("SOUR:VOLT 0,0", b""), ("SOUR:VOLT 9,0.1", b""), ("ROUT:CLOS 1", b""),
        ("SEQ:FREE? ", block([32768] * 8)), ("SEQ:NUDG? ", block([32768] * 16)),
        ("SEQ:TWOP? 0.5,", block([32768] * 12)), ("EDGE:DATA ", block([5] * 32)), ("EDGE:CODE 0,5", b""),
    ]:  # fmt: skip
        rig.write(message, data)
        assert rig.errors() == [-340], message
    assert rig.is_safe()
    assert rig.edges == edges
    assert rig.violations() == 0


def test_board_is_uncalibrated_if_both_banks_are_damaged(rig: Rig) -> None:
    write(rig, NEW.encode())
    for bank in BANKS:
        rig.eeprom[bank + 100] = bytes([rig.eeprom[bank + 100][0] ^ 0x20])
    rig.power_on()
    assert_locked(rig)


def test_blank_board_is_uncalibrated(new_rig: NewRig) -> None:
    assert_locked(new_rig(None))


@pytest.mark.parametrize("fill", [0x00, 0x48, 0xFF])
def test_board_is_uncalibrated_with_one_byte_everywhere(new_rig: NewRig, fill: int) -> None:
    rig = new_rig(None)
    rig.eeprom[:] = bytes([fill]) * 4096
    rig.power_on()
    assert_locked(rig)


def test_blank_board_has_the_tightest_limits(new_rig: NewRig) -> None:
    rig = new_rig(None)
    assert rig.errors() == [-340]
    assert [float(rig.query(f"SOUR:LIM:{limit}?")) for limit in ("VOLT", "NUDG")] == [0, 0]
    rig.write("SOUR:LIM:VOLT 1")
    assert rig.errors() in ([-222], [-340])


def test_blank_board_accepts_its_first_record(new_rig: NewRig) -> None:
    rig = new_rig(None)
    assert rig.errors() == [-340]
    write(rig, NEW.encode())
    assert rig.errors() == []
    rig.power_on()
    assert rig.query("*IDN?").split(",")[2] == "NEW-1"
    rig.write("SOUR:VOLT 0,0.1")
    assert rig.errors() == []


@pytest.mark.parametrize("position", [16, 20, 24, 25])
def test_record_with_invalid_limits_is_rejected(new_rig: NewRig, position: int) -> None:
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
def test_record_of_another_type_is_rejected(new_rig: NewRig, field: int, value: bytes) -> None:
    body = bytearray(OLD.encode())
    body[field : field + len(value)] = value
    rig = new_rig(None)
    rig.provision(sealed(bytes(body)))
    rig.power_on()
    assert_locked(rig)


def test_unlock_permits_one_write(rig: Rig) -> None:
    write(rig, PLAIN.encode())
    assert rig.errors() == []
    rig.write("CAL:DATA ", framed(PLAIN.encode()))
    assert rig.errors() == [-203]


@pytest.mark.parametrize("serial", ["T-0002", "T-000", "T-00011", "t-0001", "0"])
def test_wrong_serial_number_does_not_unlock(rig: Rig, serial: str) -> None:
    rig.write(f"CAL:UNL {serial}")
    assert rig.errors() == [-224]
    rig.write("CAL:DATA ", framed(PLAIN.encode()))
    assert rig.errors() == [-203]


@pytest.mark.parametrize("lock", ["*RST", "SYST:REB"])
def test_calibration_is_locked_again_after_reset(rig: Rig, lock: str) -> None:
    rig.write("CAL:UNL T-0001")
    rig.write(lock)
    rig.write("CAL:DATA ", framed(PLAIN.encode()))
    assert rig.errors() == [-203]


@pytest.mark.parametrize("size", [SIZE - 2, SIZE + 2, 2, SIZE - 1])
def test_record_of_wrong_length_is_rejected(rig: Rig, size: int) -> None:
    before = bytes(rig.eeprom)
    rig.write("CAL:UNL T-0001")
    data = (PLAIN.encode() * 2)[: size - 2]
    whole = block(memoryview(data).cast("H")) if size % 2 == 0 else framed(data + b"\0\0")
    rig.write("CAL:DATA ", whole)
    assert rig.errors() == [-161]
    assert bytes(rig.eeprom) == before


def test_serial_numbers_with_invalid_characters_are_rejected(rig: Rig) -> None:
    for serial in ("A,B", "A B", "A;B", "", "A\nB"):
        before = bytes(rig.eeprom)
        write(rig, replace(PLAIN, serial=serial).encode())
        assert rig.errors() == [-222], serial
        assert bytes(rig.eeprom) == before


def test_board_sets_the_generation(rig: Rig) -> None:
    for expected in (2, 3, 4):
        write(rig, replace(PLAIN, generation=77).encode())
        rig.send(b"CAL:DATA?\n")
        record = rig.fetch()[5:-1]
        assert record == replace(PLAIN, generation=expected).encode()


def test_wider_limits_of_a_new_record_apply_after_power_up(rig: Rig, new_rig: NewRig) -> None:
    """A record with wider limits applies from the next power-up on, at the latest."""
    rig = new_rig(OLD)
    rig.write("SOUR:LIM:VOLT 0.5")
    write(rig, replace(OLD, volts_uV=2_000_000).encode())
    assert rig.errors() == []
    assert float(rig.query("SOUR:LIM:VOLT?")) in (0.5, 2.0)
    rig.power_on()
    assert float(rig.query("SOUR:LIM:VOLT?")) == 2.0


def test_record_type_equals_the_reference_card() -> None:
    assert len(Record().encode()) == SIZE
