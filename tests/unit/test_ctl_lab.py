"""localechoctl lab: its output in both languages and several widths, and its exit status."""

import json
import re

import pytest

from localechod.ctl.app import run
from localechod.ctl.commands import lab as command
from localechod.ctl.commands.lab import block, summary
from localechod.ctl.render import width
from localechod.lab import registry
from localechod.lab.catalog import LANGUAGES, Catalog
from localechod.lab.experiment import Experiment, Judgment, Result, Status, expected_verdict
from localechod.lab.registry import EXPERIMENTS
from localechod.lab.sandbox import Facts, Sandbox, SkippedError
from tests.golden_pages import compare

# Fixed results, one of each kind, so that the layout does not depend on the machine.
RESULTS = [
    Result("x-window", Status.JUDGED, holds=True),
    Result(
        "empty-message",
        Status.RAN,
        holds=False,
        transcript=["server:", "read() = 0", "client:", r'write("g1\n") = 3', "(SIGKILL)"],
    ),
    Result("bind-root", Status.SKIPPED, holds=None, reason="root"),
    Result(
        "only-client",
        Status.RAN,
        holds=False,
        transcript=["$ streamclient $LAB/unixstream.sock", "connect failed: \x1b[2J", "(exit 1)"],
        surprises=["client: connect failed: No such file or directory (2) -> \x1b[2J"],
    ),
]


@pytest.fixture(autouse=True)
def _neutral(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("columns", [80, 120])
def test_the_page_equals_the_golden_file(language: str, columns: int) -> None:
    texts = Catalog.load(language)
    lines = [line for each in RESULTS for line in block(each, texts, columns)]
    shown = "\n".join([*lines, *summary(RESULTS, texts.words, columns)]) + "\n"
    compare(f"lab-{language}-{columns}", shown)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_is_wider_than_the_terminal(language: str, columns: int) -> None:
    texts = Catalog.load(language)
    for experiment in EXPERIMENTS:
        result = Result(experiment.name, Status.RAN, expected_verdict(experiment), ["a = 0"])
        for line in block(result, texts, columns):
            assert width(line) <= columns, line


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_list_has_all_titles(language: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "--list", "--lang", language]) == 0
    lines = capsys.readouterr().out.splitlines()
    titles = Catalog.load(language).experiments
    assert [re.split(r" {2,}", line, maxsplit=1) for line in lines] == [
        [each.name, titles[each.name].title] for each in EXPERIMENTS
    ]
    assert max(map(width, lines)) <= 80


def test_the_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "--list", "--json", "only-client"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"name": "only-client", "title": "Only the client"}
    ]


def test_the_language_is_that_of_the_locale(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert run(["lab", "x-window"]) == 0
    assert Catalog.load("zh").experiments["x-window"].claim in capsys.readouterr().out
    assert run(["lab", "--lang", "en", "x-window"]) == 0
    assert Catalog.load("en").experiments["x-window"].claim in capsys.readouterr().out


def test_an_unknown_experiment_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "listign"]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("there is no experiment listign; there are listing, ")
    assert shown.err.count("\n") == 1
    assert not shown.out


def test_an_unknown_language_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "--lang", "tlh"]) == 2
    assert "'tlh' is not one of en, zh" in capsys.readouterr().err


def replace(monkeypatch: pytest.MonkeyPatch, *experiments: Experiment | Judgment) -> None:
    monkeypatch.setattr(registry, "EXPERIMENTS", experiments)


def observes_success(sandbox: Sandbox) -> Facts:
    sandbox.note("nothing")
    return {"errno": "0"}


def needs_root(sandbox: Sandbox) -> Facts:
    raise SkippedError("root")


def test_a_surprise_is_exit_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(monkeypatch, Experiment("only-client", observes_success, {"errno": "ENOENT"}))
    assert run(["lab"]) == 1
    text = capsys.readouterr().out
    assert "SURPRISE: the result is not the expected one" in text
    assert "errno: ENOENT -> 0\n" in text
    assert text.endswith(
        "0 of 1 claims hold.\nClaims that do not hold: only-client.\nSurprises: only-client.\n"
    )
    assert run(["lab", "--json"]) == 1
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["holds"] is False
    assert entry["surprises"] == ["errno: ENOENT -> 0"]


def test_a_surprise_in_a_real_experiment_is_exit_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (real,) = registry.find(["only-client"])
    assert isinstance(real, Experiment)
    replace(
        monkeypatch, Experiment(real.name, real.run, {**real.expected, "termination": "exit 0"})
    )
    assert run(["lab", "only-client"]) == 1
    assert "termination: exit 0 -> exit 1\n" in capsys.readouterr().out


def test_json_has_only_verdicts_and_standard_error_reports_the_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(
        monkeypatch,
        Experiment("only-client", observes_success, {"errno": "0"}),
        Experiment("bind-root", needs_root, {"errno": "0"}),
        Judgment("rpc", verdict=False),
    )
    assert run(["lab", "--json"]) == 0
    shown = capsys.readouterr()
    first, second = json.loads(shown.out)
    texts = Catalog.load("en").experiments
    assert first == {
        "name": "only-client",
        "claim": texts["only-client"].claim,
        "holds": True,
        "observed": "nothing",
        "why": texts["only-client"].why,
        "section": texts["only-client"].section,
        "status": "ran",
        "surprises": [],
    }
    assert (second["name"], second["holds"], second["status"]) == ("rpc", False, "judged")
    assert second["observed"] == "not measured: the tutorial only mentions it"
    assert shown.err == "bind-root: skipped: it needs root\n"


def test_skipped_experiments_are_not_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(
        monkeypatch,
        Experiment("bind-root", needs_root, {"errno": "0"}),
        Judgment("x-window", verdict=True),
    )
    assert run(["lab"]) == 0
    assert capsys.readouterr().out.endswith("1 of 1 claims hold.\nSkipped: bind-root.\n")


def test_a_given_name_is_not_completed_again() -> None:
    class Context:
        params = {"names": ["bind-root"]}  # noqa: RUF012 - never changed

    assert command.experiment_names(Context(), "bind") == ["bind-denied"]  # type: ignore[arg-type]
