"""Plants each mutant of a core in a process of its own and lets the core's tests run there.

A nursery process imports all that does not depend on the core, once. Each mutant is a fork of it that puts the
mutated code in the place of the module, imports what depends on it, and runs the tests until one fails.
"""

from __future__ import annotations

import ast
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final, Literal, NoReturn

import pytest
from hypothesis import Phase, settings

from tools.dev.paths import ROOT
from tools.mutation.cores import Core
from tools.mutation.mutants import Members, Mutant, members_in, mutants_of, planted

Fate = Literal["killed", "survived", "timed out"]

_LEAST_SECONDS: Final = 10.0
_PATIENCE: Final = 6.0
"""A mutant may take this many times what the tests take by themselves; then it counts as noticed."""
_MOST_BYTES: Final = 4 * 2**30
_ARGUMENTS: Final = (
    *("-x", "-q", "--assert=plain", "--no-header"),
    *(f"-pno:{plugin}" for plugin in ("randomly", "cacheprovider", "xdist", "unraisableexception")),
)
_EXAMPLES: Final = 40
"""Of each property that sets no number of its own; what these do not notice counts as survived."""
_NOTICED: Final = 1
_BROKEN: Final = 9
"""Exit code of a mutant's process that could not even try: a fault of this program."""


class NoVerdict(Exception):
    """The core's tests do not pass by themselves, so they can judge nothing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant."""

    mutant: Mutant
    fate: Fate


