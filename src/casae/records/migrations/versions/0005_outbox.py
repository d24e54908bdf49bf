"""Who is told what is kept, and what they were not told yet."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "subscribers",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("since", sa.Text, nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column(
            "subscriber",
            sa.Text,
            sa.ForeignKey("subscribers.name", name="fk_outbox_subscriber"),
            primary_key=True,
        ),
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column(
            "inspection_id",
            sa.String(36),
            sa.ForeignKey("inspections.id", name="fk_outbox_inspection_id"),
            nullable=False,
        ),
    )
    op.create_index("ix_outbox_inspection_id", "outbox", ["inspection_id"])
