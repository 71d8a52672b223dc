"""Many runs at once by forked kernels: what they leave is what single runs leave, also when one of them goes wrong."""

import os
import re
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.loaders import JSONFileLoader

from opslib import aws
from opslib.cli_changes import listed
from opslib.errors import ParameterError
from opslib.runner import batch, cleaning, forking, headless, runbooks
from opslib.runner.refresh import normal
from tests.runner.probe import summary_in


def outputs(record: Path) -> list[Any]:
    cells = cleaning.clean_notebook(normal(runbooks.read(record / "record.ipynb")))["cells"]
    return [cell.get("outputs") for cell in cells]


def test_each_run_is_what_a_single_run_is(project: Path) -> None:
    given = [
        {"verdict": "ok"},
        {"verdict": "critical", "many": "5"},
        {"act": "raise"},
        {"act": "flood"},
        {"act": "die"},
    ]
    together = {str(one.summary["parameters"]): one for one in batch.run([("probe", each) for each in given])}
    assert len(together) == 5
    for each in given:
        folder, told = headless.run("probe", each)
        one = together[str(told["parameters"])]
        assert one.record and one.record != folder and outputs(one.record) == outputs(folder)
        kept = summary_in(one.record)
        for name in ("status", "verdict", "exit_code", "parameters", "error"):
            assert kept.get(name) == told.get(name), name
        assert one.exit_code == told["exit_code"] and (one.record / "report.html").exists()
    assert batch.worst(list(together.values())) == batch.NO_REPORT


def test_a_batch_with_one_bad_parameter_runs_nothing(project: Path) -> None:
    before = sorted((project / "reports").rglob("summary.json"))
    with pytest.raises(ParameterError):
        batch.run([("probe", {}), ("probe", {"many": "a lot"})])
    assert sorted((project / "reports").rglob("summary.json")) == before


def test_a_signal_leaves_true_records_and_begins_no_more(project: Path, opslib: Any) -> None:
    before = set((project / "reports").rglob("summary.json"))
    asked = batch.PER_CORE * batch.cores() + 1
    process = opslib("run", "probe", "--each", f"act={','.join(['sleep'] * asked)}", PYTHONPROFILEIMPORTTIME="1")
    ended = ThreadPoolExecutor(1).submit(process.communicate, timeout=240)  # what is imported fills a pipe
    for _ in range(4000):
        if list((project / "reports" / ".partial").glob("*/sleeping")):
            break
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    out, err = ended.result()
    assert process.returncode == 3, out + err
    made = [summary_in(file.parent) for file in set((project / "reports").rglob("summary.json")) - before]
    assert 1 <= len(made) < asked and not [one for one in made if one["status"] == "finished"]
    assert "not begun: SIGTERM" in err
    imported = Counter(line.rpartition("|")[2].strip() for line in err.splitlines() if line.startswith("import time:"))
    heavy = re.compile(r"(papermill|opslib|boto3|matplotlib|psycopg)[.]")
    assert imported["papermill.execute"] == 1  # and so what is read here is what was imported
    assert not [name for name, times in imported.items() if times > 1 and heavy.match(name)]  # all was there before


def test_what_most_runbooks_ask_is_read_before_the_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    forking.warm()
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda _, file: pytest.fail(f"{file} is read again"))
    core = botocore.session.Session()
    core.register_component("data_loader", aws.models(None))
    for service in ("sts", "cloudwatch", "logs"):
        core.create_client(service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


@pytest.mark.parametrize(
    ("notebooks", "given", "each", "says"),
    [
        (("a",), {}, "act", "is not NAME=A,B"),
        (("a",), {}, "act=", "is not NAME=A,B"),
        (("a",), {}, "act=x,,y", "is not NAME=A,B"),
        (("a",), {}, "=x,y", "is not NAME=A,B"),
        (("a", "b"), {}, "act=x", "2 notebooks are given"),
        (("a",), {"act": "z"}, "act=x", "-p sets act, too"),
    ],
)
def test_a_wrong_each_is_told(notebooks: tuple[str, ...], given: dict[str, str], each: str, says: str) -> None:
    with pytest.raises(ParameterError) as caught:
        listed(notebooks, given, each)
    assert says in caught.value.text()


def test_each_value_is_a_run() -> None:
    assert listed(("a",), {"n": "1"}, "w=1h, 2h") == [("a", {"n": "1", "w": "1h"}), ("a", {"n": "1", "w": "2h"})]
