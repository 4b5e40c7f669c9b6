"""The house stands: imports go down, nothing needs TensorFlow, every file is checked."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FLOORS = {
    "lapped": -1,
    "lpips": -1,
    "codec": 0,
    "perception": 0,
    "theory": 0,
    "data": 0,
    "distortion": 0,
    "records": 0,
    "objective": 1,
    "reporting": 1,
    "training": 2,
    "evaluation": 3,
    "sweep": 3,
    "storage": 3,
    "configuration": 3,
    "measured": 3,
    "launching": 3,
    "bounds": 3,
    "coding": 4,
    "bench": 4,
    "datasets": 4,
    "report": 4,
    "studies": 4,
    "verbs": 5,
    "command_line": 5,
    "main": 6,
}
FILES = sorted((ROOT / "synjax").rglob("*.py"))


def _room(path):
    return path.relative_to(ROOT / "synjax").with_suffix("").parts[0]


def _imports(path):
    """Pairs (room, full module) of everything of synjax that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "synjax":
            inside = node.module.split(".")[1:]
            for alias in node.names:
                yield (*inside, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("synjax."):
                    yield tuple(alias.name.split(".")[1:])


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_imports_only_from_the_floors_below_or_its_own_room(path):
    room = _room(path)
    if room == "__init__":
        return
    for target in _imports(path):
        assert target[0] in FLOORS, f"{target[0]} has no floor"
        assert target[0] == room or FLOORS[target[0]] < FLOORS[room], (
            f"{path.name} on floor {FLOORS[room]} imports {'.'.join(target)}"
        )


def test_no_room_imports_itself_in_a_circle():
    graph = {}
    for path in FILES:
        parts = path.relative_to(ROOT / "synjax").with_suffix("").parts
        graph[parts] = {target[: len(target)] for target in _imports(path)}
    done, active = set(), []

    def visit(node):
        assert node not in active, f"circle: {active[active.index(node) :]}"
        if node in done or node not in graph:
            return
        active.append(node)
        for target in graph[node]:
            visit(target)
        done.add(active.pop())

    for node in graph:
        visit(node)


def test_training_evaluation_and_export_run_with_tensorflow_blocked(tmp_path, environment):
    blocked = tmp_path / "blocked"
    for package in ("tensorflow", "tensorboard"):
        (blocked / package).mkdir(parents=True)
        (blocked / package / "__init__.py").write_text("raise ImportError('blocked by the test')")
    code = (
        "import sys; from synjax import main; "
        "status = main.main(sys.argv[1:]); "
        "assert 'tensorflow' not in sys.modules; sys.exit(status)"
    )
    workdir = tmp_path / "run"
    arguments = [
        "sweep",
        "--config=configs/gaussian.py:tiny",
        f"--workdir={workdir}",
    ]
    environment = environment | {"PYTHONPATH": str(blocked)}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (workdir / "table.csv").exists()


def test_verbs_of_a_stream_do_not_wait_for_what_trains_draws_and_reads_sweeps():
    heavy = "{'matplotlib', 'pandas', 'orbax', 'grain', 'optax'}"
    code = f"import sys; from synjax import main, coding; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stdout + done.stderr


def test_the_code_is_formatted_and_free_of_lint():
    for arguments in (("check",), ("format", "--check")):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "."],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
