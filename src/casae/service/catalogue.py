"""Models and rules of a home, which of them judge which product, and inspectors made of them."""

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select, update

from casae.config import InspectionSettings
from casae.errors import BundleError, OutputError, UsageError
from casae.files import write_durably
from casae.inspection.inspection import new_id
from casae.inspection.inspector import Inspector
from casae.inspection.record import rules_sha256
from casae.inspection.rules import AcceptanceRules, read_rules
from casae.models.bundle import Bundle, read_bundle
from casae.records.database import reading, writing
from casae.records.schema import activations, models, rule_versions, rules
from casae.records.store import now, once
from casae.service.home import Home

KEPT = 4  # inspectors in memory; a model has about 100 MB there
MOST_HISTORY = 10_000  # activations of a product that rolling back looks at
EVERY = ""  # the product of what has nothing of its own


@dataclass(frozen=True)
class Activation:
    """What judges a product from a moment on.

    Attributes:
        id: UUIDv7.
        at, who, why: when, by whom and for what reason.
        product: that it judges; "" judges what has none of its own.
        model_sha256: of the model; None: the product has nothing of its own any more.
        rules_sha256: of the rules; None accepts no defect.
        undoes: the activation that this one rolls back, None where it rolls back nothing.
    """

    id: str
    at: str
    who: str
    product: str
    model_sha256: str | None
    rules_sha256: str | None
    why: str
    undoes: str | None = None


