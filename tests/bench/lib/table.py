# SPDX-License-Identifier: MIT
"""The table of figures. What did not end has a bound in place of a figure."""
import dataclasses
import statistics
from typing import Optional

HEAD = "| storage | row | mount.restic | restic | ratio |\n|---|---|---|---|---|"
FOOT = ("Medians; seconds where no unit is named; the ratio is mount.restic's figure over restic's (for MB/s higher is"
        " better, else lower). Where there is a bound, a run was given up.")


@dataclasses.dataclass(frozen=True)
class Bound:
    sign: str  # the figure would be more (">") or less ("<")
    value: Optional[float]  # than this; None: not known
    text: str


def bound_of(name, seconds, megabytes, mounted):
    """What a measurement that was given up after so long says of its figure; None: it is none that takes time. Rates
    are those of so many megabytes."""
    if name.endswith(("peak", "fetched/read", " MB")):
        return None
    if not mounted:
        return Bound(">", None, f"no mount in {_number(seconds)} s")
    if name.endswith("MB/s"):
        return Bound("<", megabytes / seconds, f"< {_number(megabytes / seconds)}")
    if name.endswith(" ms"):  # of one read in many
        return Bound(">", None, f"> {_number(seconds)} s for all")
    return Bound(">", seconds, f"> {_number(seconds)}")


def _number(value):
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _of_runs(values):
    bounds = [value for value in values if isinstance(value, Bound)]
    if bounds:
        return bounds[0]
    return statistics.median(values) if values else None


def _spell(name, value):
    if value is None:
        return "-"
    if isinstance(value, Bound):
        return value.text
    return f"{value / 1e6:.0f} MB" if name.endswith("peak") else _number(value)


def _ratio(ours, theirs):
    signs = set()
    if isinstance(ours, Bound):
        signs.add(ours.sign)
        ours = ours.value
    if isinstance(theirs, Bound):
        signs.add("<" if theirs.sign == ">" else ">")
        theirs = theirs.value
    if not ours or not theirs or len(signs) > 1:
        return "-"
    return " ".join([*signs, f"{ours / theirs:.2f}x"])


def line(storage_name, name, by_program):
    """`by_program`: the figures of all runs, or bounds, by "ours" and "restic"."""
    ours, theirs = (_of_runs(by_program.get(program, [])) for program in ("ours", "restic"))
    return f"| {storage_name} | {name} | {_spell(name, ours)} | {_spell(name, theirs)} | {_ratio(ours, theirs)} |"
