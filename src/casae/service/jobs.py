"""Long work: trainings, evaluations, conversions, batches. Rows of a table; one runner of a home does them in turn."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy import Engine, or_, select, update

from casae.config import Looks
from casae.errors import CasaeError, RecordsError, UsageError
from casae.evaluation.thresholds import TARGET
from casae.inspection.inspection import new_id
from casae.progress import VARIABLE, told
from casae.records.database import reading, writing
from casae.records.schema import jobs
from casae.records.store import now
from casae.service.catalogue import Catalogue
from casae.service.home import NAME, Home

MOST_OPEN = 1000  # jobs that wait or run, of which is told
log = structlog.get_logger("casae")
State = Literal["queued", "running", "done", "failed", "cancelled"]
LOOK_S = 0.5  # between two looks at the table, and at what a job says
PATIENCE_S = 20.0  # for a job that is asked to end
LOG, PROGRESS, CONVERTED, COMPARED = "log.txt", "progress.json", "converted", "compared.json"
HOME = "CASAE_HOME"  # tells a command where the records are; a URL may hold a password, which arguments show
FREE_SHARE = 0.05  # of the disk that must be free for a job to begin

OF_HOME = r"^[a-z0-9-]+:" + NAME.pattern
Dataset = Annotated[str, Field(max_length=300, pattern=OF_HOME + r"(/[^\x00-\x1f]*)?$", examples=["folder:rings"])]
Target = Annotated[str, Field(pattern=OF_HOME + "$", examples=["coco:rings-coco"])]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Split = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9._-]+$")]
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$", examples=["rings"])]


class _Wanted(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class Train(_Wanted):
    """Learn from a dataset; the model is added to the home."""

    kind: Literal["train"]
    dataset: Dataset
    name: ModelName
    minutes: float | None = Field(default=None, gt=0, le=2880)
    preset: Literal["fast", "scratch", "paper"] = "fast"
    split: Split | None = Field(
        default=None, description="list to learn from, or 'all'; null is 'train', or all but 'test' and 'val'"
    )
    seed: int = Field(default=0, ge=0, le=2**31)
    target: str | None = Field(default=None, pattern=TARGET, description="how thresholds are chosen", examples=["f1"])
    looks: Looks | None = Field(default=None, description="at each picture")


class Evaluate(_Wanted):
    """Judge a model on a dataset."""

    kind: Literal["evaluate"]
    dataset: Dataset
    model_sha256: Sha256
    split: Split = Field(default="test", description="list, or 'all'")


class Compare(_Wanted):
    """Judge two models on the same labelled pictures."""

    kind: Literal["compare"]
    dataset: Dataset
    first_sha256: Sha256
    second_sha256: Sha256
    split: Split = Field(default="test", description="list, or 'all'")


class Convert(_Wanted):
    """Labels of one format as another, a new dataset."""

    kind: Literal["convert"]
    dataset: Dataset
    target: Target
    lossy: bool = Field(default=False, description="write what the format cannot hold as well as it can")


class Batch(_Wanted):
    """Inspect all pictures of a dataset's folder, into the records."""

    kind: Literal["batch"]
    pictures: str = Field(max_length=300, pattern=r"^[^\x00-\x1f:]+$", examples=["rings/images"])
    model_sha256: Sha256
    rules_sha256: Sha256 | None = None
    product: str | None = Field(default=None, max_length=200, pattern=r"^[^\x00-\x1f]*$")
    batch: str | None = Field(default=None, max_length=200, pattern=r"^[^\x00-\x1f]*$")


Work = Train | Evaluate | Compare | Convert | Batch
Wanted = Annotated[Work, Field(discriminator="kind")]
WANTED: TypeAdapter[Work] = TypeAdapter(Wanted)


class Job(BaseModel):
    """A piece of long work.

    Attributes:
        progress: of `stage`, 0..1.
        left_s: seconds until `stage` is over, as far as it is known.
        result: what came of it, such as the hash of a model.
    """

    id: str
    kind: str
    arguments: dict[str, Any]
    who: str
    state: State
    created_at: str
    started_at: str | None
    ended_at: str | None
    progress: float
    stage: str
    left_s: float | None
    error: str | None
    result: dict[str, Any] | None