@dataclass
class Catalogue:
    """Models and rules of a home, and what is active.

    Attributes:
        home: where their files lie.
        engine: of its records.
        settings: of inspectors.
    """

    home: Home
    engine: Engine
    settings: InspectionSettings

    def __post_init__(self) -> None:
        self._inspectors: OrderedDict[tuple[str, str | None], Inspector] = OrderedDict()
        self._turn, self._loading = threading.Lock(), threading.Lock()

    def add_model(self, data: bytes, who: str) -> Bundle:
        """Keep a model; the same one again changes nothing.

        Raises:
            BundleError: it cannot be used.
            OutputError: the disk does not take it.
        """
        with self._passing(data, "upload.casae") as file:
            try:
                bundle = read_bundle(file)
            except BundleError as error:
                raise BundleError(str(error).replace(str(file), "model")) from error
        write_durably(self.home.model(bundle.sha256), data)
        told = {"card": bundle.card, "added_at": now(), "added_by": who}
        with writing(self.engine) as connection:
            once(connection, models, {"sha256": bundle.sha256, "name": bundle.manifest.name}, "sha256")
            mine = (models.c.sha256 == bundle.sha256, models.c.added_at.is_(None))
            connection.execute(update(models).where(*mine).values(told))
        return bundle

    def models(self) -> list[dict[str, Any]]:
        """Those that were added, newest first."""
        columns = (models.c.sha256, models.c.name, models.c.added_at, models.c.added_by)
        wanted = select(*columns).where(models.c.added_at.is_not(None)).order_by(models.c.added_at.desc())
        with reading(self.engine) as connection:
            return [dict(row) for row in connection.execute(wanted).mappings()]

    def bundle(self, sha256: str) -> Bundle:
        """A model of the home.

        Raises:
            UsageError: there is none of this hash.
            BundleError: its file is damaged.
        """
        return read_bundle(self._file(sha256))

    def add_rules(self, content: bytes, name: str, who: str) -> tuple[str, AcceptanceRules]:
        """Keep acceptance rules, TOML, as the next version of a name unless its newest says the same.

        Returns:
            Their hash and what they say.

        Raises:
            UsageError: they cannot be read; names line and column.
        """
        with self._passing(content, "rules.toml") as file:
            try:
                found = read_rules(file)
            except UsageError as error:
                raise UsageError(str(error).replace(str(file), "rules")) from error
        digest = rules_sha256(found)
        write_durably(self.home.rules_file(digest), content)
        with writing(self.engine) as connection:
            once(connection, rules, {"sha256": digest}, "sha256")
            connection.execute(update(rules).where(rules.c.sha256 == digest).values(content=found.model_dump_json()))
            versions = select(rule_versions.c.sha256).where(rule_versions.c.name == name)
            if connection.scalar(versions.order_by(rule_versions.c.id.desc()).limit(1)) != digest:
                row = {"id": new_id(), "sha256": digest, "name": name, "added_at": now(), "added_by": who}
                connection.execute(rule_versions.insert(), row)
        return digest, found

    def rules(self) -> list[dict[str, Any]]:
        """Those that were added, oldest first, so that of one name the n-th is version n."""
        columns = (rule_versions.c[name] for name in ("sha256", "name", "added_at", "added_by"))
        wanted = select(*columns).order_by(rule_versions.c.id)
        seen: dict[str, int] = {}
        listed = []
        with reading(self.engine) as connection:
            for row in connection.execute(wanted).mappings():
                seen[row["name"]] = seen.get(row["name"], 0) + 1
                listed.append(dict(row) | {"version": seen[row["name"]]})
        return listed

    def rules_of(self, sha256: str) -> AcceptanceRules:
        """What rules of a hash say.

        Raises:
            UsageError: there are none.
        """
        with reading(self.engine) as connection:
            content = connection.scalar(select(rules.c.content).where(rules.c.sha256 == sha256))
        if content is None:
            raise UsageError(f"{sha256}: no rules of this home have this hash; GET /api/v1/rules lists them")
        return AcceptanceRules.model_validate_json(content)

    def activate(self, product: str, model: str, rules: str | None, who: str, why: str) -> Activation:
        """Let a model and rules judge a product from now on; what is being inspected ends as it began.

        Raises:
            CasaeError: model or rules cannot be used, or do not fit each other; nothing changes.
        """
        self._inspector(model, rules)  # ready before the first request needs it
        return self._activated(Activation(new_id(), now(), who, product, model, rules, why))

    def roll_back(self, product: str, who: str, why: str) -> Activation:
        """Let that judge a product which did before the last change that was not rolled back yet.

        Before its first activation a product had nothing of its own, and goes back to that.

        Raises:
            UsageError: there was nothing else, or somebody else changed it at the same moment.
            CasaeError: what was active then cannot be used any more; nothing changes.
        """
        stands: list[Activation] = []
        known = self.history(product, MOST_HISTORY)
        for each in reversed(known):
            if each.undoes is None:
                stands.append(each)
            elif stands:
                stands.pop()
        if not stands or (product == EVERY and len(stands) == 1):
            raise UsageError(f"{product or 'all products'}: nothing else was active before")
        last = stands.pop()
        model, rules = (stands[-1].model_sha256, stands[-1].rules_sha256) if stands else (None, None)
        if model is not None:
            self._inspector(model, rules)
        made = Activation(new_id(), now(), who, product, model, rules, why, last.id)
        newest = select(func.max(activations.c.id)).where(activations.c.product == product)
        with writing(self.engine) as connection:
            if connection.scalar(newest) != known[0].id:
                raise UsageError(f"{product or 'all products'}: somebody changed it just now; look again")
            connection.execute(activations.insert(), vars(made))
        return made

    def _activated(self, made: Activation) -> Activation:
        with writing(self.engine) as connection:
            connection.execute(activations.insert(), vars(made))
        return made

    def history(self, product: str | None = None, limit: int = 100) -> list[Activation]:
        """What was activated, of one product or of all, newest first."""
        query = select(activations).order_by(activations.c.id.desc()).limit(limit)
        with reading(self.engine) as connection:
            wanted = query if product is None else query.where(activations.c.product == product)
            return [Activation(**row) for row in connection.execute(wanted).mappings()]

    def judges(self) -> bool:
        """Whether a model is active, for any product."""
        newest = select(func.max(activations.c.id)).group_by(activations.c.product)
        wanted = select(activations.c.id).where(activations.c.id.in_(newest), activations.c.model_sha256.is_not(None))
        with reading(self.engine) as connection:
            return connection.scalar(wanted.limit(1)) is not None

    def active(self, product: str | None) -> Activation | None:
        """What judges a product now; None where nothing was activated."""
        for name in dict.fromkeys((product or EVERY, EVERY)):
            found = self.history(name, 1)
            if found and found[0].model_sha256 is not None:
                return found[0]
        return None

    def has_own(self, product: str) -> bool:
        """Whether a product is judged by something that was activated for it."""
        found = self.history(product, 1)
        return bool(found) and found[0].model_sha256 is not None

    def inspector(self, active: Activation) -> Inspector:
        """What judges by an activation.

        Raises:
            CasaeError: its model or rules are gone or damaged.
        """
        return self._inspector(str(active.model_sha256), active.rules_sha256)

    def inspector_of(self, model: str) -> Inspector:
        """What a model makes of a picture, by no rules.

        Raises:
            CasaeError: the model is gone or damaged.
        """
        return self._inspector(model, None)

    @contextmanager
    def _passing(self, data: bytes, name: str) -> Iterator[Path]:
        """A file as long as it is looked at.

        Raises:
            OutputError: the disk does not take it.
        """
        try:
            with tempfile.TemporaryDirectory(dir=self.home.passing) as place:
                file = Path(place) / name
                file.write_bytes(data)
                yield file
        except OSError as error:
            raise OutputError(f"{name}: cannot be written ({error.strerror}); free space, send it again") from error

    def _inspector(self, model: str, rules: str | None) -> Inspector:
        known = self._known(model, rules)
        if known is None:
            with self._loading:  # those that are there already are not held up by one that comes
                known = self._known(model, rules) or self._made(model, rules)
                with self._turn:
                    self._inspectors[model, rules] = known
                    while len(self._inspectors) > KEPT:
                        self._inspectors.popitem(last=False)
        return known

    def _known(self, model: str, rules: str | None) -> Inspector | None:
        with self._turn:
            known = self._inspectors.get((model, rules))
            if known is not None:
                self._inspectors.move_to_end((model, rules))
            return known

    def _made(self, model: str, rules: str | None) -> Inspector:
        judged_by = AcceptanceRules() if rules is None else self.rules_of(rules)
        with self._turn:
            same = next((each for (sha256, _), each in self._inspectors.items() if sha256 == model), None)
        return (same or Inspector(self._file(model), self.settings)).with_rules(judged_by)

    def _file(self, sha256: str) -> Path:
        file = self.home.model(sha256)
        if not file.is_file():
            raise UsageError(f"{sha256}: no model of this home has this hash; GET /api/v1/models lists them")
        return file
