"""A site's own log: repaired in the open or refused by line, cut into the states that were planted, and compared with another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from halfscan.bench.errors import HalfscanError
from halfscan.bench.ledger.off_peak import off_peak_saving
from halfscan.bench.ledger.power_log import PowerLog, read_power_log, zone_of
from halfscan.bench.ledger.states import exams, profile, stretches

START = datetime.fromisoformat("2026-03-02T00:00:00+01:00")  # a Monday
IDLE, PREPARED, SCAN = 12.0, 20.0, 38.0


def minutes(days: float, power: Callable[[datetime], float], start: datetime = START) -> list[tuple[datetime, float]]:
    return [(stamp, power(stamp)) for index in range(round(days * 1440)) for stamp in [start + timedelta(minutes=index)]]


def written(path: Path, rows: list[tuple[datetime, float]], naive: bool = False) -> Path:
    lines = [f"{(stamp.replace(tzinfo=None) if naive else stamp).isoformat()},{kw:.6g}" for stamp, kw in rows]
    path.write_text("time,kW\n" + "\n".join(lines) + "\n")
    return path


def log(tmp_path: Path, rows: list[tuple[datetime, float]]) -> PowerLog:
    return read_power_log(written(tmp_path / "log.csv", rows))


def day_of_exams(stamp: datetime) -> float:
    """Twelve exams from eight o'clock on: ten minutes of scan, five ready, ten of scan, then fifteen ready; idle at night."""
    if not 8 <= stamp.hour < 16:
        return IDLE
    minute = (stamp.hour * 60 + stamp.minute) % 40
    return SCAN if minute < 10 or 15 <= minute < 25 else PREPARED


def test_a_clean_log(tmp_path: Path) -> None:
    found = log(tmp_path, minutes(2, lambda stamp: 10.0))
    assert found.kwh == pytest.approx(480)
    assert found.notes == ()
    assert found.clock_s[-1] - found.clock_s[0] == 2 * 86400 - 60
    assert (datetime.fromtimestamp(found.clock_s[0], UTC).isoformat(), found.clock) == ("2026-03-02T00:00:00+00:00", "site")


def test_a_gap_is_left_out_and_said(tmp_path: Path) -> None:
    rows = minutes(2, lambda stamp: 10.0)
    found = log(tmp_path, rows[:1000] + rows[1120:])
    # The value before a gap holds for nobody knows how long.
    assert found.kwh == pytest.approx((2880 - 121) / 6)
    assert "1 gaps, 4.2% of the time, the longest 2 h, are left out" in found.notes[0]
    with pytest.raises(HalfscanError, match="of the time is missing"):
        log(tmp_path, rows[:1000] + rows[1800:])


def test_the_hour_that_comes_twice_in_autumn(tmp_path: Path) -> None:
    start = datetime.fromisoformat("2026-10-25T00:00:00+02:00")
    rows = minutes(0.5, lambda stamp: 10.0, start)
    winter = timezone(timedelta(hours=1))
    set_back = [(stamp.astimezone(winter) if index >= 180 else stamp, kw) for index, (stamp, kw) in enumerate(rows)]
    found = log(tmp_path, set_back)
    assert found.kwh == pytest.approx(120)
    assert list(found.clock_s[[179, 180]] // 3600 % 24) == [2, 2], "the site's clock shows two o'clock twice"
    with pytest.raises(HalfscanError, match=r"time goes back in line 182: a clock that was set"):
        read_power_log(written(tmp_path / "naive.csv", set_back, naive=True))


def test_lines_out_of_order_and_twice(tmp_path: Path) -> None:
    rows = minutes(1, lambda stamp: 10.0)
    found = log(tmp_path, [*rows[100:], *rows[:100], rows[5]])
    assert found.kwh == pytest.approx(240)
    assert "out of order from line 1342 on" in found.notes[0]
    assert "1 stamps stood twice" in found.notes[1]
    with pytest.raises(HalfscanError, match="stands twice, with different powers"):
        log(tmp_path, [*rows, (rows[5][0], 11.0)])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2026-03-03T00:00:00+01:00,-3", "line 1442: a power of -3 kW"),
        ("2026-03-03T00:00:00+01:00,nan", "line 1442: a power of nan kW"),
        ("2026-03-03T00:00:00+01:00,", "line 1442: no ISO 8601 stamp and power"),
        ("yesterday,3", "line 1442: no ISO 8601 stamp and power"),
        ("2026-03-03T00:00:00,3", "some stamps have a UTC offset and some have none"),
    ],
)
def test_lines_that_can_not_be(line: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path / "log.csv", minutes(1, lambda stamp: 10.0))
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(HalfscanError, match=message):
        read_power_log(path)


