"""Plants faults in the CUDA sources, one at a time, and sees which of them the tests on the emulated device notice.

    python -m tools.mutate_cuda                  all of cuda_mutants.txt whose result is not known yet
    python -m tools.mutate_cuda --only NAME ...  these, again
    python -m tools.mutate_cuda --minutes 5      starts no further one after five minutes
    python -m tools.mutate_cuda --report         only draws docs/mutations.md anew

Works on a copy of the tree, in build/mutants. The extension is built there as always; a mutant compiles anew the CUDA
objects that include the file with the fault, to PTX alone, and is linked with all the other objects. The tests of two
mutants run at a time, each in a folder of its own. Results go to docs/mutations.json, one by one, so that a run can be
cut off and resumed.
"""

import argparse
import datetime
import json
import os
import queue
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ninja

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build/mutants"
TREE = WORK / "tree"
PLACES = [WORK / name for name in ("first", "second")]
MUTANTS = ROOT / "tools/cuda_mutants.txt"
RESULTS, REPORT = ROOT / "docs/mutations.json", ROOT / "docs/mutations.md"
NINJA = str(Path(ninja.BIN_DIR, "ninja"))
TIMEOUT = 900  # seconds for the tests of a mutant

TESTS = [
    f"tests/{name}.py"
    for name in (
        "calls/test_determinism boxes/test_numerics boxes/test_losses logits/test_numerics logits/test_losses "
        "logits/test_layouts logits/test_kernels boxes/test_mask calls/test_autograd calls/test_errors "
        "boxes/test_bounded_iou rows/test_numerics rows/test_losses rows/test_kernels regions/test_numerics "
        "regions/test_losses regions/test_kernels regions/test_transforms logits/test_kept_weight"
    ).split()
]


# ------------------------------------------------------------------------------------------------------------- mutants


@dataclass(frozen=True)
class Mutant:
    file: str
    kind: str
    name: str  # what is wrong
    old: str
    new: str
    harmless: str  # why no test on the emulated device can notice it

    def planted_in(self, text: str) -> str:
        """The text of the file with the fault."""
        if text.count(self.old) != 1:
            raise SystemExit(f"{self.name}: {self.file} has the old text {text.count(self.old)} times, wants 1")
        return text.replace(self.old, self.new)


def read_mutants() -> list[Mutant]:
    mutants, file = [], ""
    for block in MUTANTS.read_text().split("\n\n")[2:]:  # after the title and the legend
        first, *rest = block.strip("\n").splitlines()
        if first.startswith("@ "):
            file = first[2:]
            continue
        kind, _, name = first.partition(": ")
        old, new, why = ("\n".join(line[2:] for line in rest if line[0] == sign) for sign in "-+=")
        mutants.append(Mutant(file, kind, name, old, new, why))
    return mutants


# -------------------------------------------------------------------------------------------------------------- build


@dataclass(frozen=True)
class Object:
    """An object of the extension, as the build of the tree makes it."""

    path: str
    source: Path
    command: str
    includes: frozenset[Path]


@dataclass(frozen=True)
class Build:
    library: str
    link: list[str]
    objects: list[Object]

    @classmethod
    def of_the_tree(cls) -> "Build":
        for library in (*TREE.glob("iouloss/_C*.so"), *TREE.glob("build/lib*/iouloss/_C*.so")):
            library.unlink()  # so that it is linked, and the command seen
        environment = os.environ | {"TORCH_CUDA_ARCH_LIST": "9.0+PTX", "FORCE_CUDA": "1"}
        log = run([sys.executable, "setup.py", "build_ext", "--inplace"], env=environment).stdout
        (link,) = (shlex.split(line) for line in log.splitlines() if " -shared " in line and "_C." in line)
        (library,) = TREE.glob("iouloss/_C*.so")
        (folder,) = (path.parent for path in TREE.glob("build/temp*/build.ninja"))
        commands = json.loads(run([NINJA, "-C", folder, "--quiet", "-t", "compdb"]).stdout)
        deps = run([NINJA, "-C", folder, "--quiet", "-t", "deps"]).stdout
        included: dict[str, set[Path]] = {}
        for block in deps.split("\n\n"):
            target, *lines = block.strip().splitlines() or [""]
            included[target.partition(":")[0]] = {(folder / line.strip()).resolve() for line in lines}
        objects = [
            Object(c["output"], Path(c["file"]).resolve(), c["command"], frozenset(included[c["output"]]))
            for c in commands
        ]
        return cls(library.name, link, objects)

    def affected(self, file: Path) -> list[Object]:
        """The objects to compile anew: a fault in a header that the CPU's kernels share is for the GPU's alone."""
        return [o for o in self.objects if file == o.source or (o.source.suffix == ".cu" and file in o.includes)]

    def rebuild(self, file: Path, place: Path) -> None:
        """Compiles what the file is part of, as it now is, and links the library in the folder ``place``."""
        objects = self.affected(file)
        if not objects:
            raise SystemExit(f"{file} is part of no object")
        anew = {o.path: str(place / Path(o.path).name) for o in objects}

        def compile_one(o: Object) -> None:
            command = o.command.replace(f"-o {o.path}", f"-o {anew[o.path]}")
            run(["sh", "-c", re.sub(r"-gencode=arch=compute_90,code=sm_90", "", command)])

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(compile_one, objects))
        link = [anew.get(part, part) for part in self.link]
        link[link.index("-o") + 1] = str(place / "iouloss" / self.library)
        run(link)


