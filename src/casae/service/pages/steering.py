"""Pages of models, limits and statistics."""

from fastapi import APIRouter, Request, Response

from casae.records.aggregates import SIZES, products
from casae.service.api.labels import projects
from casae.service.api.values import Text
from casae.service.pages.views import shown
from casae.service.state import TheService, Viewer

router = APIRouter(include_in_schema=False)


@router.get("/models")
def models(request: Request, service: TheService, who: Viewer, project: Text = "", model: Text = "") -> Response:
    """Models, what they judge, which is better, and where limits should lie."""
    there, history = service.catalogue.models(), service.catalogue.history(None, 200)
    judges: dict[str | None, list[str]] = {}
    for product in dict.fromkeys(each.product for each in history):
        now = next(each for each in history if each.product == product)
        judges.setdefault(now.model_sha256, []).append(product)
    active = service.catalogue.active(project or None)
    return shown(
        request,
        "models",
        models=there,
        judges=judges,
        rules=service.catalogue.rules(),
        products=products(service.engine),
        projects=projects(service, who),
        project=project,
        chosen=model,
        active=active.model_sha256 if active else "",
        measures=SIZES,
        history=history[:20],
        names={each["sha256"]: each["name"] for each in there},
    )


@router.get("/statistics")
def statistics(request: Request, service: TheService, who: Viewer, product: Text = "") -> Response:
    """Charts of what was inspected."""
    return shown(request, "statistics", products=products(service.engine), product=product)