def judged(core: Core, *, jobs: int, shown: Callable[[Verdict], None]) -> list[Verdict]:
    """Return what became of each mutant of *core*, in order; *shown* sees each as it ends.

    Args:
        core: The module and its tests.
        jobs: How many mutants are judged at once.
        shown: Called with each verdict.

    Raises:
        NoVerdict: The tests fail without any mutant.
    """
    # Everything happens in a child of its own, so that the next core begins with a clean table of modules.
    reading, writing = os.pipe()
    nursery = os.fork()
    if nursery == 0:
        os.close(reading)
        _exit(lambda: _nurse(core, jobs, writing))
    os.close(writing)
    verdicts = []
    with os.fdopen(reading, encoding="utf-8") as lines:
        for line in lines:
            told = json.loads(line)
            verdict = Verdict(Mutant(*told["mutant"]), told["fate"])
            shown(verdict)
            verdicts.append(verdict)
    _, status = os.waitpid(nursery, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise NoVerdict(f"the tests of {core.short} do not pass by themselves: {' '.join(core.tests)}")
    return sorted(verdicts, key=lambda verdict: verdict.mutant.index)


def _nurse(core: Core, jobs: int, writing: int) -> int:
    os.chdir(ROOT)
    sys.dont_write_bytecode = False
    started = time.monotonic()
    needed = _modules_of_a_clean_run(core)
    if needed is None:
        return 1
    longest = max(_LEAST_SECONDS, _PATIENCE * (time.monotonic() - started))
    _import_independent(needed, core.module)
    gc.freeze()
    source = core.path.read_text("utf-8")
    members = _members_of(core)
    waiting = list(reversed(mutants_of(source, members)))
    running: dict[int, tuple[Mutant, float]] = {}
    with os.fdopen(writing, "w", encoding="utf-8") as lines:
        while waiting or running:
            while waiting and len(running) < jobs:
                mutant = waiting.pop()
                running[_begin(core, source, members, mutant)] = (mutant, time.monotonic() + longest)
            for mutant, fate in _ended(running):
                print(json.dumps({"mutant": [mutant.index, mutant.line, mutant.name], "fate": fate}), file=lines)
                lines.flush()
    return 0


def _begin(core: Core, source: str, members: Members, mutant: Mutant) -> int:
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
        _exit(lambda: _tests_with(core, planted(source, members, mutant.index, str(core.path))))
    return child


def _ended(running: dict[int, tuple[Mutant, float]]) -> Iterator[tuple[Mutant, Fate]]:
    """Wait a moment and yield the mutants that came to an end, by themselves or by the clock."""
    time.sleep(0.005)
    for child, (mutant, ends) in list(running.items()):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended == 0 and time.monotonic() < ends:
            continue
        if ended == 0:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        del running[child]
        code = os.waitstatus_to_exitcode(status) if ended else None
        if code == _BROKEN:
            raise RuntimeError(f"mutant {mutant.name!r} could not be tried")
        yield mutant, "timed out" if code is None else "survived" if code == 0 else "killed"


def _tests_with(core: Core, code: CodeType | None) -> int:
    """Run the core's tests quietly, with *code* in the module's place; return pytest's exit code."""
    if code is not None:
        sys.meta_path.insert(0, _Planter(core.module, code, core.path))
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    plugins: list[object] = [_SameExamples(), *([] if code is None else [_EndsAtOnce()])]
    return int(pytest.main([*_ARGUMENTS, *core.tests], plugins=plugins))


class _SameExamples:
    """Lets the properties try the same examples for each mutant, and no time be spent on smaller ones."""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        settings.register_profile(
            "mutation",
            settings(),
            derandomize=True,
            database=None,
            max_examples=_EXAMPLES,
            phases=(Phase.explicit, Phase.generate),
        )
        settings.load_profile("mutation")


class _EndsAtOnce:
    """Ends the process with the first failure, and with the last test: nobody reads a report, so none is made."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        if call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception):
            os._exit(_NOTICED)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            os._exit(_NOTICED)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        os._exit(0 if exitstatus == 0 else _NOTICED)


class _Planter(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds one module, and executes other code for it."""

    def __init__(self, module: str, code: CodeType, path: Path) -> None:
        self._module = module
        self._code = code
        self._path = path

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Claim the one module."""
        if fullname != self._module:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=str(self._path))

    def exec_module(self, module: ModuleType) -> None:
        """Execute the mutated code."""
        exec(self._code, module.__dict__)  # noqa: S102 - planting it is what this program is for


# -- what can be imported once


def _modules_of_a_clean_run(core: Core) -> list[str] | None:
    """Return the modules that the tests import, in order; None when the tests fail."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _exit(lambda: _told_modules(core, writing))
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as told:
        modules: list[str] = json.loads(told.read() or "[]")
    _, status = os.waitpid(child, 0)
    return modules if os.waitstatus_to_exitcode(status) == 0 else None


def _told_modules(core: Core, writing: int) -> int:
    code = _tests_with(core, None)
    with os.fdopen(writing, "w", encoding="utf-8") as told:
        told.write(json.dumps(list(sys.modules)))
    return code


def _import_independent(names: Sequence[str], target: str) -> None:
    """Import all of *names* that neither are *target* nor import it, however indirectly."""
    ours = {name for name in names if name.partition(".")[0] in ("trellis", "simulation")}
    imports = {name: _imported_by(name) & ours for name in ours}
    dependent = {target}
    while grown := {name for name in ours - dependent if imports[name] & dependent}:
        dependent |= grown
    tests = {name for name in names if name.partition(".")[0] == "tests" or name.startswith(("test_", "conftest"))}
    for name in names:
        if name not in dependent and name not in tests and name not in sys.modules:
            try:
                importlib.import_module(name)
            except ImportError:
                continue  # a module of another name than its file's, made on the way: the tests will make it again


def _imported_by(name: str) -> set[str]:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        return set()
    imported: set[str] = set()
    for node in ast.walk(ast.parse(Path(found.origin).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return imported


def _members_of(core: Core) -> Members:
    """Look the core's enumerations up in a copy that is not kept, so that the mutated module is the only one."""
    before = set(sys.modules)
    members = members_in(importlib.import_module(core.module))
    for name in set(sys.modules) - before:
        del sys.modules[name]
    return members


def _exit(work: Callable[[], int]) -> NoReturn:
    """End this process with what *work* returns, running nothing of its parent's on the way out."""
    code = _BROKEN
    try:
        code = work()
    except BaseException:  # noqa: BLE001 - a process of its own ends here, whatever happened
        traceback.print_exc()
    finally:
        os._exit(code)
