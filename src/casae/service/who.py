"""Who may do what: users with a role, tokens of programs, sessions of browsers, and what they changed."""

import hashlib
import json
import re
import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Engine, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from casae.errors import RecordsError, UsageError
from casae.inspection.inspection import new_id
from casae.records.database import reading, writing
from casae.records.queries import first_id
from casae.records.schema import audit, tokens, users
from casae.records.store import note, now

Role = Literal["viewer", "operator", "engineer", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may what those before it may: look; inspect and review; models, rules, jobs; users."""

NAME = re.compile(r"[^\x00-\x1f\x7f/\\]{1,100}")  # that a path of the API can hold
RESERVED = ("local",)  # what is done without a login is done by
SHORTEST_PASSWORD = 10
TRIES, WITHIN = 5, timedelta(minutes=15)  # wrong passwords of a name from an address
TRIES_OF_ALL = 50  # of a name from all addresses, or of an address for all names
ONE_AT_A_TIME = threading.Lock()
REFUSED = "sign-in refused"
HASHER = PasswordHasher()  # argon2id, with the library's costs
NOBODYS = HASHER.hash(secrets.token_hex())  # is compared with where there is no such user: both take as long


@dataclass(frozen=True)
class Who:
    """Who asks.

    Attributes:
        name: of the user; "local" where nobody signs in.
        role: what it may.
        address: it comes from.
        session: id of the session of its browser, None for a program.
    """

    name: str
    role: Role
    address: str
    session: str | None = None

    def may(self, role: Role) -> bool:
        """Whether it has a role, or one above it."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class User:
    """A person or a program."""

    name: str
    role: Role
    created_at: str
    disabled: bool


def add_user(engine: Engine, name: str, role: Role, password: str | None = None) -> User:
    """A new user; without a password it signs in by tokens alone.

    Raises:
        UsageError: there is one of this name, it cannot be one, or the password is too short.
    """
    if not NAME.fullmatch(name) or name.strip(" .") != name or name in RESERVED:
        rule = "is no name for a user: 1 to 100 signs, no / and none at its ends that is not seen"
        raise UsageError(f"{name[:100]!r}: {rule}; choose another")
    row = {"name": name, "role": role, "password": _hashed(password), "created_at": now(), "disabled": False}
    try:
        with writing(engine) as connection:
            connection.execute(users.insert(), row)
    except RecordsError as error:
        if isinstance(error.__cause__, IntegrityError):
            raise UsageError(f"{name}: there is a user of this name; choose another") from error
        raise
    return User(name, role, str(row["created_at"]), False)


def change_user(
    engine: Engine, name: str, role: Role | None = None, password: str | None = None, disabled: bool | None = None
) -> User:
    """Change what is not None. Who is disabled or has a new password signs in anew.

    Raises:
        UsageError: there is no such user, the password is too short, or nobody would be left to look after users.
    """
    told = {"role": role, "password": _hashed(password), "disabled": disabled}
    values = {key: value for key, value in told.items() if value is not None}
    mine = users.c.name == name
    with writing(engine) as connection:
        connection.execute(select(users.c.name).where(users.c.role == "admin").with_for_update()).all()
        before = connection.execute(select(users).where(mine)).mappings().first()
        if values:
            connection.execute(update(users).where(mine).values(values))
        found = connection.execute(select(users).where(mine)).mappings().first()
        if found is None:
            raise UsageError(f"{name}: there is no such user")
        was_admin = before is not None and before["role"] == "admin" and not before["disabled"]
        admins = select(func.count()).select_from(users).where(users.c.role == "admin", ~users.c.disabled)
        if was_admin and not connection.scalar(admins):
            raise UsageError(f"{name}: is the last admin; make another one first")
        if disabled or password:
            out = (
                tokens.c.user_name == name if disabled else (tokens.c.user_name == name) & (tokens.c.kind == "session")
            )
            connection.execute(update(tokens).where(out).values(revoked=True))
    return User(found["name"], found["role"], found["created_at"], bool(found["disabled"]))


def all_users(engine: Engine) -> list[User]:
    """By name."""
    with reading(engine) as connection:
        rows = connection.execute(select(users).order_by(users.c.name)).mappings().all()
    return [User(row["name"], row["role"], row["created_at"], bool(row["disabled"])) for row in rows]


def new_token(
    engine: Engine, name: str, label: str, lasts: timedelta | None, kind: Literal["token", "session"] = "token"
) -> tuple[str, str]:
    """Id and secret, which is kept as a hash alone: it is said once.

    Raises:
        UsageError: there is no such user, or they are disabled.
    """
    secret, key = f"casae_{secrets.token_urlsafe(32)}", new_id()
    ends = None if lasts is None else (datetime.now(UTC) + lasts).isoformat(timespec="milliseconds")
    row = {"id": key, "sha256": _digest(secret), "user_name": name, "kind": kind, "label": label, "revoked": False}
    with writing(engine) as connection:
        found = connection.execute(select(users.c.disabled).where(users.c.name == name)).first()
        if found is None:
            raise UsageError(f"{name}: there is no such user")
        if found.disabled:
            raise UsageError(f"{name}: is disabled, and no token of theirs would hold; enable them first")
        connection.execute(tokens.insert(), row | {"created_at": now(), "expires_at": ends})
    return key, secret


def tokens_of(engine: Engine, name: str) -> list[dict[str, Any]]:
    """Tokens of a user that hold, without their secrets."""
    columns = (tokens.c.id, tokens.c.label, tokens.c.created_at, tokens.c.expires_at)
    holds = or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now())
    mine = (tokens.c.user_name == name, tokens.c.kind == "token", ~tokens.c.revoked, holds)
    with reading(engine) as connection:
        rows = connection.execute(select(*columns).where(*mine).order_by(tokens.c.id)).mappings().all()
    return [dict(row) for row in rows]


