"""The example of docs/ci.md as the repository of a user, and the commands of its workflows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hwlearn.lab.bench.backends import find_backend
from hwlearn.lab.bench_file.file import load_bench_file
from hwlearn.storage.toml_text import toml_text

pytest_plugins = ["pytester"]

EXAMPLE = Path(__file__).parents[2] / "docs" / "ci-example"
CACHE = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
PLUGIN = ("-p", "hwlearn_sim.pytest_plugin", "-p", "no:cacheprovider")
INSTALL = "python -m pip install -r requirements.txt"


def github():
    """Return the commands of each job of the workflow for GitHub."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed; the extra `docs` has it")
    text = (EXAMPLE / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert jobs["bench"]["if"] == "github.event_name == 'workflow_dispatch'"
    assert jobs["bench"]["steps"][-1]["if"] == "always()"
    return {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}


def gitlab():
    """Return the commands of each job of the workflow for GitLab."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed; the extra `docs` has it")
    jobs = yaml.safe_load((EXAMPLE / ".gitlab-ci.yml").read_text(encoding="utf-8"))
    assert jobs["bench"]["rules"][0]["when"] == "manual"
    scripts = {name: job for name, job in jobs.items() if name != "default"}
    return {name: [*job["script"], *job.get("after_script", [])] for name, job in scripts.items()}


@pytest.fixture
def repository(tmp_path):
    """Return a copy of the example."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "repository"))


def test_both_workflows_run_the_same_commands():
    assert github() == gitlab()
    assert github()["bench"][-1] == "hwlearn off bench.toml"


@pytest.mark.skipif(shutil.which("cc") is None, reason="a C compiler is not installed")
def test_example_passes(repository, pytester, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", CACHE)  # has the compiled firmware
    monkeypatch.chdir(repository)
    pytester.runpytest_inprocess(*PLUGIN, "--rootdir", repository).assert_outcomes(passed=6, skipped=2)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the workflows run in a shell of Linux")
@pytest.mark.skipif(shutil.which("cc") is None, reason="a C compiler is not installed")
@pytest.mark.parametrize("job", ["without-hardware", "bench"])
def test_commands_of_the_workflows_run_in_a_fresh_folder(job, repository, tmp_path):
    file = load_bench_file(repository / "bench.toml")
    virtual = find_backend({**file.tables["backend"], "kind": "virtual-bench"}, "bench.toml")[1]
    limits = file.limits.build()
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, words in {"python": '"$@"', "hwlearn": '-m hwlearn "$@"'}.items():
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words}\n')
        (tools / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTEST_ADDOPTS": " ".join(PLUGIN),
    }
    with virtual.bench(file.network.build(file.folder), limits) as bench:
        table = {"kind": "bench", **virtual.driver_settings(bench, limits)}
        text = toml_text({**file.tables, "backend": table})  # the addresses of virtual instruments
        if job == "bench":
            (repository / "bench.toml").write_text(text, encoding="utf-8")
        for command in github()[job]:
            if command == INSTALL:  # what it installs is here
                continue
            done = subprocess.run(
                ["sh", "-c", command], cwd=repository, env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        on = [c.switched for name in ("smu1", "smu2") for c in bench.instrument(name).channels]
        assert any(True in switched for switched in on) == (job == "bench")
        assert not any(switched and switched[-1] for switched in on)
