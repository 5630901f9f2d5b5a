"""Makes the wheel (PEP 517) with nothing but Python: one pure package, as pyproject.toml names it."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = "savepoint_gateway_client"
WHEEL = "Wheel-Version: 1.0\nGenerator: savepoint\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def get_requires_for_build_wheel(config_settings: object = None) -> list[str]:
    return []


def build_wheel(wheel_directory: str, config_settings: object = None, metadata_directory: str | None = None) -> str:
    facts = _project()
    info = f"{PACKAGE}-{facts['version']}.dist-info"
    files = {f"{PACKAGE}/{path.name}": path.read_bytes() for path in sorted((HERE / PACKAGE).glob("*.py"))}
    files[f"{info}/METADATA"] = _metadata(facts).encode()
    files[f"{info}/WHEEL"] = WHEEL.encode()
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files.items())
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    name = f"{PACKAGE}-{facts['version']}-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory, name), "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in files.items():
            # The same files make the same wheel, whenever it is made.
            wheel.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), data)
    return name


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _project() -> dict[str, str]:
    """Plain `name = "text"` lines are enough here; Python 3.10 has no parser of TOML."""
    text = (HERE / "pyproject.toml").read_text("utf8")
    facts = dict(re.findall(r'^([\w-]+) = "(.*)"$', text, re.MULTILINE))
    listed = re.search(r"^dependencies = \[(.*)\]$", text, re.MULTILINE)
    return {**facts, "dependencies": listed.group(1) if listed else ""}


def _metadata(facts: dict[str, str]) -> str:
    needed = re.findall(r'"([^"]+)"', facts["dependencies"])
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {facts['name']}",
        f"Version: {facts['version']}",
        f"Summary: {facts['description']}",
        f"License-Expression: {facts['license']}",
        f"Requires-Python: {facts['requires-python']}",
        *(f"Requires-Dist: {each}" for each in needed),
    ]
    return "\n".join(lines) + "\n"