def run(command: list[Any], **options: Any) -> subprocess.CompletedProcess[str]:
    options.setdefault("cwd", TREE)
    done = subprocess.run(
        [str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    if done.returncode:
        raise SystemExit(f"{shlex.join(map(str, command))[:300]} failed:\n{done.stdout[-3000:]}")
    return done


def copy_tree() -> None:
    """Copies the tree as it is now. A file that is the same keeps its time stamp, so that it is not built again."""
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT).stdout.splitlines()
    for name in listed:
        source, target = ROOT / name, TREE / name
        if source.is_file() and not (target.exists() and target.read_bytes() == source.read_bytes()):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


# --------------------------------------------------------------------------------------------------------------- tests


def tests_for(mutant: Mutant) -> list[str]:
    """All tests, the likeliest to notice first: those of the file's own shape, and of numerics if it is a formula."""
    path = Path(mutant.file)
    shape = next((shape for shape in ("box", "logit", "row", "region", "kept") if shape in path.name), "")
    formula = path.parent.name == "core"
    return sorted(TESTS, key=lambda test: (shape not in test, ("numerics" in test) != formula))


def run_tests(tests: list[str], place: Path) -> dict[str, Any]:
    """Which test noticed the fault that is built in, if one did."""
    environment = os.environ | {"PYTHONPATH": str(place), "TMPDIR": str(place / "tmp")}
    pytest = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", "-p", "no:cacheprovider", *tests]
    command = [sys.executable, "-m", "tools.emulated_cuda", *pytest]
    start = time.monotonic()
    try:
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return {"noticed_by": f"no end after {TIMEOUT} s", "seconds": TIMEOUT}
    seconds = round(time.monotonic() - start)
    for kept in (place / "tmp").glob("emulated_cuda-*/*.ptx"):  # of this mutant's library
        kept.unlink()
    failed = re.search(r"^(?:FAILED|ERROR) tests/(.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    if done.returncode == 0 or (done.returncode == 1 and failed):
        return {"noticed_by": failed[1] if failed else None, "seconds": seconds}
    if done.returncode < 0:
        return {"noticed_by": f"the process ended by signal {-done.returncode}", "seconds": seconds}
    raise SystemExit(f"the tests did not run:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def build_mutant(build: Build, mutant: Mutant, place: Path) -> None:
    path = TREE / mutant.file
    original = path.read_text()
    try:
        path.write_text(mutant.planted_in(original))
        build.rebuild(path.resolve(), place)
    finally:
        path.write_text(original)


def tried(mutants: list[Mutant], minutes: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """The mutants that could be started in that time, and what became of them."""
    start = time.monotonic()
    TREE.mkdir(parents=True, exist_ok=True)
    copy_tree()
    build = Build.of_the_tree()
    places: queue.Queue[Path] = queue.Queue()
    for place in PLACES:
        for folder in ("iouloss", "tests", "tools"):
            shutil.copytree(TREE / folder, place / folder, dirs_exist_ok=True)
        shutil.copyfile(TREE / "pyproject.toml", place / "pyproject.toml")  # says where tests import from
        (place / "tmp").mkdir(exist_ok=True)
        places.put(place)
    if not RESULTS.exists() and (noticed := run_tests(TESTS, PLACES[0])["noticed_by"]):
        raise SystemExit(f"{noticed} fails without a fault")
    compiler = threading.Lock()  # the tree has one fault at a time

    def try_out(mutant: Mutant) -> dict[str, Any] | None:
        if time.monotonic() - start > 60 * minutes:
            return None
        place = places.get()
        with compiler:
            build_mutant(build, mutant, place)
        found = run_tests(tests_for(mutant), place)
        places.put(place)
        print(f"{mutant.name}: {found['noticed_by']} ({found['seconds']} s)", flush=True)
        today = datetime.date.today().isoformat()
        return {"file": mutant.file, "old": mutant.old, "new": mutant.new, "date": today, **found}

    with ThreadPoolExecutor(len(PLACES)) as pool:
        for mutant, result in zip(mutants, pool.map(try_out, mutants), strict=True):
            if result:
                yield mutant.name, result


# -------------------------------------------------------------------------------------------------------------- report


def read_results(mutants: list[Mutant]) -> dict[str, Any]:
    """The results so far, of the mutants that are still what they were."""
    known = json.loads(RESULTS.read_text())["mutants"] if RESULTS.exists() else {}
    return {
        m.name: known[m.name]
        for m in mutants
        if m.name in known and (m.old, m.new) == (known[m.name]["old"], known[m.name]["new"])
    }


def write_results(mutants: list[Mutant], results: dict[str, Any]) -> None:
    RESULTS.write_text(json.dumps({"mutants": results}, indent=1) + "\n")
    REPORT.write_text(drawn(mutants, results))


def drawn(mutants: list[Mutant], results: dict[str, Any]) -> str:
    """The page: how many of all mutants have a result, when they were tried, and a row for each that has one."""
    tried_ones, untried = ([m for m in mutants if (m.name in results) == known] for known in (True, False))
    survivors = [m for m in tried_ones if results[m.name]["noticed_by"] is None]
    missed = [m for m in survivors if not m.harmless]
    lines = [
        "# Faults planted in the CUDA sources",
        "",
        "Drawn from [mutations.json](mutations.json) by `make mutate` (`tools/mutate_cuda.py`), which plants the",
        "faults of `tools/cuda_mutants.txt` one at a time, builds the extension and runs the tests on the",
        "[emulated device](emulated_cuda.md).",
        "",
        f"{len(tried_ones)} of {len(mutants)} faults have a result{when(results)}: "
        f"{len(tried_ones) - len(survivors)} noticed, {len(survivors) - len(missed)} without any effect there, "
        f"{len(missed)} missed.",
        *(["The others are new, or were changed since. `make mutate` tries them."] if untried else []),
        "",
        "| fault | kind | file | noticed by |",
        "|---|---|---|---|",
    ]
    for m in tried_ones:
        by = results[m.name]["noticed_by"]
        noticed = f"`{escaped(by)}`" if by else f"none: {m.harmless or '**missed**'}"
        lines.append(f"| {m.name} | {m.kind} | `{m.file.removeprefix('csrc/')}` | {noticed} |")
    return "\n".join(lines) + "\n"


def when(results: dict[str, Any]) -> str:
    """The days on which mutants were tried: each result records its own."""
    dates = sorted({result["date"] for result in results.values()})
    if len(dates) > 1:
        return f" ({dates[0]} to {dates[-1]})"
    return f" ({dates[0]})" if dates else ""


def escaped(text: str) -> str:
    return text.replace("|", "\\|")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these mutants, whether or not their result is known")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after these, no further one is started")
    parser.add_argument("--report", action="store_true", help="only draw the report")
    options = parser.parse_args(argv)
    mutants = read_mutants()
    results = read_results(mutants)
    if not options.report:
        chosen = [m for m in mutants if (m.name in options.only if options.only else m.name not in results)]
        for name, result in tried(chosen, options.minutes):
            results[name] = result
            write_results(mutants, results)
    write_results(mutants, results)
    missed = [m.name for m in mutants if m.name in results and not m.harmless and not results[m.name]["noticed_by"]]
    print(f"{len(results)} of {len(mutants)} tried; missed: {missed or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
