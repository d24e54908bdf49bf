"""Build the site strictly into `site/`, so that it is read without a network: `make docs`."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SITE = ROOT / "site"
SHIM = "https://unpkg.com/iframe-worker/shim"  # lets the search run from files; we carry it ourselves
LOADED = re.compile(r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=\"(https?:[^\"]+)\"")
HARMLESS = ("canonical", "alternate")  # links of these kinds load nothing


def main() -> int:
    """Build; 1 where a link is dead or a page loads something from the network."""
    zensical = [str(Path(sys.executable).with_name("zensical")), "build", "--clean", "--strict"]
    built = subprocess.run(zensical, cwd=ROOT, check=False, capture_output=True, text=True)
    if built.returncode:
        print(built.stdout, built.stderr[:4000])
        return 1
    loaded = []
    for page in SITE.rglob("*.html"):
        up = "../" * (len(page.relative_to(SITE).parts) - 1)
        html = page.read_text("utf-8").replace(SHIM, f"{up}vendor/iframe-worker.js")
        page.write_text(html, "utf-8")
        loaded += [
            f"{page.relative_to(SITE)}: loads {match[1]}"
            for match in LOADED.finditer(html)
            if not any(kind in match[0] for kind in HARMLESS)
        ]
    print(
        "\n".join(loaded) or f"site/index.html: {len(list(SITE.rglob('*.html')))} pages, nothing loaded from elsewhere"
    )
    return bool(loaded)


if __name__ == "__main__":
    sys.exit(main())
