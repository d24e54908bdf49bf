"""Sign in and out, users, their tokens, and who changed what."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field, StringConstraints

from casae.service.api.values import Body, Id, Name, Text
from casae.service.problems import ProblemError, come_again, documented
from casae.service.state import SESSION, Admin, Service, SessionCookie, TheService, Viewer, address_of
from casae.service.who import (
    SHORTEST_PASSWORD,
    Role,
    add_user,
    all_users,
    audited,
    change_user,
    csrf_of,
    new_token,
    noted,
    revoke,
    sign_in,
    tokens_of,
)

router = APIRouter(prefix="/api/v1", tags=["users"])
Password = Annotated[str, StringConstraints(max_length=200)]
NewPassword = Annotated[str, StringConstraints(min_length=SHORTEST_PASSWORD, max_length=200)]


class SignIn(Body):
    """Name and password."""

    name: Name = Field(examples=["ann"])
    password: Password


class Session(BaseModel):
    """Who is signed in."""

    name: str
    role: Role
    csrf: str | None = Field(description="for the header X-CSRF-Token beside the cookie; null for a token")


class User(BaseModel):
    """A person or a program."""

    name: str
    role: Role
    created_at: str
    disabled: bool


class NewUser(Body):
    """A user to be made."""

    name: Name = Field(examples=["line-3"])
    role: Role
    password: NewPassword | None = Field(default=None, description="null: signs in by tokens alone")


class Change(Body):
    """What of a user changes; null stays."""

    role: Role | None = None
    password: NewPassword | None = None
    disabled: bool | None = None


class NewToken(Body):
    """A token to be made."""

    label: Text = Field(examples=["PLC of line 3"])
    days: int | None = Field(default=None, ge=1, le=3650, description="null: until it is revoked")


class Token(BaseModel):
    """A token, without its secret."""

    id: str
    label: str
    created_at: str
    expires_at: str | None


class Secret(BaseModel):
    """A token with its secret, which is said this once."""

    id: str
    token: str


class AuditLine(BaseModel):
    """Who changed what."""

    id: str
    at: str
    who: str
    address: str
    what: str
    subject: str
    detail: dict[str, Any]


@router.post("/session", responses=documented(429))
def begin(service: TheService, request: Request, response: Response, said: SignIn) -> Session:
    """Sign in as a person; the cookie of the answer holds the session."""
    return begin_session(service, request, response, said.name, said.password)


@router.get("/session", responses=documented())
def session(who: Viewer, secret: SessionCookie = None) -> Session:
    """Who is signed in."""
    return Session(name=who.name, role=who.role, csrf=csrf_of(secret) if secret and who.session else None)


@router.delete("/session", status_code=204, responses=documented())
def end(service: TheService, who: Viewer, response: Response) -> None:
    """Sign out."""
    if who.session is not None:
        revoke(service.engine, who.session)
    response.delete_cookie(SESSION)


@router.get("/users", responses=documented())
def users(service: TheService, who: Admin) -> list[User]:
    """Users, by name."""
    return [User.model_validate(vars(each)) for each in all_users(service.engine)]


@router.post("/users", status_code=201, responses=documented(409))
def add(service: TheService, who: Admin, wanted: NewUser) -> User:
    """Make a user."""
    if wanted.name in _names(service):
        raise ProblemError(409, f"{wanted.name}: there is a user of this name; choose another")
    made = add_user(service.engine, wanted.name, wanted.role, wanted.password)
    noted(service.engine, who, "added a user", wanted.name, role=wanted.role)
    return User.model_validate(vars(made))


@router.patch("/users/{name}", responses=documented(404))
def change(service: TheService, who: Admin, name: Name, wanted: Change) -> User:
    """Change a user. Who is disabled, or has a new password, signs in anew."""
    _check_known(service, name)
    made = change_user(service.engine, name, wanted.role, wanted.password, wanted.disabled)
    told = wanted.model_dump(exclude={"password"}, exclude_none=True) | {"new password": wanted.password is not None}
    noted(service.engine, who, "changed a user", name, **told)
    return User.model_validate(vars(made))


@router.get("/users/{name}/tokens", responses=documented(404))
def tokens(service: TheService, who: Admin, name: Name) -> list[Token]:
    """Tokens of a user that hold."""
    _check_known(service, name)
    return [Token.model_validate(each) for each in tokens_of(service.engine, name)]


@router.post("/users/{name}/tokens", status_code=201, responses=documented(404, 409))
def make_token(service: TheService, who: Admin, name: Name, wanted: NewToken) -> Secret:
    """Make a token, for a program."""
    _check_known(service, name)
    if next(each for each in all_users(service.engine) if each.name == name).disabled:
        raise ProblemError(409, f"{name}: is disabled, and no token of theirs would hold; enable them first")
    lasts = None if wanted.days is None else timedelta(days=wanted.days)
    key, secret = new_token(service.engine, name, wanted.label, lasts)
    noted(service.engine, who, "made a token", name, id=key, label=wanted.label)
    return Secret(id=key, token=secret)


@router.delete("/tokens/{key}", status_code=204, responses=documented(404))
def drop_token(service: TheService, who: Admin, key: Id) -> None:
    """A token holds no longer."""
    if not revoke(service.engine, key):
        raise ProblemError(
            404, f"{key}: no token of this id holds; GET /api/v1/users/NAME/tokens lists those of a user"
        )
    noted(service.engine, who, "revoked a token", key)


@router.get("/audit", responses=documented())
def audit(
    service: TheService, who: Admin, after: Id | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[AuditLine]:
    """Every change of models, rules, users and jobs, newest first."""
    return [AuditLine.model_validate(each) for each in audited(service.engine, after, limit)]


def begin_session(service: Service, request: Request, response: Response, name: str, password: str) -> Session:
    """Sign a person in, with a cookie of `response`.

    Raises:
        ProblemError: name or password is wrong, or there were too many tries.
    """
    right = sign_in(service.engine, name, password, address_of(request))
    if right is False:
        raise ProblemError(401, "name or password is wrong; try again, or ask an admin", {"WWW-Authenticate": "Cookie"})
    if right is not True:
        raise come_again(429, "too many wrong passwords; try again later", right)
    lasts = timedelta(hours=service.settings.session_hours)
    _, secret = new_token(service.engine, name, "session", lasts, "session")
    secure = request.url.scheme == "https"
    response.set_cookie(SESSION, secret, int(lasts.total_seconds()), httponly=True, samesite="strict", secure=secure)
    role = next(user.role for user in all_users(service.engine) if user.name == name)
    return Session(name=name, role=role, csrf=csrf_of(secret))


def _names(service: Service) -> set[str]:
    return {user.name for user in all_users(service.engine)}


def _check_known(service: Service, name: str) -> None:
    if name not in _names(service):
        raise ProblemError(404, f"{name}: there is no such user")
