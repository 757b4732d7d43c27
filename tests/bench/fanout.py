#!/usr/bin/env python3
"""How fast and how dear is the way out, beside nginx with nchan, in one run and in turn.

A burst of events to many followers, a steady stream of them, and followers that only wait. The relay has every event
on the disk before it answers; nchan keeps them in memory. The load generator is `ssebench`, which finds each delivery
by a marker in its bytes and reads CPU time and memory of the measured processes from /proc."""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

import parties

# What one line of ssebench says.
LINE = re.compile(
    r"delivered=(?P<got>\d+)/(?P<wanted>\d+) closed=(?P<closed>\d+) bad_pub=(?P<bad>\d+) \|.*mem/conn (?P<memory>-?[\d.]+)KiB"
    r" \| deliver (?P<rate>\S+)/s cpu/delivery (?P<cpu>[\d.]+)us \|.*p99 (?P<p99>[\d.]+)")

# ssebench writes the number of an event as it is; a UUID needs twelve digits of it.
PLAIN, PADDED = '.replace("{n}", &k.to_string())', '.replace("{n}", &format!("{k:012}"))'


def build(source, directory):
    """ssebench built from a copy, so that nothing is left beside its source."""
    copy = os.path.join(directory, "ssebench")
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("target"))
    main = os.path.join(copy, "src", "main.rs")
    with open(main) as f:
        text = f.read()
    if text.count(PLAIN) != 1:
        raise parties.Failed(f"{source} is not the ssebench that this script knows: it no longer holds {PLAIN}")
    with open(main, "w") as f:
        f.write(text.replace(PLAIN, PADDED))
    # Beside its lock file, when it has one, it takes the newest of its two dependencies.
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=copy, check=True,
                   env=os.environ | {"CARGO_TARGET_DIR": os.path.join(copy, "target")})
    return os.path.join(copy, "target", "release", "ssebench")


def measure(bench, party, run, followers, events, rate=0, senders=1, idle=500):
    """One run of ssebench against a fresh party; what it said, as numbers."""
    body = ('{"documentId":"%08x-0000-4000-8000-{n}","status":"COMPLETED","mark":"{mark}"}' % run)
    options = {
        "subs": followers, "msgs": events, "rate": rate, "pubs": senders, "idle-ms": idle,
        "pids": party.process.pid, "sub": party.address, "pub": party.address,
        "sub-req": party.follow, "pub-head": party.publish, "pub-body": body,
    }
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    done = subprocess.run([bench, *words], capture_output=True, text=True, timeout=180)
    said = LINE.search(done.stdout)
    if done.returncode != 0 or not said:
        raise parties.Failed(f"ssebench against {party.name}: {done.stdout}{done.stderr}")
    print(f"  {party.name:<17} {done.stdout.strip()}", file=sys.stderr, flush=True)
    if said["got"] != said["wanted"] or said["bad"] != "0" or said["closed"] != "0":
        raise parties.Failed(f"{party.name} did not deliver everything: {done.stdout}{done.stderr}")
    return said


# name, how to measure it, which figure, its unit, whether more is better, the bound on relay / nchan (or on the figure)
MEASURES = [
    ("burst", "1 000 events to 1 000 followers, 4 senders", dict(followers=1000, events=1000, senders=4),
     "rate", "deliveries/s", True),
    ("steady", "100 events/s to 1 000 followers, 10 s", dict(followers=1000, events=1000, rate=100),
     "cpu", "µs CPU per delivery", False),
    ("idle", "5 000 followers that wait", dict(followers=5000, events=0, idle=2000),
     "memory", "KiB per follower", False),
]
WANTED = {"burst": "≥ 1.3 × nchan", "steady": "≤ 1.25 × nchan", "idle": "≤ 9 KiB"}


def number(value):
    return f"{value:,.0f}".replace(",", " ") if value >= 1000 else f"{value:.2f}"


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--relay", help="the docrelay binary; without it only nchan is measured")
    args.add_argument("--ssebench", default="../shared/tools/ssebench", help="the load generator's source")
    args.add_argument("--rounds", type=int, default=3)
    args.add_argument("--measures", default="burst,steady,idle")
    args.add_argument("--reuseport", action="store_true", help="let nginx's workers have listeners of their own")
    args.add_argument("--directory", help="where the data goes while it is measured (default: below target)")
    args = args.parse_args()
    if not os.path.isdir(args.ssebench):
        raise parties.Failed(f"there is no ssebench at {args.ssebench}: say where it is, SSEBENCH=… make bench")

    # On the disk that the project is on: a temporary directory in memory would make durability free.
    place = args.directory or os.environ.get("CARGO_TARGET_DIR", "target")
    os.makedirs(place, exist_ok=True)
    directory = tempfile.mkdtemp(prefix="bench-fanout-", dir=os.path.abspath(place))
    found = {}
    try:
        print(f"fan-out: {parties.machine(directory)}", file=sys.stderr)
        bench = build(args.ssebench, directory)
        turn = [("nchan, 1 worker", lambda d: parties.Nchan(d, 1)),
                ("nchan, 2 workers", lambda d: parties.Nchan(d, 2, args.reuseport))]
        if args.relay:
            # Between the two: whatever the machine does over time, it does to both.
            turn.insert(1, ("docrelay", lambda d: parties.Relay(os.path.abspath(args.relay), d)))
        run, noisy, late = 0, 0, set()
        for measure_name, what, how, figure, _, _ in MEASURES:
            if measure_name not in args.measures.split(","):
                continue
            for round_number in range(args.rounds):
                print(f"{what}, round {round_number + 1}", file=sys.stderr, flush=True)
                for name, start in turn:
                    run += 1
                    noisy += not parties.wait_for_quiet()
                    with start(os.path.join(directory, f"run{run}")) as party:
                        said = measure(bench, party, run, **how)
                    found.setdefault((measure_name, name), []).append(float(said[figure]))
                    if how.get("rate") and float(said["rate"]) < 0.95 * how["rate"] * how["followers"]:
                        late.add(f"{name} did not keep the pace of {how['rate']} events/s: what queues up goes out in "
                                 "fewer writes, and its CPU per delivery looks better than it is")
                    shutil.rmtree(os.path.join(directory, f"run{run}"), ignore_errors=True)
        print(report(found, [name for name, _ in turn]))
        for note in sorted(late) + [f"{noisy} of {run} runs were on a machine that was not quiet"] * bool(noisy):
            print(f"note: {note}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def report(found, names):
    """Medians and all runs, and the relay's ratio to whichever nchan is better at this."""
    rows = []
    for measure_name, what, _, _, unit, more in MEASURES:
        runs = {name: found[measure_name, name] for name in names if (measure_name, name) in found}
        if not runs:
            continue
        middle = {name: statistics.median(values) for name, values in runs.items()}
        cells = [f"**{number(middle[n])}** ({', '.join(map(number, runs[n]))})" for n in names]
        ratio = "–"
        if "docrelay" in middle:
            best = (max if more else min)(value for name, value in middle.items() if name != "docrelay")
            ratio = f"{middle['docrelay'] / best:.2f}"
        rows.append([f"{what}: {unit}", *cells, ratio, WANTED[measure_name]])
    return parties.table(["median (each run)", *names, "docrelay / best nchan", "wanted"], rows)


if __name__ == "__main__":
    try:
        main()
    except (parties.Failed, subprocess.SubprocessError, OSError) as failure:
        sys.exit(f"fanout: {failure}")
