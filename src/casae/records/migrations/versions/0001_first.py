"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "images",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("width_px", sa.Integer, nullable=False),
        sa.Column("height_px", sa.Integer, nullable=False),
        sa.UniqueConstraint("sha256", "source", name="uq_images_content"),
    )
    op.create_index("ix_images_name", "images", ["name"])
    op.create_table(
        "models", sa.Column("sha256", sa.String(64), primary_key=True), sa.Column("name", sa.Text, nullable=False)
    )
    op.create_table("rules", sa.Column("sha256", sa.String(64), primary_key=True), sa.Column("content", sa.Text))
    op.create_table(
        "inspections",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("known_by", sa.String(64), nullable=False, unique=True),
        sa.Column("image_id", sa.Integer, sa.ForeignKey("images.id", name="fk_inspections_image_id"), nullable=False),
        sa.Column(
            "model_sha256",
            sa.String(64),
            sa.ForeignKey("models.sha256", name="fk_inspections_model_sha256"),
            nullable=False,
        ),
        sa.Column(
            "rules_sha256",
            sa.String(64),
            sa.ForeignKey("rules.sha256", name="fk_inspections_rules_sha256"),
            nullable=False,
        ),
        *(sa.Column(name, sa.Text) for name in ("serial", "batch", "product", "station")),
        sa.Column("decision", sa.String(8), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("defects", sa.Integer, nullable=False),
        sa.Column("largest_px", sa.Integer, nullable=False),
        sa.Column("novelty", sa.Float),
        sa.Column("record", sa.Text, nullable=False),
    )
    for first in ("decision", "product", "serial", "batch", "image_id", "model_sha256"):
        op.create_index(f"ix_inspections_{first}_id", "inspections", [first, "id"])
    op.create_index("ix_inspections_product_decision_id", "inspections", ["product", "decision", "id"])
    op.create_table(
        "defects",
        sa.Column(
            "inspection_id",
            sa.String(36),
            sa.ForeignKey("inspections.id", name="fk_defects_inspection_id"),
            primary_key=True,
        ),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("class", sa.Text, nullable=False),
        sa.Column("first", sa.Boolean, nullable=False),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("area_px", sa.Integer, nullable=False),
        sa.Column("length_px", sa.Float, nullable=False),
        sa.Column("width_px", sa.Float, nullable=False),
        sa.Column("length_mm", sa.Float),
        sa.Column("area_mm2", sa.Float),
    )
    op.create_index("ix_defects_class_first_inspection_id", "defects", ["class", "first", "inspection_id"])
    op.create_table(
        "reviews",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column(
            "inspection_id",
            sa.String(36),
            sa.ForeignKey("inspections.id", name="fk_reviews_inspection_id"),
            nullable=False,
        ),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("at", "who")),
        *(sa.Column(name, sa.String(8), nullable=False) for name in ("old", "new")),
        sa.Column("why", sa.Text, nullable=False),
    )
    op.create_index("ix_reviews_inspection_id_id", "reviews", ["inspection_id", "id"])
    op.create_table(
        "counts",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("product", sa.Text, primary_key=True),
        sa.Column("model_sha256", sa.String(64), primary_key=True),
        sa.Column("decision", sa.String(8), primary_key=True),
        sa.Column("inspections", sa.Integer, nullable=False),
    )
