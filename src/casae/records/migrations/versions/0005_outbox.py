"""Who is told what is kept, the class that decided, and from when on nothing was dropped."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add tables, and take the class that decided out of the records."""
    op.add_column("inspections", sa.Column("decided_class", sa.Text))
    is_server = op.get_bind().dialect.name == "postgresql"
    inside = "record::json -> 'decided_by' ->> 'class'" if is_server else "json_extract(record, '$.decided_by.class')"
    op.execute(f"UPDATE inspections SET decided_class = {inside}")
    op.create_table(
        "prunings",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("before", sa.Text, nullable=False),
    )
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
