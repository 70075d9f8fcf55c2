# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""summary.py REPORT…: adds up what meson's (.json) and pytest's (.xml) reports tell.

Prints the log of each unit test that failed, and at the end one line with the counts.
"""

import json
import os
import re
import sys
import xml.etree.ElementTree

CMOCKA = re.compile(r"\[  (PASSED|FAILED)  \] (\d+) test\(s\)")


def count_unit(report):
    """(passed, failed) of one line of meson's report, of which cmocka tells more."""
    text = report.get("stdout", "") + report.get("stderr", "")
    counts = dict.fromkeys(("PASSED", "FAILED"), 0)
    for kind, number in CMOCKA.findall(text):
        counts[kind] += int(number)
    if report["result"] == "OK":
        return max(counts["PASSED"], 1), 0
    print(f"\n---- {report['name']}: {report['result']}\n{text}")
    return counts["PASSED"], max(counts["FAILED"], 1)


def count_meson(path, with_pytest):
    passed = failed = 0
    with open(path, encoding="utf-8") as file:
        for line in file:
            report = json.loads(line)
            if with_pytest and report["name"].endswith("system / system"):
                continue
            more_passed, more_failed = count_unit(report)
            passed, failed = passed + more_passed, failed + more_failed
    return passed, failed


def count_pytest(path):
    """A test that ran well and failed in its teardown is one that failed."""
    passed = failed = 0
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        bad = case.find("failure") is not None or case.find("error") is not None
        if bad:
            failed += 1
            print(f"failed: {case.get('classname')}::{case.get('name')}")
        elif case.find("skipped") is None:
            passed += 1
    return passed, failed


def main(paths):
    there = [path for path in paths if os.path.exists(path)]
    with_pytest = any(path.endswith(".xml") for path in there)
    passed = failed = 0
    for path in there:
        more = (count_pytest(path) if path.endswith(".xml")
                else count_meson(path, with_pytest))
        passed, failed = passed + more[0], failed + more[1]
    for path in set(paths) - set(there):
        if not path.endswith(".xml"):
            print(f"no report: {path}")
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
