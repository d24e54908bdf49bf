"""casae finds, outlines, crops, classifies and measures defects on surfaces (Tao et al. 2018).

>>> from casae import Inspector
>>> inspection = Inspector("component").inspect(picture)  # doctest: +SKIP
>>> [(defect.name, defect.measures.length_px) for defect in inspection.defects]  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from casae.config import InspectionSettings
    from casae.errors import (
        BundleError,
        CasaeError,
        DatasetError,
        ImageError,
        MissingExtraError,
        OutputError,
        UsageError,
    )
    from casae.inspection.inspection import Defect, Inspection
    from casae.inspection.inspector import Inspector
    from casae.inspection.verdict import AcceptanceRules

_HOMES = {
    "AcceptanceRules": "casae.inspection.verdict",
    "BundleError": "casae.errors",
    "CasaeError": "casae.errors",
    "DatasetError": "casae.errors",
    "Defect": "casae.inspection.inspector",
    "ImageError": "casae.errors",
    "Inspection": "casae.inspection.inspector",
    "InspectionSettings": "casae.config",
    "Inspector": "casae.inspection.inspector",
    "MissingExtraError": "casae.errors",
    "OutputError": "casae.errors",
    "UsageError": "casae.errors",
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
    "UsageError",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `casae --help` needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'casae' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
