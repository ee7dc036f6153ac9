"""Build hook: compiles the modules that `pyproject.toml` lists with mypyc, into the wheel.

It is off by default; `make wheel` switches it on by `HATCH_BUILD_HOOK_ENABLE_CUSTOM`. What is
compiled is a copy, so that a checkout stays what it is: interpreted. The wheel has the sources too;
Python takes a compiled module before its source.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

GROUP = "tillbell_compiled"  # the library in which all compiled modules are
_MYPY = """[mypy]
mypy_path = src
namespace_packages = True
explicit_package_bases = True
follow_imports = silent
ignore_missing_imports = True
"""


class CustomBuildHook(BuildHookInterface[Any]):
    """Adds compiled modules to a wheel for this platform and this version of Python."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and name what is compiled as a part of the wheel."""
        if self.target_name != "wheel" or version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory(prefix="tillbell-wheel-")
        folder = Path(self._folder.name)
        shutil.copytree(
            Path(self.root, "src"), folder / "src", ignore=shutil.ignore_patterns("__pycache__")
        )
        (folder / "mypy.ini").write_text(_MYPY)
        modules = self.config["modules"]
        subprocess.run([sys.executable, __file__, *modules], cwd=folder, check=True)  # noqa: S603 - our own program
        for library in (folder / "src").rglob("*.so"):
            build_data["force_include"][str(library)] = str(library.relative_to(folder / "src"))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the copy."""
        del build_data, artifact_path
        if self.target_name == "wheel" and version != "editable":
            self._folder.cleanup()


def compile_modules(modules: list[str]) -> None:
    """Compile modules beside their sources, in the folder where this runs."""
    from mypyc.build import mypycify
    from setuptools import setup

    paths = [f"src/{module.replace('.', '/')}.py" for module in modules]
    extensions = mypycify(
        ["--config-file=mypy.ini", *paths],
        opt_level=os.environ.get("TILLBELL_WHEEL_OPT_LEVEL", "2"),
        debug_level="0",
        group_name=GROUP,
        multi_file=True,
    )
    setup(
        name=GROUP,
        package_dir={"": "src"},
        packages=[],
        ext_modules=extensions,
        script_args=["--quiet", "build_ext", "--inplace"],
    )


if __name__ == "__main__":
    compile_modules(sys.argv[1:])
