import errno
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

import spurion.studies
from cli.command_line import VERBS, refused, run
from spurion import __version__
from spurion.cli import app
from spurion.cli.errors import EXTRAS, explain

COMMANDS = typer.main.get_command(app).commands


@pytest.mark.parametrize("verb", [(), *((verb,) for verb in VERBS)])
def test_help_has_an_example(verb):
    result = run(*verb, "--help")
    assert result.exit_code == 0
    assert "Example: spurion" in result.stdout


def test_version():
    assert run("--version").stdout == f"spurion {__version__}\n"


def test_alone_it_prints_help():
    alone, asked = run(), run("--help")
    assert (alone.exit_code, alone.stderr) == (0, "")
    assert alone.stdout == asked.stdout


@pytest.mark.parametrize("columns", ["80", "200"])
@pytest.mark.parametrize("verb", VERBS)
def test_help_fits_its_width_and_names_every_option(verb, columns):
    shown = run(verb, "--help", env={"COLUMNS": columns, "NO_COLOR": "1"})
    assert "\x1b" not in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= int(columns)
    for option in (name for each in COMMANDS[verb].params for name in each.opts if name.startswith("--")):
        assert f"{option} " in shown.stdout, option


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fly"], "spurion: No such command 'fly'. See spurion --help."),
        (["stdy"], "spurion: No such command 'stdy'. Did you mean 'study'? See spurion --help."),
        (
            ["report", "--hlep"],
            "spurion report: No such option: --hlep (Possible options: --help). See spurion report --help.",
        ),
        (["doctor", "--wings"], "spurion doctor: No such option: --wings. See spurion doctor --help."),
        (["study"], "spurion study: Missing argument 'RECIPE|FILE.yaml'. See spurion study --help."),
        (
            ["sample", "m", "--count=9"],
            "spurion sample: Missing option '--out'. See spurion sample --help.",
        ),
    ],
)
def test_usage_errors_are_one_sentence(arguments, sentence):
    assert refused(*arguments) == sentence


@pytest.mark.parametrize("entry", [["-m", "spurion"], ["-c", "from spurion.cli import main; main()"]])
def test_a_process_of_its_own(entry):
    done = subprocess.run([sys.executable, *entry, "fly"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "spurion: No such command 'fly'. See spurion --help.\n"


def test_help_imports_nothing_heavy():
    script = (
        "import sys; sys.argv[1:] = ['study', '--help']\n"
        "from spurion.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print({'torch', 'diffusers', 'sklearn', 'matplotlib', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def ending(monkeypatch, error):
    def study(*arguments, **options):
        raise error

    monkeypatch.setattr(spurion.studies, "study", study)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("`k` must be\n at least 1, got 0."), "`k` must be at least 1, got 0."),
        (OSError(errno.ENOSPC, "x", "runs/[a]"), "No space left for runs/[a]; free some and give"),
        (OSError(errno.EDQUOT, "x", "runs/a"), "No space left for runs/a; free some and give"),
        (OSError(errno.ENOSPC, "x"), "No space left for the output folder; free some and give"),
        (
            Exception("Error: No space left on device (os error 28)"),
            "No space left for the output folder; free",
        ),
        (
            OSError(errno.EFBIG, "x", "runs/a"),
            "A file would be larger than the system allows (runs/a); raise the limit (`ulimit -f`) or choose",
        ),
        (
            Exception("Error: I/O error: File too large (os error 27)"),
            "A file would be larger than the system allows (the output folder); raise",
        ),
        (PermissionError(errno.EACCES, "x", "runs/a"), "No permission for runs/a; choose another place or"),
        (OSError(errno.EROFS, "x", "runs/a"), "No permission for runs/a; choose another place or"),
        (FileNotFoundError(errno.ENOENT, "x", "a.yaml"), "There is no file a.yaml."),
        (NotADirectoryError(errno.ENOTDIR, "x", "a/b"), "a/b is a file, or lies inside one, where a folder"),
        (FileExistsError(errno.EEXIST, "x", "a/b"), "a/b is a file, or lies inside one, where a folder"),
        (OSError(errno.EIO, "Input/output error", "a"), "a: Input/output error."),
        (OSError("Something else."), "Something else."),
        (
            RuntimeError("A worker process died, perhaps for want of memory; again."),
            "A worker process died, per",
        ),
        (MemoryError(), "Out of memory; try smaller batches, fewer workers or another --device."),
        (
            ModuleNotFoundError("x", name="datasets"),
            "The package `datasets` is needed for data sets from ",
        ),
    ],
)
def test_what_a_user_can_mend_is_one_sentence_and_exit_code_2(monkeypatch, error, sentence):
    ending(monkeypatch, error)
    assert refused("study", "digits").startswith(f"spurion study: {sentence}")


def test_memory_of_a_device():
    class OutOfMemoryError(RuntimeError):
        pass

    assert explain(OutOfMemoryError("CUDA out of memory")) == explain(MemoryError())


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("y"), ModuleNotFoundError("z", name="torch")])
def test_a_fault_of_ours_has_an_exit_code_of_its_own(monkeypatch, error):
    ending(monkeypatch, error)
    result = run("study", "digits")
    assert (result.exit_code, result.stdout) == (70, "")
    assert result.stderr.count("\n") == 1
    assert f"A fault of Spurion, not of yours: {type(error).__name__}: {error} (SPURION_TRAC" in result.stderr


def test_the_traceback_can_be_had(monkeypatch):
    ending(monkeypatch, ValueError("wrong."))
    result = run("study", "digits", env={"SPURION_TRACEBACK": "1"})
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("spurion study: wrong.\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["study", "digits"], "what was finished is kept, and the same command continues."),
        (["train", "digits", "--size=2", "--out=m"], "and the same command continues."),
        (["audit", "--train=digits"], "starts again, with --out from the samples that it drew."),
        (
            ["neighbors", "--queries=digits", "--reference=digits"],
            "starts again, with --checkpoint where it was stopped.",
        ),
        (["doctor"], "nothing was kept, and the same command starts again."),
    ],
)
def test_interrupted(monkeypatch, arguments, words):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    for name in (
        "spurion.studies.study",
        "spurion.audit",
        "spurion.studies.recipes.named_config",
        "spurion.data.opener",
        "spurion.cli.doctor.examine",
    ):
        monkeypatch.setattr(name, interrupt, raising=False)
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.startswith(f"spurion {arguments[0]}: Interrupted; ")
    assert result.stderr.endswith(f"{words}\n")
    assert result.stderr.count("\n") == 1


def test_a_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -m spurion --help | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_extras_are_those_of_the_project():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    optional = {
        name: packages for name, packages in project["optional-dependencies"].items() if name != "dev"
    }
    assert {extra.name for extra in EXTRAS.values()} == set(optional)
    for extra in EXTRAS.values():
        assert [line.partition(">")[0] for line in optional[extra.name]] == [extra.package]


def test_documented_exit_codes():
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    for code in (0, 1, 2, 3, 70, 129, 130, 143):
        assert f"| {code} |" in page