def is_missing(home: Home, wanted: Work) -> str:
    """What a job names and the home does not have, empty where all is there.

    Raises:
        UsageError: a dataset leads out of the home.
    """
    dataset = f"folder:{wanted.pictures}" if isinstance(wanted, Batch) else wanted.dataset
    if not os.path.exists(home.dataset(dataset).partition(":")[2]):  # noqa: PTH110  # False of a name that is too long
        return f"{dataset.partition(':')[2]}: is not there; GET /api/v1/datasets lists the datasets"
    for sha256 in _models_of(wanted):
        if not home.model(sha256).is_file():
            return f"{sha256}: no model has this hash; GET /api/v1/models lists them"
    if isinstance(wanted, Batch) and wanted.rules_sha256 and not home.rules_file(wanted.rules_sha256).is_file():
        return f"{wanted.rules_sha256}: no rules have this hash; GET /api/v1/rules lists them"
    return ""


def _models_of(wanted: Work) -> tuple[str, ...]:
    """Hashes of the models that a job needs."""
    if isinstance(wanted, Compare):
        return wanted.first_sha256, wanted.second_sha256
    return (wanted.model_sha256,) if isinstance(wanted, Evaluate | Batch) else ()


def add_job(engine: Engine, home: Home, wanted: Work, who: str) -> Job:
    """A new job, which waits for its turn.

    Raises:
        UsageError: it names a dataset or target that cannot be.
    """
    _words(home, "", wanted, resumed=False)  # what is wrong is said now
    row = {
        "id": new_id(),
        "kind": wanted.kind,
        "arguments": wanted.model_dump_json(exclude={"kind"}),
        "who": who,
        "state": "queued",
        "created_at": now(),
        "progress": 0.0,
        "stage": "",
        "cancel": False,
        "home": str(home.folder),
    }
    with writing(engine) as connection:
        connection.execute(jobs.insert(), row)
    return job_by_id(engine, home, str(row["id"]))


def job_by_id(engine: Engine, home: Home, key: str) -> Job:
    """A job.

    Raises:
        UsageError: there is none of this id.
    """
    with reading(engine) as connection:
        row = connection.execute(select(jobs).where(jobs.c.id == key)).mappings().first()
    if row is None:
        raise UsageError(f"{key}: no job has this id; GET /api/v1/jobs lists them")
    return _job(home, row)


def page_of_jobs(engine: Engine, home: Home, after: str | None, limit: int) -> list[Job]:
    """Jobs, newest first, or those that follow one."""
    query = select(jobs).order_by(jobs.c.id.desc()).limit(limit)
    with reading(engine) as connection:
        rows = connection.execute(query.where(jobs.c.id < after) if after else query).mappings().all()
    return [_job(home, row) for row in rows]


def jobs_now(engine: Engine, home: Home, keys: Iterable[str]) -> list[Job]:
    """Jobs that wait or run, and those of these ids, newest first."""
    wanted = or_(jobs.c.state.in_(("queued", "running")), jobs.c.id.in_(list(keys)))
    with reading(engine) as connection:
        rows = (
            connection.execute(select(jobs).where(wanted).order_by(jobs.c.id.desc()).limit(MOST_OPEN)).mappings().all()
        )
    return [_job(home, row) for row in rows]


def cancel(engine: Engine, home: Home, key: str) -> Job:
    """Let a job end; one that is over stays as it is.

    Raises:
        UsageError: there is none of this id.
    """
    with writing(engine) as connection:
        waits = (jobs.c.id == key, jobs.c.state == "queued")
        connection.execute(update(jobs).where(*waits).values(state="cancelled", ended_at=now()))
        connection.execute(update(jobs).where(jobs.c.id == key, jobs.c.state == "running").values(cancel=True))
    return job_by_id(engine, home, key)


def _job(home: Home, row: Any) -> Job:
    stage, share, left = told(home.jobs / row["id"] / PROGRESS) if row["state"] == "running" else ("", 0.0, None)
    values = dict(row) | {"arguments": json.loads(row["arguments"]), "left_s": left}
    values["result"] = json.loads(row["result"]) if row["result"] else None
    if stage:
        values |= {"stage": stage, "progress": share}
    return Job.model_validate(values)