def test_files_that_are_no_log(tmp_path: Path) -> None:
    with pytest.raises(HalfscanError, match="kW is more than any scanner takes: in W"):
        log(tmp_path, minutes(1, lambda stamp: 12_000.0))
    with pytest.raises(HalfscanError, match="are too few"):
        log(tmp_path, minutes(0.05, lambda stamp: 12.0))
    with pytest.raises(HalfscanError, match="can't be read"):
        read_power_log(tmp_path / "missing.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(HalfscanError, match="must name the columns time and kW"):
        read_power_log(tmp_path / "other.csv")


def test_states_exams_and_profile_are_those_that_were_planted(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    found = stretches(log(tmp_path, minutes(7, lambda stamp: day_of_exams(stamp) * (1 + 0.02 * rng.standard_normal()))))
    hours: Counter[str] = Counter()
    for one in found:
        hours[one.state] += (one.end_s - one.begin_s) / 3600  # type: ignore[assignment]
    assert hours == pytest.approx({"idle": 7 * 16, "prepared": 7 * 4, "scan": 7 * 4}, rel=1e-3)
    done = exams(found)
    assert len(done) == 7 * 12
    assert done[0].end_s - done[0].begin_s == 25 * 60
    assert np.mean([one.kwh for one in done]) == pytest.approx((20 * SCAN + 5 * PREPARED) / 60, rel=0.01)
    scanner = profile(found, "mine")
    for state, kw in (("idle", IDLE), ("prepared", PREPARED), ("scan", SCAN)):
        low, high = scanner.power_kw[state]
        assert low == pytest.approx(kw, rel=0.01)
        assert high == pytest.approx(kw, rel=0.01)
    assert scanner.method == "measured_wall"
    assert not scanner.several


def test_states_that_a_log_does_not_show(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    flat = log(tmp_path, minutes(2, lambda stamp: 10 + 0.1 * rng.standard_normal()))
    with pytest.raises(HalfscanError, match="does not show 3 states"):
        stretches(flat)
    with pytest.raises(HalfscanError, match="in this order"):
        stretches(flat, ("scan", "idle"))


def nightly(share: float, seed: int, days: int = 28, start: datetime = START) -> list[tuple[datetime, float]]:
    """Nights at a share of the idle power, each with a level of its own."""
    rng = np.random.default_rng(seed)
    levels = IDLE * share * (1 + 0.05 * rng.standard_normal(days + 1))
    return minutes(days, lambda stamp: levels[(stamp - start).days] if not 6 <= stamp.hour < 20 else 30.0, start)


LATER = START + timedelta(days=28)


def pair(tmp_path: Path, share: float, seed: int = 1) -> tuple[PowerLog, PowerLog]:
    """Four weeks without a feature and four with it."""
    return log(tmp_path, nightly(1.0, seed)), log(tmp_path, nightly(share, seed + 1, start=LATER))


@pytest.mark.parametrize(("share", "verdict"), [(0.6, "supported"), (0.7, "inconclusive"), (0.85, "refuted")])
def test_the_saving_off_peak(share: float, verdict: str, tmp_path: Path) -> None:
    before, after = pair(tmp_path, share)
    found = off_peak_saving(before, after, 0.3, weekend=False)
    assert found.saving.value == pytest.approx(1 - share, abs=0.03)
    assert found.verdict == verdict
    assert found.hours == 70


def test_the_verdict_is_the_interval_s_and_not_the_value_s(tmp_path: Path) -> None:
    before, after = pair(tmp_path, 0.7)
    saving = off_peak_saving(before, after, 0.3, weekend=False).saving
    low, value, high = saving.low, saving.value, saving.high
    assert low is not None and value is not None and high is not None  # noqa: PT018
    claims = {
        low - 1e-6: "supported",
        (low + value) / 2: "inconclusive",
        (value + high) / 2: "inconclusive",
        high + 1e-6: "refuted",
    }
    for claimed, verdict in claims.items():
        assert off_peak_saving(before, after, claimed, weekend=False).verdict == verdict


def test_off_peak_needs_logs_that_pair(tmp_path: Path) -> None:
    before, after = pair(tmp_path, 0.7)
    week = log(tmp_path, nightly(0.7, 2, days=7, start=LATER))
    with pytest.raises(HalfscanError, match="the log after needs two of each weekday with off-peak hours, and lacks Monday, Tue"):
        off_peak_saving(before, week, 0.3)
    rows = nightly(0.7, 2, start=LATER)
    no_fridays = log(tmp_path, [row for row in rows if row[0].weekday() != 4])
    with pytest.raises(HalfscanError, match=r"lacks Friday$"):
        off_peak_saving(before, no_fridays, 0.3)
    with pytest.raises(HalfscanError, match="claimed=30"):
        off_peak_saving(before, after, 30)
    with pytest.raises(HalfscanError, match="no off-peak hour"):
        off_peak_saving(before, after, 0.3, hours=(), weekend=False)
    with pytest.raises(HalfscanError, match="other way round"):
        off_peak_saving(after, before, 0.3)
    with pytest.raises(HalfscanError, match="overlap in time"):
        off_peak_saving(before, log(tmp_path, nightly(0.7, 2, start=START + timedelta(days=7))), 0.3)


def test_off_peak_hours_are_the_site_s(tmp_path: Path) -> None:
    """A log in UTC is five hours off in New York: without the zone there is no telling, with it the saving is the planted one."""
    zone = ZoneInfo("America/New_York")
    starts = (datetime(2026, 3, 2, tzinfo=zone), datetime(2026, 3, 31, tzinfo=zone))  # the clock is set on 8 March
    paths = []
    for index, (share, start) in enumerate(zip((1.0, 0.6), starts, strict=True)):
        utc = start.astimezone(UTC)
        local = [utc + timedelta(minutes=minute) for minute in range(28 * 1440)]
        rows = [(stamp, 10 * share if not 6 <= stamp.astimezone(zone).hour < 20 else 30.0) for stamp in local]
        paths.append(written(tmp_path / f"{index}.csv", rows))
    with pytest.raises(HalfscanError, match="stamps are in UTC"):
        off_peak_saving(*(read_power_log(path) for path in paths), 0.3)
    found = off_peak_saving(*(read_power_log(path, zone) for path in paths), 0.3, weekend=False)
    assert found.saving.value == pytest.approx(0.4, abs=1e-6)
    naive = read_power_log(written(tmp_path / "naive.csv", nightly(1.0, 1), naive=True))
    with pytest.raises(HalfscanError, match="one log has UTC offsets and the other has none"):
        off_peak_saving(naive, log(tmp_path, nightly(0.6, 2, start=LATER)), 0.3)


def test_a_time_zone_that_is_none() -> None:
    for name in ("Europe/Atlantis", "../etc", "", "Europe"):
        with pytest.raises(HalfscanError, match="time zone"):
            zone_of(name)


def test_values_that_hold_beyond_their_hour(tmp_path: Path) -> None:
    """Stamps at half past: the value of 19:30 is half of it off-peak, that of 5:30 too."""
    halves = [
        log(tmp_path, [(stamp + timedelta(minutes=30), 10.0) for stamp, _ in minutes(28, lambda stamp: 0, start)[::60]])
        for start in (START, LATER)
    ]
    found = off_peak_saving(*halves, 0.3, weekend=False)
    assert found.hours == 70
    rows = [
        [
            (stamp + timedelta(minutes=30), 10.0 * share if stamp.hour == 19 else 10.0)
            for stamp, _ in minutes(28, lambda stamp: 0, start)[::60]
        ]
        for share, start in ((1.0, START), (0.0, LATER))
    ]
    saved = off_peak_saving(*(log(tmp_path, one) for one in rows), 0.3, weekend=False).saving.value
    assert saved == pytest.approx(0.5 / 10)


@pytest.mark.trials
def test_intervals_of_the_saving_cover_the_truth(tmp_path: Path) -> None:
    """Two hundred pairs of logs whose saving is 30 %: the 95 % interval holds it in 90 to 98 % of them."""
    inside = 0
    for trial in range(200):
        before, after = pair(tmp_path, 0.7, 2 * trial)
        saving = off_peak_saving(before, after, 0.3, weekend=False).saving
        inside += saving.low <= 0.3 <= saving.high  # type: ignore[operator]
    assert 0.90 <= inside / 200 <= 0.98


@pytest.mark.parametrize("spread", [0.001, 0.02, 0.05, 0.3])
def test_states_narrower_than_a_bin_are_not_cut_in_two(spread: float, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [(stamp, kw + spread * rng.standard_normal()) for stamp, kw in minutes(6, day_of_exams)]
    found = stretches(log(tmp_path, rows))
    assert len(exams(found)) == 6 * 12
    for state, kw in (("idle", IDLE), ("prepared", PREPARED), ("scan", SCAN)):
        low, high = profile(found, "here").power_kw[state]
        assert low - 0.1 <= kw <= high + 0.1


def test_a_decimal_comma_and_a_spike_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "log.csv", minutes(1, lambda stamp: 10.0))
    text = path.read_text()
    path.write_text(text.replace(",10\n", ",10,286\n", 1))
    with pytest.raises(HalfscanError, match="line 2: 3 fields under 2 columns; decimal commas"):
        read_power_log(path)
    path.write_text(text.replace(",10\n", ",1e6\n", 1))
    with pytest.raises(HalfscanError, match="line 2: 1e\\+06 kW is more than any scanner takes"):
        read_power_log(path)


def test_hours_that_the_steps_do_not_tell_and_a_scanner_that_was_off(tmp_path: Path) -> None:
    slow, later = (log(tmp_path, minutes(28, lambda stamp: 10.0, start)[::240]) for start in (START, LATER))
    with pytest.raises(HalfscanError, match="a value every 4 h"):
        off_peak_saving(slow, later, 0.3)
    with pytest.raises(HalfscanError, match="all values are 0"):
        log(tmp_path, minutes(1, lambda stamp: 0.0))
