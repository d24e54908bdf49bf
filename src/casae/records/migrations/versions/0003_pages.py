"""What people draw, what they say of defects, and what light and focus were like."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add columns and tables."""
    for name in ("brightness", "sharpness"):
        op.add_column("inspections", sa.Column(name, sa.Float))
    op.add_column("reviews", sa.Column("blind", sa.Boolean))
    op.add_column("reviews", sa.Column("findings", sa.Text))
    op.create_table(
        "labels",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("dataset", "picture", "track")),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        *_texts("at", "who", "file"),
    )
    op.create_table(
        "submissions",
        sa.Column("id", sa.String(36), primary_key=True),
        *_texts("dataset", "picture", "track"),
        sa.Column("version", sa.Integer, nullable=False),
        *_texts("at", "who", "file"),
    )
    op.create_index("ix_submissions_dataset_picture_id", "submissions", ["dataset", "picture", "id"])
    op.create_table(
        "baselines",
        sa.Column("id", sa.String(36), primary_key=True),
        *_texts("at", "who", "product", "since", "until"),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("parts", "ng", "defects")),
        *_texts("why"),
    )
    op.create_index("ix_baselines_product_id", "baselines", ["product", "id"])


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]
