"""What the measurements share: their options, the directory for their data, a quiet machine, and tables of medians."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import peers

# The machine counts as quiet up to this share of busy CPU time.
QUIET_SHARE = 0.15


class Bench:
    """The options of a measurement, and what it needs to run."""

    def __init__(self, options, directory):
        self.options, self.directory = options, directory
        self.noisy_runs = self.runs = 0
        # In this order in even rounds, reversed in odd ones: a machine that slows down does so for both.
        self.binaries = [("docrelay", os.path.abspath(options.relay))]
        if options.baseline:
            self.binaries.append(("baseline", os.path.abspath(options.baseline)))

    def in_turn(self, round_number):
        """The names and binaries to measure in a round."""
        return self.binaries[::-1] if round_number % 2 else self.binaries

    def path(self, name):
        """A path below the directory of this measurement."""
        return os.path.join(self.directory, name)

    def tool(self, name, options, timeout=1800):
        """Runs a load generator and returns what it reports."""
        args = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        done = subprocess.run([os.path.join(self.options.tools, name), *args], capture_output=True, text=True,
                              timeout=timeout)
        if done.returncode != 0:
            raise peers.Failed(f"{name}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def wait_for_quiet(self, limit_seconds=30):
        """Waits for other programs to finish. Counts the run as noisy if they do not."""
        self.runs += 1
        end = time.monotonic() + limit_seconds
        while (busy := busy_share()) > QUIET_SHARE and time.monotonic() < end:
            pass
        if busy > QUIET_SHARE:
            self.noisy_runs += 1
            log(f"  NOT QUIET: {busy:.0%} of the machine is busy with other programs")


def log(line):
    print(line, file=sys.stderr, flush=True)


def run(name, description, measure, add_options=lambda parser: None):
    """Parses the options, runs `measure(bench)` with a directory of its own, and removes the directory."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--relay", required=True, help="the docrelay binary")
    parser.add_argument("--baseline", help="an older docrelay binary, measured in turn with the first")
    parser.add_argument("--tools", required=True, help="the directory of the built load generators")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", help="where the data is kept during the measurement (default: target)")
    add_options(parser)
    options = parser.parse_args()
    # On the disk of the project: a temporary directory in memory would make durability free.
    parent = options.directory or os.environ.get("CARGO_TARGET_DIR", "target")
    os.makedirs(parent, exist_ok=True)
    directory = tempfile.mkdtemp(prefix=f"bench-{name}-", dir=os.path.abspath(parent))
    try:
        bench = Bench(options, directory)
        log(f"{name}: {machine(directory)}")
        measure(bench)
        if bench.noisy_runs:
            print(f"\nnote: {bench.noisy_runs} of {bench.runs} runs were on a machine that was not quiet")
    except (peers.Failed, subprocess.SubprocessError, OSError) as failure:
        sys.exit(f"{name}: {failure}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def busy_share(seconds=1.0):
    """The share of all cores' time that was not idle."""
    def times():
        with open("/proc/stat") as f:
            fields = [int(n) for n in f.readline().split()[1:9]]
        return fields[3] + fields[4], sum(fields)
    idle, total = times()
    time.sleep(seconds)
    idle_after, total_after = times()
    return 1 - (idle_after - idle) / max(total_after - total, 1)


def machine(directory):
    """What a reader of the figures has to know of the machine."""
    with open("/proc/cpuinfo") as f:
        models = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    kind = subprocess.run(["stat", "-f", "-c", "%T", directory], capture_output=True, text=True).stdout.strip()
    return (f"{os.cpu_count()} cores ({models[0] if models else 'unknown'}), Linux {os.uname().release}, "
            f"data on {kind}, load {os.getloadavg()[0]:.2f} at the start")


def number(value):
    """A number with the precision that a reader needs."""
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cell(values):
    """The median, and each run if there is more than one."""
    each = f" ({', '.join(map(number, values))})" if len(values) > 1 else ""
    return f"**{number(statistics.median(values))}**{each}"


def ratio(values, baseline):
    """The median of the values divided by that of the baseline."""
    middle = statistics.median(baseline)
    return f"{statistics.median(values) / middle:.2f}" if middle else "–"


def report(title, columns, rows):
    """Prints a table. `rows` maps a name to a pair: the runs of docrelay, and those of the baseline or an empty list.
    Each run maps a column's key to a number. With a baseline two lines follow: its figures, and the ratios."""
    lines = []
    for name, (runs, baseline) in rows.items():
        figures = {key: [run[key] for run in runs] for key, _ in columns}
        lines.append([name, *(cell(figures[key]) for key, _ in columns)])
        if baseline:
            before = {key: [run[key] for run in baseline] for key, _ in columns}
            lines.append([f"{name}, baseline", *(cell(before[key]) for key, _ in columns)])
            lines.append([f"{name}, docrelay / baseline", *(ratio(figures[key], before[key]) for key, _ in columns)])
    print(table([title, *(heading for _, heading in columns)], lines))


def table(head, rows):
    """A Markdown table whose columns line up."""
    rows = [head, *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
