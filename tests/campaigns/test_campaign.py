"""What a campaign counts, and when it says that a promise was broken."""

import numpy as np
import pytest
from campaign import Campaign, at_most, commit_seed, every, mean_within, none, shown

COLUMNS = {
    "refused": every(),
    "wrong": none(),
    "s": at_most(2.0),
    "covered": mean_within(0.9, 1.0),
    "tries": shown(),
}
GOOD = {"refused": 1, "wrong": 0, "s": 1.5, "covered": 0.95, "tries": 3}


def _campaign(change=lambda case, rng: {}) -> Campaign:
    return Campaign("promise", lambda case, rng: GOOD | change(case, rng), ["a", "b"], COLUMNS, count=5)


def test_kept_promises_pass():
    table = _campaign().run(seed=1)
    table.check()
    assert table.of("b", "tries").sum() == 15
    assert "every" in str(table)
    assert "15" in str(table)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("refused", 0),
        ("refused", 2),
        ("wrong", 1),
        ("s", 2.1),
        ("s", np.nan),
        ("covered", 0.5),
        ("covered", np.nan),
    ],
)
def test_broken_promise_names_case_and_column(column, value):
    table = _campaign(lambda case, rng: {column: value} if case == "b" else {}).run(seed=1)
    assert [line.partition(" ")[0] for line in table.missed()] == ["b:"]
    with pytest.raises(AssertionError, match=f"b: {column}"):
        table.check()


def test_one_broken_trial_among_many_is_found_and_repeated_from_its_command():
    campaign = _campaign(lambda case, rng: {"wrong": int(rng.random() < 0.05)})
    table = campaign.run(count=100, seed=3)
    number = int(table.broken[0].split("--trial ")[1].partition(":")[0])
    case = table.broken[0].split("'")[1]
    assert campaign.run(seed=3, cases=[case], only=number).of(case, "wrong").tolist() == [1]


def test_trial_that_raises_is_broken():
    def fail(case, rng):
        raise ValueError("no such instrument")

    table = _campaign(fail).run(count=2, seed=1)
    assert table.missed() == [
        "a: 2 trials raised",
        "b: 2 trials raised",
        "a: no trial finished",
        "b: no trial finished",
    ]
    assert "ValueError: no such instrument" in table.broken[0]


def test_interrupted_campaign_keeps_what_it_counted():
    seen = []

    def stop(case, rng):
        seen.append(case)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return {}

    table = _campaign(stop).run(seed=1)
    assert [len(rows) for rows in table.values.values()] == [2, 1]


def test_each_trial_has_its_own_random_numbers_and_the_same_ones_again():
    draws = []
    campaign = _campaign(lambda case, rng: draws.append(rng.random()) or {})
    campaign.run(seed=1)
    assert len(set(draws)) == 10
    campaign.run(seed=1)
    assert draws[:10] == draws[10:]
    campaign.run(seed=2)
    assert not set(draws[20:]) & set(draws[:10])


def test_share_allows_for_its_own_scatter_only():
    rng = np.random.default_rng(1)
    exact, share = mean_within(0.94, 0.96), mean_within(0.94, 0.96, alarm=1e-2)
    fair = rng.normal(0.96, 0.02, (2000, 25))
    assert 0.4 < np.mean([exact.holds(values) for values in fair]) < 0.6
    assert 0.99 < np.mean([share.holds(values) for values in fair]) < 1
    assert not any(share.holds(values) for values in fair[:100] + 0.05)


def test_command_ends_with_1_when_a_promise_was_broken(monkeypatch, capsys):
    for change, code in (({}, 0), ({"wrong": 1}, 1)):
        monkeypatch.setattr("sys.argv", ["promise.py", "--count", "2", "--seed", "7", "--case", "b"])
        with pytest.raises(SystemExit) as ended:
            _campaign(lambda case, rng, change=change: change).main()
        assert ended.value.code == code
        printed = capsys.readouterr().out
        assert ("MISSED b: wrong 2, asked 0" in printed) is bool(code)


def test_seed_follows_the_commit():
    assert commit_seed() == commit_seed()
    assert 0 <= commit_seed() < 2**32