def _words(home: Home, key: str, wanted: Work, resumed: bool) -> list[str]:
    """The command that does a job."""
    folder = home.jobs / key
    if isinstance(wanted, Train):
        words = ["train", home.dataset(wanted.dataset), "--out", str(folder / f"{wanted.name}.casae")]
        words += ["--preset", wanted.preset, "--seed", str(wanted.seed)]
        chosen = {"split": wanted.split, "minutes": wanted.minutes, "target": wanted.target, "looks": wanted.looks}
        words += [word for name, value in chosen.items() if value for word in (f"--{name}", str(value))]
        return words + ["--resume"] * resumed
    if isinstance(wanted, Evaluate):
        model = str(home.model(wanted.model_sha256))
        written = ["--json", str(folder / "scores.json"), "--sheet", str(folder / "worst.png")]
        words = ["evaluate", home.dataset(wanted.dataset), "--model", model, "--split", wanted.split]
        return words + written
    if isinstance(wanted, Compare):
        models = [str(home.model(sha256)) for sha256 in _models_of(wanted)]
        written = ["--json", str(folder / COMPARED), "--sheet", str(folder / "changed.jpg")]
        return ["compare", *models, home.dataset(wanted.dataset), "--split", wanted.split, *written]
    if isinstance(wanted, Convert):
        target = f"{wanted.target.split(':', 1)[0]}:{folder / CONVERTED}"
        return ["data", "convert", home.dataset(wanted.dataset), target, *["--lossy"] * wanted.lossy]
    _, _, pictures = home.dataset(f"folder:{wanted.pictures}").partition(":")
    words = ["watch", pictures, "--once", "--still", "0", "--model", str(home.model(wanted.model_sha256))]
    words += ["--rules", str(home.rules_file(wanted.rules_sha256))] if wanted.rules_sha256 else []
    words += ["--product", wanted.product] if wanted.product else []
    return words + (["--batch", wanted.batch] if wanted.batch else [])


