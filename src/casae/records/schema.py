"""The tables. What was found or said is never changed: an inspection or a review that follows is a new row.

`records/migrations` makes them; a test holds that both say the same.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

NAMES = {"ix": "ix_%(table_name)s_%(column_0_N_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s"}
SHA256, UUID, SHORT = String(64), String(36), String(8)
NUMBER = BigInteger().with_variant(Integer, "sqlite")  # which counts by itself in columns of its own type alone
metadata = MetaData(naming_convention=NAMES)

images = Table(
    "images",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("sha256", SHA256, nullable=False),
    Column("source", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("bytes", BigInteger),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("camera", Text),
    Column("taken_at", Text),
    Column("modified_ns", BigInteger),  # of the file, which tells cheaply whether it is still the same
    Column("path", Text),  # where the picture is kept, where that is not `source`
    UniqueConstraint("sha256", "source", name="uq_images_content"),
    Index(None, "name"),
)

models = Table(
    "models",
    metadata,
    Column("sha256", SHA256, primary_key=True),
    Column("name", Text, nullable=False),
    Column("card", Text),
    Column("added_at", Text),  # where somebody put it into the home of a service
    Column("added_by", Text),
)

rules = Table(
    "rules",
    metadata,
    Column("sha256", SHA256, primary_key=True),
    Column("content", Text),
)

rule_versions = Table(  # names that rules were added under: of one name the n-th is version n
    "rule_versions",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("sha256", ForeignKey("rules.sha256"), nullable=False),
    Column("name", Text, nullable=False),
    Column("added_at", Text, nullable=False),
    Column("added_by", Text, nullable=False),
    Index(None, "name", "id"),
)

inspections = Table(
    "inspections",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("known_by", SHA256, nullable=False, unique=True),
    Column("image_id", ForeignKey("images.id"), nullable=False),
    Column("model_sha256", ForeignKey("models.sha256"), nullable=False),
    Column("rules_sha256", ForeignKey("rules.sha256"), nullable=False),
    Column("serial", Text),
    Column("batch", Text),
    Column("product", Text),
    Column("station", Text),
    Column("recipe", Text),
    Column("decision", SHORT, nullable=False),
    Column("kind", Text, nullable=False),
    Column("decided_class", Text),  # of the defects that decided
    Column("defects", Integer, nullable=False),
    Column("largest_px", Integer, nullable=False),
    Column("novelty", Float),
    Column("brightness", Float),
    Column("sharpness", Float),
    Column("record", Text, nullable=False),
    Index(None, "decision", "id"),
    Index(None, "product", "id"),
    Index(None, "product", "decision", "id"),
    Index(None, "serial", "id"),
    Index(None, "batch", "id"),
    Index(None, "station", "id"),
    Index(None, "recipe", "id"),
    Index(None, "image_id", "id"),
    Index(None, "model_sha256", "id"),
)

defects = Table(
    "defects",
    metadata,
    Column("inspection_id", ForeignKey("inspections.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("class", Text, nullable=False),
    Column("first", Boolean, nullable=False),  # of its class in the picture: lists of a class join to these alone
    Column("probability", Float, nullable=False),
    Column("area_px", Integer, nullable=False),
    Column("length_px", Float, nullable=False),
    Column("width_px", Float, nullable=False),
    Column("length_mm", Float),
    Column("area_mm2", Float),
    Index(None, "class", "first", "inspection_id"),
)

reviews = Table(
    "reviews",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("inspection_id", ForeignKey("inspections.id"), nullable=False),
    Column("at", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("old", SHORT, nullable=False),
    Column("new", SHORT, nullable=False),
    Column("why", Text, nullable=False),
    Column("blind", Boolean),  # who said it did not see what casae had decided
    Column("findings", Text),  # JSON: what the defects truly are, and which were missed
    Index(None, "inspection_id", "id"),
)

counts = Table(
    "counts",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("product", Text, primary_key=True),
    Column("model_sha256", SHA256, primary_key=True),
    Column("decision", SHORT, primary_key=True),
    Column("inspections", Integer, nullable=False),
)

failures = Table(
    "failures",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("known_by", SHA256, nullable=False, unique=True),
    Column("at", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

activations = Table(
    "activations",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("at", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("product", Text, nullable=False),  # empty: what has none of its own
    Column("model_sha256", SHA256),  # none: the product has nothing of its own any more
    Column("rules_sha256", SHA256),  # none: no defect is accepted
    Column("undoes", UUID),  # the activation that is rolled back
    Column("why", Text, nullable=False),
    Index(None, "product", "id"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("arguments", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("started_at", Text),
    Column("ended_at", Text),
    Column("progress", Float, nullable=False),
    Column("stage", Text, nullable=False),
    Column("error", Text),
    Column("result", Text),
    Column("cancel", Boolean, nullable=False),
    Column("home", Text, nullable=False),  # whose runner does it: its files lie there
    Index(None, "state", "id"),
)

labels = Table(  # what is being drawn: the present state of each picture
    "labels",
    metadata,
    Column("dataset", Text, primary_key=True),
    Column("picture", Text, primary_key=True),
    Column("track", Text, primary_key=True),  # empty, or who gives a second opinion
    Column("version", Integer, nullable=False),
    Column("state", SHORT, nullable=False),  # draft or done
    Column("at", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("file", Text, nullable=False),
)

submissions = Table(  # every label that was submitted
    "submissions",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("dataset", Text, nullable=False),
    Column("picture", Text, nullable=False),
    Column("track", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("file", Text, nullable=False),
    Index(None, "dataset", "picture", "id"),
)

baselines = Table(  # stretches of time that tell what is usual of a product; the newest one counts
    "baselines",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("at", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("product", Text, nullable=False),  # empty: all of them together
    Column("since", Text, nullable=False),
    Column("until", Text, nullable=False),
    Column("parts", Integer, nullable=False),  # as they were then: records may go, limits stay
    Column("ng", Integer, nullable=False),
    Column("defects", Integer, nullable=False),
    Column("why", Text, nullable=False),
    Index(None, "product", "id"),
)

prunings = Table(  # what was inspected before is not whole any more
    "prunings",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("at", Text, nullable=False),
    Column("before", Text, nullable=False),
)

subscribers = Table(  # who is told of each inspection and review from then on
    "subscribers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("since", Text, nullable=False),
)

outbox = Table(  # what they were not told yet
    "outbox",
    metadata,
    Column("subscriber", ForeignKey("subscribers.name"), primary_key=True),
    Column("id", UUID, primary_key=True),  # of the review, or of the inspection itself
    Column("inspection_id", ForeignKey("inspections.id"), nullable=False),
    Index(None, "inspection_id"),
)

users = Table(
    "users",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("password", Text),  # argon2; none: signs in by tokens alone
    Column("created_at", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("sha256", SHA256, nullable=False, unique=True),
    Column("user_name", ForeignKey("users.name"), nullable=False),
    Column("kind", Text, nullable=False),  # token, or session of a browser
    Column("label", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("expires_at", Text),
    Column("revoked", Boolean, nullable=False),
    Index(None, "user_name", "id"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("at", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index(None, "what", "subject", "id"),
)
