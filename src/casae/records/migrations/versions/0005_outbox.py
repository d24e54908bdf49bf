"""Who is told what is kept; the class that decided; from when on nothing was dropped; several names of rules."""

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
        "rule_versions",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column(
            "sha256",
            sa.String(64),
            sa.ForeignKey("rules.sha256", name="fk_rule_versions_sha256"),
            nullable=False,
        ),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("name", "added_at", "added_by")),
    )
    op.create_index("ix_rule_versions_name_id", "rule_versions", ["name", "id"])
    # Ids before all of now, in the order that they were shown in.
    added = "'00000000-0000-7000-8000-' || substr('00000000000' || row_number() OVER (ORDER BY added_at, sha256), -12)"
    if is_server:
        added = "'00000000-0000-7000-8000-' || lpad((row_number() OVER (ORDER BY added_at, sha256))::text, 12, '0')"
    op.execute(
        "INSERT INTO rule_versions (id, sha256, name, added_at, added_by)"
        f" SELECT {added}, sha256, name, added_at, added_by FROM rules WHERE added_at IS NOT NULL"
    )
    for name in ("name", "added_at", "added_by"):
        op.drop_column("rules", name)
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