@dataclass
class JobRunner:
    """Does the jobs of a home, one after the other, each in a process of its own at the lowest priority.

    Args:
        engine: of the records.
        home: whose jobs.
        catalogue: gets the models that were trained.
        database: `--home` of commands that write records.
    """

    engine: Engine
    home: Home
    catalogue: Catalogue
    database: str

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobs")

    def start(self) -> None:
        """Take up what a kill interrupted, then what waits."""
        mine = (jobs.c.home == str(self.home.folder), jobs.c.state == "running")
        with writing(self.engine) as connection:
            connection.execute(update(jobs).where(*mine).values(state="queued"))
        self._thread.start()

    def stop(self) -> None:
        """End; a job that runs is taken up when the service starts again."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            key = None
            try:
                key = self._next()
                if key is not None:
                    self._do(key)
            except RecordsError as error:  # the database is away: later
                log.error("jobs wait", error=str(error))
                if key is not None:
                    self._say(key, state="queued")
            except Exception as error:
                log.exception("a job failed", id=key)
                self._end(str(key), "failed", f"casae failed on it ({error!r}); please report it", None)
            if key is None:
                self._stop.wait(LOOK_S)

    def _next(self) -> str | None:
        """Take the oldest job that waits."""
        waits = (jobs.c.home == str(self.home.folder), jobs.c.state == "queued")
        with writing(self.engine) as connection:
            key = connection.scalar(select(jobs.c.id).where(*waits).order_by(jobs.c.id).limit(1))
            started = {"state": "running", "started_at": now()}
            taken = connection.execute(update(jobs).where(jobs.c.id == key, jobs.c.state == "queued").values(started))
            return key if taken.rowcount else None

    def _do(self, key: str) -> None:
        folder = self.home.jobs / key
        with reading(self.engine) as connection:
            row = connection.execute(select(jobs).where(jobs.c.id == key)).mappings().one()
        wanted = WANTED.validate_python(json.loads(row["arguments"]) | {"kind": row["kind"]})
        resumed = folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / PROGRESS).unlink(missing_ok=True)
            shutil.rmtree(folder / CONVERTED, ignore_errors=True)
            self._check_room()
            code = self._command(key, _words(self.home, key, wanted, resumed), folder)
            if code is None:
                return
            if code == 0 or (code == 1 and not isinstance(wanted, Train)):  # some pictures were not as they should be
                self._end(key, "done", _last_line(folder / LOG) if code else None, self._result(wanted, folder))
            else:
                said = _last_line(folder / LOG).replace(f"{folder}/", "").replace(f"{self.home.datasets}/", "")
                self._end(key, "failed", said, None)
        except RecordsError:
            raise
        except (CasaeError, OSError) as error:
            self._end(key, "failed", str(error), None)

    def _command(self, key: str, words: list[str], folder: Path) -> int | None:
        """Its exit code; None where it was cancelled, or the service ends."""
        shown = os.environ | {
            VARIABLE: str(folder / PROGRESS),
            HOME: self.database,
            "NO_COLOR": "1",
            "COLUMNS": "100",
        }
        command = [sys.executable, "-m", "casae.service.child", str(os.getpid()), *words]
        with (folder / LOG).open("ab") as said:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=shown,
                cwd=folder,
                process_group=0 if hasattr(os, "killpg") else None,
            )
            try:
                while child.poll() is None:
                    if self._stop.wait(LOOK_S):
                        return None
                    if self._is_cancelled(key):
                        self._end(key, "cancelled", None, None)
                        return None
            finally:
                _end_child(child)
        return child.returncode

    def _is_cancelled(self, key: str) -> bool:
        try:
            with reading(self.engine) as connection:
                return bool(connection.scalar(select(jobs.c.cancel).where(jobs.c.id == key)))
        except RecordsError:  # asked again in a moment; the job goes on meanwhile
            return False

    def _result(self, wanted: Work, folder: Path) -> dict[str, Any]:
        if isinstance(wanted, Train):
            file = folder / f"{wanted.name}.casae"
            return {"model_sha256": self.catalogue.add_model(file.read_bytes(), "training").sha256}
        if isinstance(wanted, Convert):
            name = wanted.target.split(":", 1)[1]
            (folder / CONVERTED).rename(self.home.datasets / name)
            return {"dataset": wanted.target}
        return {"files": [each for each in files_of(folder) if each != LOG]}

    def _check_room(self) -> None:
        usage = shutil.disk_usage(self.home.folder)
        if usage.free < FREE_SHARE * usage.total:
            raise UsageError(
                f"{self.home.folder}: less than {100 * FREE_SHARE:g} % is free; free space, start it again"
            )

    def _end(self, key: str, state: State, error: str | None, result: dict[str, Any] | None) -> None:
        told_now = None if result is None else json.dumps(result)
        share = 1.0 if state == "done" else 0.0
        self._say(key, state=state, ended_at=now(), error=error, result=told_now, progress=share)

    def _say(self, key: str, **values: object) -> None:
        """Write what became of a job, again and again while the database is away; the end of the service ends that."""
        while True:
            try:
                with writing(self.engine) as connection:
                    connection.execute(update(jobs).where(jobs.c.id == key).values(values))
                return
            except RecordsError as away:
                log.error("jobs wait", error=str(away))
                if self._stop.wait(LOOK_S):
                    return


def files_of(folder: Path) -> list[str]:
    """Files that a job wrote, as paths in its folder; those of its state are left out."""
    found = sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file() and file.name != PROGRESS)
    return [file.as_posix() for file in found if not any(part.endswith("-training") for part in file.parts)]


def _end_child(child: "subprocess.Popen[bytes]") -> None:
    """End a process, and those that it started."""
    _signal(child, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(PATIENCE_S)
    _signal(child, getattr(signal, "SIGKILL", signal.SIGTERM))
    child.wait()


def _signal(child: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):  # all of them have ended
            os.killpg(child.pid, number)
    elif child.poll() is None:
        child.terminate()


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("casae: ")] or lines or ["ended without a word"]
    return said[-1].removeprefix("casae: ")
