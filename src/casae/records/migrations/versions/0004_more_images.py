"""Numbers of images that a server does not run out of: four bytes are full after two billion pictures."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Widen them; a file of SQLite has wide ones already."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.alter_column("images", "id", type_=sa.BigInteger)
    op.alter_column("inspections", "image_id", type_=sa.BigInteger)
    op.execute("ALTER SEQUENCE images_id_seq AS bigint")
