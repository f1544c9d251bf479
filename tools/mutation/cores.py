"""Which modules are mutated, and which tests must notice: those of the core alone, quick ones first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.dev.paths import ROOT


@dataclass(frozen=True, slots=True)
class Core:
    """One module with the tests that cover it, as pytest's arguments."""

    module: str
    tests: tuple[str, ...]

    @property
    def short(self) -> str:
        """Its name as people write it: `workflow.decisions`."""
        return self.module.removeprefix("trellis.").replace(".domain", "").removeprefix("common.")

    @property
    def path(self) -> Path:
        """Its source."""
        below = Path(*self.module.split(".")).with_suffix(".py")
        return next(ROOT.glob(f"[ls]*/*/src/{below}"))


_WORKFLOW: Final = "tests/unit/workflow"
_ORDERING: Final = f"{_WORKFLOW}/test_ordering.py"
_FACTS: Final = tuple(f"{_WORKFLOW}/test_{name}.py" for name in ("facts", "readings", "people", "outcomes"))
_JUDGING: Final = (f"{_WORKFLOW}/test_judging.py", f"{_WORKFLOW}/test_asking.py")
_LEDGER: Final = "tests/unit/common/test_ledger"
_ASSESSMENTS: Final = "tests/unit/assessments"

CORES: Final[tuple[Core, ...]] = (
    Core("trellis.workflow.domain.decisions", (_WORKFLOW,)),
    Core("trellis.workflow.domain.entering", (*_FACTS, f"{_WORKFLOW}/test_untold.py")),
    Core("trellis.workflow.domain.judging", (*_JUDGING, f"{_WORKFLOW}/test_decisions.py", _ORDERING)),
    Core(
        "trellis.workflow.domain.application",
        (f"{_WORKFLOW}/test_application.py", f"{_WORKFLOW}/test_passed.py", *_FACTS, _ORDERING),
    ),
    Core("trellis.workflow.domain.passing", (f"{_WORKFLOW}/test_passed.py",)),
    Core("trellis.workflow.domain.ordering", (_ORDERING,)),
    Core("trellis.workflow.domain.rules", (f"{_WORKFLOW}/test_rules.py", *_JUDGING)),
    Core("trellis.workflow.domain.compiling", (f"{_WORKFLOW}/test_rules.py",)),
    Core("trellis.workflow.domain.standing", (f"{_WORKFLOW}/test_standing.py",)),
    Core(
        "trellis.workflow.domain.outgoing",
        (f"{_WORKFLOW}/test_application.py", f"{_WORKFLOW}/test_standing.py", _ORDERING),
    ),
    *(Core(f"trellis.common.ledger.{name}", (f"{_LEDGER}_{name}.py",)) for name in ("states", "recording", "changes")),
    Core("trellis.greenhouse_actions.domain.reconciling", ("tests/unit/greenhouse_actions/test_reconciling.py",)),
    Core("trellis.greenhouse_actions.domain.standing", ("tests/unit/greenhouse_actions/test_standing.py",)),
    Core("trellis.ingest.signature", ("tests/unit/ingest/test_signature.py",)),
    Core("trellis.ingest.translation", ("tests/unit/ingest/test_translation.py",)),
    Core("trellis.assessments.domain.correlation", (f"{_ASSESSMENTS}/test_correlation.py",)),
    Core(
        "trellis.assessments.domain.results",
        (f"{_ASSESSMENTS}/test_results.py", f"{_ASSESSMENTS}/test_attempts.py", f"{_ASSESSMENTS}/test_forms.py"),
    ),
    Core("trellis.assessments.domain.suggesting", (f"{_ASSESSMENTS}/test_suggesting.py",)),
    Core("trellis.assessments.domain.polling", (f"{_ASSESSMENTS}/test_options.py",)),
    Core("trellis.assessments.domain.invites", (f"{_ASSESSMENTS}/test_invites.py", f"{_ASSESSMENTS}/test_answers.py")),
    Core("trellis.assessments.domain.options", (f"{_ASSESSMENTS}/test_options.py",)),
)


def chosen(names: Sequence[str]) -> list[Core]:
    """Return the cores that *names* mean, all without names.

    Raises:
        LookupError: A name means none.
    """
    if not names:
        return list(CORES)
    for name in names:
        if not any(_means(name, core) for core in CORES):
            raise LookupError(f"no core is called {name!r}; there are {', '.join(core.short for core in CORES)}")
    return [core for core in CORES if any(_means(name, core) for name in names)]


def _means(name: str, core: Core) -> bool:
    return name in (core.module, core.short, *core.short.split("."))
