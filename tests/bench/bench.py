# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""bench.py [--quick] [--json] [--only PART]: what certfs costs, beside tmpfs, ext4, the
cheapest FUSE filesystem, lego and certbot, and beside itself with more domains.

What is compared is measured in turn, round by round, so that a machine that gets slower
or faster in between does it to all of them; the medians count, and ratios are printed.
"""

import argparse
import os
import signal
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["CERTFS_SOURCE"], "tests", "system"))

from many import run_many  # noqa: E402
from mixing import run_mixing  # noqa: E402
from ordering import run_ordering  # noqa: E402
from reading import run_reading  # noqa: E402
from serving import run_serving  # noqa: E402
from table import Scale, Table  # noqa: E402

PARTS = {"reading": run_reading, "many": run_many, "serving": run_serving,
         "mixing": run_mixing, "ordering": run_ordering}


def main():
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and domains")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", choices=PARTS, help="one part")
    options = parser.parse_args()
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, lambda number, _: sys.exit(128 + number))
    table = Table(options.quick)
    for part in [options.only] if options.only else PARTS:
        with tempfile.TemporaryDirectory(prefix="certfs-bench-") as folder:
            os.chmod(folder, 0o755)
            PARTS[part](Scale(options.quick), table, folder)
    print(table.as_json() if options.json else table.as_text())


if __name__ == "__main__":
    main()