def revoke(engine: Engine, key: str) -> bool:
    """A token or session holds no longer; whether it did."""
    with writing(engine) as connection:
        holds = tokens.c.id == key, ~tokens.c.revoked
        return bool(connection.execute(update(tokens).where(*holds).values(revoked=True)).rowcount)


def who_has(engine: Engine, secret: str, kind: str, address: str) -> Who | None:
    """Who a token or session belongs to; None where it does not hold."""
    wanted = select(tokens.c.id, tokens.c.expires_at, users.c.name, users.c.role).join(users)
    mine = (tokens.c.sha256 == _digest(secret), tokens.c.kind == kind, ~tokens.c.revoked, ~users.c.disabled)
    with reading(engine) as connection:
        row = connection.execute(wanted.where(*mine)).first()
    if row is None or (row.expires_at is not None and row.expires_at < now()):
        return None
    return Who(row.name, row.role, address, row.id if kind == "session" else None)


def sign_in(engine: Engine, name: str, password: str, address: str) -> bool | float:
    """Whether the password is right; seconds to wait where there were too many wrong ones."""
    with ONE_AT_A_TIME:  # a hash takes 64 MB, and tries at once must not outrun the count
        if not _may_try(engine, name, address):
            return WITHIN.total_seconds()
        with reading(engine) as connection:
            known = connection.scalar(select(users.c.password).where(users.c.name == name, ~users.c.disabled))
        right = False
        with suppress(VerificationError, InvalidHashError):
            right = HASHER.verify(known or NOBODYS, password) and known is not None
        noted(engine, Who(name, "viewer", address), "signed in" if right else REFUSED, name)
    return right


def csrf_of(secret: str) -> str:
    """What a page must say beside the cookie of its session."""
    return _digest(f"csrf {secret}")


def noted(engine: Engine, who: Who, what: str, subject: str, **detail: object) -> None:
    """A line of the audit list.

    Raises:
        RecordsError: the database does not take it.
    """
    note(engine, who.name, who.address, what, subject, detail)


def audited(engine: Engine, after: str | None, limit: int) -> list[dict[str, Any]]:
    """The newest lines of the audit list, or those that follow one."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    with reading(engine) as connection:
        rows = connection.execute(query.where(audit.c.id < after) if after else query).mappings().all()
    return [dict(row) | {"detail": json.loads(row["detail"])} for row in rows]


def _may_try(engine: Engine, name: str, address: str) -> bool:
    begin = first_id(datetime.now(UTC) - WITHIN)
    wanted = select(audit.c.subject, audit.c.address).where(audit.c.what == REFUSED, audit.c.id >= begin)
    with reading(engine) as connection:
        tried = connection.execute(wanted).all()
    of_name = [where for subject, where in tried if subject == name]
    of_address = sum(where == address for _, where in tried)
    return of_name.count(address) < TRIES and max(len(of_name), of_address) < TRIES_OF_ALL


def _hashed(password: str | None) -> str | None:
    if password is None:
        return None
    if len(password) < SHORTEST_PASSWORD:
        raise UsageError(f"password: has {len(password)} characters; {SHORTEST_PASSWORD} are needed")
    return HASHER.hash(password)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
