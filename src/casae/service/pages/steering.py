"""Pages of models, limits and statistics."""

from fastapi import APIRouter, Request, Response

from casae.records.aggregates import products
from casae.service.api.values import Text
from casae.service.pages.views import shown
from casae.service.state import TheService, Viewer

router = APIRouter(include_in_schema=False)


@router.get("/statistics")
def statistics(request: Request, service: TheService, who: Viewer, product: Text = "") -> Response:
    """Charts of what was inspected."""
    return shown(request, "statistics", products=products(service.engine), product=product)
