"""How schemathesis sends TOML; it loads this by SCHEMATHESIS_HOOKS."""

import schemathesis


@schemathesis.serializer("application/toml")
def toml(context, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
