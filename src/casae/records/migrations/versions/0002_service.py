"""What watching and serving need: where pictures are kept, failures, active models, jobs, users, what they changed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add columns and tables."""
    for table, column in (
        ("images", sa.Column("camera", sa.Text)),
        ("images", sa.Column("taken_at", sa.Text)),
        ("images", sa.Column("modified_ns", sa.BigInteger)),
        ("images", sa.Column("path", sa.Text)),
        ("models", sa.Column("card", sa.Text)),
        ("models", sa.Column("added_at", sa.Text)),
        ("models", sa.Column("added_by", sa.Text)),
        ("rules", sa.Column("name", sa.Text)),
        ("rules", sa.Column("added_at", sa.Text)),
        ("rules", sa.Column("added_by", sa.Text)),
        ("inspections", sa.Column("recipe", sa.Text)),
    ):
        op.add_column(table, column)
    for name in ("station", "recipe"):
        op.create_index(f"ix_inspections_{name}_id", "inspections", [name, "id"])
    op.create_table(
        "failures",
        _id(),
        sa.Column("known_by", sa.String(64), nullable=False, unique=True),
        *_texts("at", "source", "reason"),
    )
    op.create_table(
        "activations",
        _id(),
        *_texts("at", "who", "product"),
        sa.Column("model_sha256", sa.String(64)),
        sa.Column("rules_sha256", sa.String(64)),
        sa.Column("undoes", sa.String(36)),
        *_texts("why"),
    )
    op.create_index("ix_activations_product_id", "activations", ["product", "id"])
    op.create_table(
        "jobs",
        _id(),
        *_texts("kind", "arguments", "who", "state", "created_at"),
        *(sa.Column(name, sa.Text) for name in ("started_at", "ended_at")),
        sa.Column("progress", sa.Float, nullable=False),
        *_texts("stage"),
        sa.Column("error", sa.Text),
        sa.Column("result", sa.Text),
        sa.Column("cancel", sa.Boolean, nullable=False),
        *_texts("home"),
    )
    op.create_index("ix_jobs_state_id", "jobs", ["state", "id"])
    op.create_table(
        "users",
        sa.Column("name", sa.Text, primary_key=True),
        *_texts("role"),
        sa.Column("password", sa.Text),
        *_texts("created_at"),
        sa.Column("disabled", sa.Boolean, nullable=False),
    )
    op.create_table(
        "tokens",
        _id(),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("user_name", sa.Text, sa.ForeignKey("users.name", name="fk_tokens_user_name"), nullable=False),
        *_texts("kind", "label", "created_at"),
        sa.Column("expires_at", sa.Text),
        sa.Column("revoked", sa.Boolean, nullable=False),
    )
    op.create_index("ix_tokens_user_name_id", "tokens", ["user_name", "id"])
    op.create_table("audit", _id(), *_texts("at", "who", "address", "what", "subject", "detail"))
    op.create_index("ix_audit_what_subject_id", "audit", ["what", "subject", "id"])


def _id() -> sa.Column[str]:
    return sa.Column("id", sa.String(36), primary_key=True)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]
