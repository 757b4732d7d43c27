#!/usr/bin/env python3
"""Shows that the tests of rules.toml hold their rules: breaks each rule once and expects a named test to fail.

Works on a copy of the tracked files. Needs Python 3.11, git and what `cargo test` needs. Exit code 1: a mutation survives,
does not compile, or its test fails or does not run without it.
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = pathlib.Path(__file__).with_name("rules.toml")


def selected_mutations(only):
    for rule in tomllib.loads(RULES.read_text())["rule"]:
        if only is None or rule["number"] in only:
            for mutation in rule["mutation"]:
                yield rule["number"], mutation


def copy_tree(tree):
    """Copies the tracked files. An unchanged file keeps its time of modification, so that Cargo does not build it again."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    names = {name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()}
    for name in names:
        source, target = ROOT / name, tree / name
        if target.is_file() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    for path in tree.rglob("*"):
        if ".git" not in path.parts and path.is_file() and str(path.relative_to(tree)) not in names:
            path.unlink()
    # Some tests list the tracked files.
    subprocess.run(["git", "init", "--quiet"], cwd=tree, check=True)
    subprocess.run(["git", "add", "--all"], cwd=tree, check=True)


class Cargo:
    """Runs tests of the copy."""

    def __init__(self, tree, target, timeout):
        self.tree, self.timeout = tree, timeout
        self.environment = {**os.environ, "CARGO_TARGET_DIR": str(target), "CARGO_TERM_COLOR": "never"}

    def run(self, arguments, timeout=None):
        """The exit code, or None after the timeout, and the output."""
        # A session of its own, so that a test that hangs ends together with the relays that it has started.
        process = subprocess.Popen(["cargo", "test", "--locked", *arguments], cwd=self.tree, env=self.environment,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                                   start_new_session=True)
        try:
            output, _ = process.communicate(timeout=timeout)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, process.communicate()[0]

    def build(self, suite):
        code, output = self.run([*suite_arguments(suite), "--no-run"])
        return None if code == 0 else output

    def results(self, suite, tests):
        """The result of each test that ran, and the output."""
        code, output = self.run([*suite_arguments(suite), "--", *tests], self.timeout)
        # What a test prints may stand between its name and its result.
        ended = re.search(r"^test result: ", output, re.MULTILINE)
        failed = set(re.findall(r"^---- (\S+) stdout ----$", output, re.MULTILINE))
        started = re.findall(r"^test (\S+)(?: - should panic)? \.\.\. (?!ignored)", output, re.MULTILINE)
        names = {path.rsplit("::", 1)[-1]: "failed" if path in failed else "ok" for path in [*started, *failed]}
        if code is None:
            return {test: "timeout" for test in tests}, output
        if not ended:
            return {}, output
        return names, output


def suite_arguments(suite):
    return ["--lib"] if suite == "lib" else ["--test", suite]


def check_unchanged(cargo, mutations):
    """The tests must pass without a mutation: otherwise their failure shows nothing."""
    suites = {}
    for _, mutation in mutations:
        suites.setdefault(mutation["suite"], set()).add(mutation["test"])
    passed = True
    for suite, tests in sorted(suites.items()):
        if output := cargo.build(suite):
            sys.exit(f"{output}\nthe unchanged tree does not compile")
        timeout, cargo.timeout = cargo.timeout, cargo.timeout * len(tests)
        results, output = cargo.results(suite, sorted(tests))
        cargo.timeout = timeout
        for test in sorted(tests):
            if results.get(test) != "ok":
                print(f"{output}\nwithout a mutation: {suite} {test}: {results.get(test, 'did not run')}")
                passed = False
    return passed


def break_rule(cargo, mutation):
    """Applies one mutation, runs its test and takes the mutation back. Returns the result and the output."""
    path = cargo.tree / mutation["file"]
    text = path.read_text()
    if text.count(mutation["find"]) != 1:
        return f"`find` occurs {text.count(mutation['find'])} times", ""
    path.write_text(text.replace(mutation["find"], mutation["replace"]))
    try:
        if output := cargo.build(mutation["suite"]):
            return "DOES NOT COMPILE", output
        results, output = cargo.results(mutation["suite"], [mutation["test"]])
    finally:
        path.write_text(text)
    result = results.get(mutation["test"], "TEST DID NOT RUN")
    return {"failed": "killed", "ok": "SURVIVED", "timeout": "TEST DID NOT END"}.get(result, result), output


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="7,12", help="numbers of rules")
    parser.add_argument("--directory", type=pathlib.Path,
                        help="keeps the copy and what was built in this directory, for later runs; else a temporary one")
    parser.add_argument("--timeout", type=float, default=180, help="seconds that one test may take (default: 180)")
    parser.add_argument("--verbose", action="store_true", help="also print the output of tests that fail as expected")
    parser.add_argument("--trust", action="store_true", help="do not run the tests without a mutation first")
    options = parser.parse_args()
    only = {int(number) for number in options.only.split(",")} if options.only else None
    mutations = list(selected_mutations(only))
    with tempfile.TemporaryDirectory(prefix="docrelay-mutants-") as temporary:
        directory = (options.directory or pathlib.Path(temporary)).resolve()
        tree = directory / "tree"
        tree.mkdir(parents=True, exist_ok=True)
        copy_tree(tree)
        cargo = Cargo(tree, directory / "target", options.timeout)
        if not options.trust and not check_unchanged(cargo, mutations):
            return 1
        print(f"{'rule':>4}  {'result':<16} {'seconds':>7}  test", flush=True)
        survived = 0
        for number, mutation in mutations:
            start = time.monotonic()
            result, output = break_rule(cargo, mutation)
            if result != "killed" or options.verbose:
                print(output)
            survived += result != "killed"
            seconds = time.monotonic() - start
            print(f"{number:>4}  {result:<16} {seconds:>7.1f}  {mutation['suite']} {mutation['test']}", flush=True)
        print(f"{len(mutations)} mutations, {len(mutations) - survived} killed")
        return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
