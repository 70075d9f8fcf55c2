# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""How much is measured, and what was."""

import json
import os

QUIETLY = {"log-level": "notice"}


class Scale:
    """How much is measured."""

    def __init__(self, quick):
        self.rounds = 5 if quick else 25
        self.round_ms = 50 if quick else 200
        self.domains = 100 if quick else 1000
        self.orders = 1 if quick else 5
        self.many = 10000 if quick else 1000000
        self.few = 1000
        self.turns = 3 if quick else 9
        self.changes = 20 if quick else 200
        self.rotating_s = 2 if quick else 30
        self.served = 200 if quick else 10000


class Table:
    """A line: what, its unit, and medians by name, ours first."""

    def __init__(self, quick):
        self.quick, self.rows, self.notes = quick, [], []

    def add(self, what, unit, medians):
        ours, *others = medians
        self.rows.append({"what": what, "unit": unit, "medians": medians,
                          "ratios": {name: medians[ours] / medians[name]
                                     for name in others}})

    def add_both(self, what, unit, medians):
        """Of one measurement a line for certfs, and one for its read-only mount."""
        for ours, title in (("certfs", what), ("read-only", f"{what}, read-only")):
            others = {name: value for name, value in medians.items()
                      if name not in ("certfs", "read-only")}
            self.add(title, unit, {ours: medians[ours], **others})

    def tell(self, what, unit, values):
        """A line that compares nothing."""
        self.rows.append({"what": what, "unit": unit, "medians": values, "ratios": {}})

    def note(self, text):
        self.notes.append(text)

    @staticmethod
    def machine():
        with open("/proc/meminfo", encoding="ascii") as file:
            kib = int(file.readline().split()[1])
        return {"processors": len(os.sched_getaffinity(0)), "memory_gib": round(kib / 2**20),
                "kernel": os.uname().release}

    def as_json(self):
        return json.dumps({"machine": self.machine(), "quick": self.quick,
                           "rows": self.rows, "notes": self.notes},
                          ensure_ascii=False, indent=2)

    def as_text(self):
        machine = self.machine()
        lines = [f"{machine['processors']} processors, {machine['memory_gib']} GiB, "
                 f"Linux {machine['kernel']}; medians, in brackets the first one's ratio to them"]
        for row in self.rows:
            cells = []
            for name, value in row["medians"].items():
                cell = f"{name:<7} {value:9.2f} {row['unit']}"
                if name in row["ratios"]:
                    cell += f" ({row['ratios'][name]:.2f})".rjust(10)
                cells.append(cell)
            lines.append(f"{row['what']:<42} " + "  ".join(cells))
        return "\n".join(lines + self.notes)
