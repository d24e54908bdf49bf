"""Models and acceptance rules of the home, and which of them judge a product."""

from typing import Annotated, Any

from fastapi import APIRouter, File, Query, Request, Response, UploadFile
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from casae.errors import UsageError
from casae.models.bundle import Bundle
from casae.service.api.values import Body, Name, Sha256, Text
from casae.service.problems import ProblemError, documented
from casae.service.state import Engineer, Service, TheService, Viewer
from casae.service.who import Who, noted

router = APIRouter(prefix="/api/v1", tags=["models and rules"])
TOML: dict[str, Any] = {
    "content": {"application/toml": {"schema": {"type": "string"}, "example": "[[rule]]\nmax_count = 2\n"}}
}


class Model(BaseModel):
    """A model of the home."""

    sha256: str
    name: str
    added_at: str
    added_by: str


class WholeModel(BaseModel):
    """A model and what it says of itself."""

    sha256: str
    name: str
    classes: list[str]
    card: str = Field(description="Markdown")
    scores: dict[str, dict[str, float | None]] = Field(description="part of the data -> score -> value")


class RulesVersion(BaseModel):
    """Acceptance rules of the home; those of one name are its versions."""

    sha256: str
    name: str
    version: int
    added_at: str
    added_by: str


class WholeRules(BaseModel):
    """Acceptance rules and what they say."""

    sha256: str
    content: dict[str, Any]


class Activation(BaseModel):
    """What judges a product from a moment on."""

    id: str
    at: str
    who: str
    product: str = Field(description="empty: every product that has nothing of its own")
    model_sha256: str | None = Field(description="null: the product has nothing of its own any more")
    rules_sha256: str | None = Field(description="null accepts no defect")
    why: str
    undoes: str | None = Field(description="the activation that this one rolls back")


class NewActivation(Body):
    """What shall judge a product."""

    product: Text = Field(default="", examples=["ring"])
    model_sha256: Sha256
    rules_sha256: Sha256 | None = Field(
        default=None, description="left out: the rules that judge the product now; null: no defect is accepted"
    )
    why: Text = Field(default="", examples=["trained with 40 more pictures"])


class RollBack(Body):
    """That shall judge which did before the last change."""

    product: Text = Field(default="", examples=["ring"])
    why: Text = Field(default="", examples=["rejects good parts"])


@router.get("/models", responses=documented())
def models(service: TheService, who: Viewer) -> list[Model]:
    """Models, newest first."""
    return [Model.model_validate(each) for each in service.catalogue.models()]


@router.post(
    "/models", status_code=201, responses=documented() | {200: {"model": WholeModel, "description": "Was there"}}
)
def add_model(
    service: TheService,
    who: Engineer,
    response: Response,
    model: Annotated[UploadFile, File(description="NAME.casae")],
) -> WholeModel:
    """Add a model. It judges nothing before it is activated; the same one again changes nothing."""
    known = {each["sha256"] for each in service.catalogue.models()}
    bundle = service.catalogue.add_model(model.file.read(), who.name)
    if bundle.sha256 in known:
        response.status_code = 200
    else:
        noted(service.engine, who, "added a model", bundle.sha256, name=bundle.manifest.name)
    return _whole(bundle)


@router.get("/models/{sha256}", responses=documented(404))
def model(service: TheService, who: Viewer, sha256: Sha256) -> WholeModel:
    """A model with its card."""
    return _whole(_bundle(service, sha256))


@router.get(
    "/models/{sha256}/file",
    response_class=Response,
    responses=documented(404)
    | {200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}},
)
def model_file(service: TheService, who: Engineer, sha256: Sha256) -> Response:
    """The .casae file, for another machine."""
    bundle = _bundle(service, sha256)
    data = service.home.model(sha256).read_bytes()
    name = f'attachment; filename="{bundle.sha256[:12]}.casae"'
    return Response(data, media_type="application/zip", headers={"Content-Disposition": name})


@router.get("/rules", responses=documented())
def rules(service: TheService, who: Viewer) -> list[RulesVersion]:
    """Acceptance rules, oldest first."""
    return [RulesVersion.model_validate(each) for each in service.catalogue.rules()]


@router.post(
    "/rules",
    status_code=201,
    responses=documented(415),
    openapi_extra={"requestBody": TOML | {"required": True}},
)
async def add_rules(service: TheService, who: Engineer, request: Request, name: Name) -> WholeRules:
    """Add acceptance rules, as casae inspect reads them; of the same name, the next version."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/toml":
        raise ProblemError(415, "rules are TOML; send them with Content-Type: application/toml")
    content = await request.body()
    return await run_in_threadpool(_add_rules, service, who, content, name)


@router.get("/rules/{sha256}", responses=documented(404))
def rules_of(service: TheService, who: Viewer, sha256: Sha256) -> WholeRules:
    """What rules say, also those that judged an inspection and were never added."""
    try:
        found = service.catalogue.rules_of(sha256)
    except UsageError as error:
        raise ProblemError(404, str(error)) from error
    return WholeRules(sha256=sha256, content=found.model_dump(mode="json", by_alias=True))


@router.get("/activations", responses=documented())
def activations(
    service: TheService,
    who: Viewer,
    product: Annotated[Text | None, Query(description="of this one; empty: of all others")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[Activation]:
    """What was activated, newest first: of a product the first is what judges now."""
    return [Activation.model_validate(vars(each)) for each in service.catalogue.history(product, limit)]


@router.post("/activations", status_code=201, responses=documented(404))
def activate(service: TheService, who: Engineer, wanted: NewActivation) -> Activation:
    """Let a model and rules judge a product from now on. No request is dropped: what began ends as it began."""
    _bundle(service, wanted.model_sha256)
    rules = wanted.rules_sha256
    if "rules_sha256" not in wanted.model_fields_set:
        now = service.catalogue.active(wanted.product)
        rules = now.rules_sha256 if now else None
    made = service.catalogue.activate(wanted.product, wanted.model_sha256, rules, who.name, wanted.why)
    noted(service.engine, who, "activated", wanted.product, **wanted.model_dump() | {"rules_sha256": rules})
    return Activation.model_validate(vars(made))


@router.post("/activations/rollback", status_code=201, responses=documented(409))
def roll_back(service: TheService, who: Engineer, wanted: RollBack) -> Activation:
    """Let that judge a product which did before the last change; again, that before it.

    Before its first activation a product was judged by that of product "", and is so again.
    """
    try:
        made = service.catalogue.roll_back(wanted.product, who.name, wanted.why)
    except UsageError as error:
        raise ProblemError(409, str(error)) from error
    noted(service.engine, who, "rolled back", wanted.product, model_sha256=made.model_sha256, why=wanted.why)
    return Activation.model_validate(vars(made))


def _add_rules(service: Service, who: Who, content: bytes, name: str) -> WholeRules:
    digest, found = service.catalogue.add_rules(content, name, who.name)
    noted(service.engine, who, "added rules", digest, name=name)
    return WholeRules(sha256=digest, content=found.model_dump(mode="json", by_alias=True))


def _bundle(service: Service, sha256: str) -> Bundle:
    try:
        return service.catalogue.bundle(sha256)
    except UsageError as error:
        raise ProblemError(404, str(error)) from error


def _whole(bundle: Bundle) -> WholeModel:
    manifest = bundle.manifest
    return WholeModel(
        sha256=bundle.sha256,
        name=manifest.name,
        classes=list(manifest.classes),
        card=bundle.card,
        scores=manifest.scores,
    )
