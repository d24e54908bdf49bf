"""casae finds, outlines, crops, classifies and measures defects on surfaces (Tao et al. 2018).

>>> import casae
>>> model = casae.train("folder:my-part", "my-part.casae", minutes=20)  # doctest: +SKIP
>>> casae.evaluate("folder:my-part", model.file)  # doctest: +SKIP
>>> inspector = casae.Inspector(model.file, rules="rules.toml")  # doctest: +SKIP
>>> inspection = inspector.inspect("part.png")  # doctest: +SKIP
>>> inspection.verdict.decision, [defect.measures.length_px for defect in inspection.defects]  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from casae.config import InspectionSettings
    from casae.datasets.registry import open_dataset
    from casae.errors import (
        BundleError,
        CasaeError,
        DatasetError,
        ImageError,
        MissingExtraError,
        OutputError,
        UsageError,
    )
    from casae.evaluation.judgement import evaluate
    from casae.inspection.inspection import Defect, Inspection, Part
    from casae.inspection.inspector import Inspector
    from casae.inspection.rules import AcceptanceRules, read_rules
    from casae.training.api import train

_HOMES = {
    "AcceptanceRules": "casae.inspection.rules",
    "BundleError": "casae.errors",
    "CasaeError": "casae.errors",
    "DatasetError": "casae.errors",
    "Defect": "casae.inspection.inspection",
    "ImageError": "casae.errors",
    "Inspection": "casae.inspection.inspection",
    "InspectionSettings": "casae.config",
    "Inspector": "casae.inspection.inspector",
    "MissingExtraError": "casae.errors",
    "OutputError": "casae.errors",
    "Part": "casae.inspection.inspection",
    "UsageError": "casae.errors",
    "evaluate": "casae.evaluation.judgement",
    "open_dataset": "casae.datasets.registry",
    "read_rules": "casae.inspection.rules",
    "train": "casae.training.api",
}

__all__ = [
    "AcceptanceRules",
    "BundleError",
    "CasaeError",
    "DatasetError",
    "Defect",
    "ImageError",
    "Inspection",
    "InspectionSettings",
    "Inspector",
    "MissingExtraError",
    "OutputError",
    "Part",
    "UsageError",
    "evaluate",
    "open_dataset",
    "read_rules",
    "train",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `casae --help` needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'casae' has no attribute '{name}'")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        from casae.errors import MissingExtraError

        raise MissingExtraError.of(f"casae.{name} needs {error.name}", "train") from error
