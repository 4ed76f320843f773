"""Build the zip files that are deployed: the source, and each layer from its locked requirements."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.domain.errors import Misconfigured
from penstock.local.template import read_template

UNZIPPED_LIMIT = 250 * 1024**2
"""The maximum size of a function with all its layers, in bytes (AWS Lambda, "Lambda quotas"). The quota for zipped
archives does not apply: it is for archives that are not uploaded to S3, and SAM uploads all of them."""

ARM64 = (
    "--platform=manylinux_2_28_aarch64",
    "--platform=manylinux_2_17_aarch64",
    "--platform=manylinux2014_aarch64",
    "--python-version=3.13",
    "--implementation=cp",
    "--only-binary=:all:",
)
"""The options with which pip installs packages for AWS on any machine."""

_PYTHON = "python3.13"
"""The Python version of the functions in AWS."""

_COMPILE = ("-m", "compileall", "-q", "-x", "/tests/", "--invalidation-mode", "unchecked-hash")
"""Lambda's disk is read-only: a module without bytecode is compiled at each cold start. Files get other dates when they
are deployed, so the bytecode is of the kind that is not compared with its source (PEP 552)."""

_MOMENT = (1980, 1, 1, 0, 0, 0)
"""The date of every file in an archive, so that the same content gives the same archive."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip file, and its unpacked size in bytes."""

    path: Path
    unzipped: int

    @property
    def zipped(self) -> int:
        return self.path.stat().st_size

    @property
    def digest(self) -> str:
        """The hash of the zip file. Two archives of the same content have the same digest."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class Package:
    """The archives of a template: one for each folder that a function or a layer is built from."""

    archives: Mapping[str, Archive]
    """The archives by their CodeUri or ContentUri in the template."""


def package(
    template: Path,
    into: Path,
    *,
    python: Path = Path(sys.executable),
    platform: Sequence[str] = (),
    compiler: Path | None = None,
    instead: Mapping[str, str] | None = None,
) -> Package:
    """Build the archives of this template's functions and layers. A layer whose requirements have not changed is not
    built again.

    Args:
        python: the Python whose pip installs. Without `platform` it installs for this Python and machine.
        platform: options for pip, if the package is for another platform, such as ARM64.
        compiler: the Python that compiles the bytecode, of the version that will run it. Without `platform` the default
            is `python`; with it, no bytecode is compiled by default.
        instead: folders that replace those that the template names.

    Raises:
        Misconfigured: pip found no suitable wheel, or a function is larger than Lambda allows.
    """
    archives = {}
    maker = _Maker(python, platform, compiler or (None if platform else python))
    for uri in _folders(template):
        folder = template.parent / (instead or {}).get(uri, uri)
        name = folder.name
        archives[uri] = (
            maker.layer(folder / "requirements.txt", into / name)
            if (folder / "requirements.txt").exists()
            else maker.code(folder, into / name)
        )
    made = Package(archives)
    _check_sizes(template, made)
    return made


def sizes(template: Path, package: Package) -> Mapping[str, int]:
    """The unzipped size of each function with all its layers, in bytes."""
    resources = read_template(template).resources
    content = {name: each["Properties"].get("ContentUri", "") for name, each in resources.items()}
    return {
        name: _code(package).unzipped
        + sum(package.archives[content[layer["Ref"]]].unzipped for layer in each["Properties"].get("Layers", []))
        for name, each in resources.items()
        if each["Type"] == "AWS::Serverless::Function"
    }


CODE = "src/"
"""The CodeUri of the functions in the template."""


def _code(package: Package) -> Archive:
    return package.archives[CODE]


def _folders(template: Path) -> list[str]:
    layers = (each["Properties"].get("ContentUri") for each in read_template(template).resources.values())
    return [CODE, *filter(None, layers)]


@dataclass(frozen=True, slots=True)
class _Maker:
    python: Path
    platform: Sequence[str]
    compiler: Path | None

    def layer(self, requirements: Path, into: Path) -> Archive:
        inputs = "\n".join((requirements.read_text(), str(self.python), *self.platform, str(self.compiler), *_COMPILE))
        wanted = hashlib.sha256(inputs.encode()).hexdigest()
        mark = into / "made-from"
        if not mark.exists() or mark.read_text() != wanted:
            shutil.rmtree(into, ignore_errors=True)
            self._install(requirements, into / "content" / "python")
            if self.compiler:
                write_bytecode(into / "content", self.compiler)
            mark.write_text(wanted)
        return _archive(into / "content", into.with_suffix(".zip"))

    def code(self, folder: Path, into: Path) -> Archive:
        shutil.rmtree(into, ignore_errors=True)
        # Files that an interpreter or an installation has left are no part of the source.
        shutil.copytree(folder, into, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        if self.compiler:
            write_bytecode(into, self.compiler)
        return _archive(into, into.with_suffix(".zip"))

    def _install(self, requirements: Path, into: Path) -> None:
        _run(
            [
                self.python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",  # the lock names all dependencies
                "--require-hashes",
                "--no-compile",
                *self.platform,
                "--target",
                into,
                "-r",
                requirements,
            ],
            otherwise=f"pip could not install {requirements}",
        )


def write_bytecode(folder: Path, compiler: Path) -> None:
    """Compile bytecode for all sources in this folder.

    Raises:
        Misconfigured: a source does not compile.
    """
    _run(
        [
            *(compiler, *_COMPILE),
            *("-s", folder),  # bytecode must not name paths of this machine
            folder,
        ],
        otherwise=f"{compiler} could not compile {folder}",
        environment={"PYTHONHASHSEED": "0"},  # the same content gives the same archive
    )


def _run(command: Sequence[str | Path], *, otherwise: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a command that must succeed. `environment` replaces the environment of this process."""
    done = subprocess.run(  # noqa: S603 - no shell, and nothing a user typed
        command, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Misconfigured(why=f"{otherwise}: {(done.stdout + done.stderr).strip()[-1500:]}")


def _archive(folder: Path, path: Path) -> Archive:
    """Zip all files of a folder, in a fixed order and with a fixed date."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unzipped = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for file in sorted(each for each in folder.rglob("*") if each.is_file() and _belongs(each, folder)):
            entry = zipfile.ZipInfo(str(file.relative_to(folder)), _MOMENT)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if file.stat().st_mode & 0o100 else 0o644) << 16
            content = file.read_bytes()
            zipped.writestr(entry, content)
            unzipped += len(content)
    return Archive(path, unzipped)


def _belongs(file: Path, folder: Path) -> bool:
    """Whether the file is deployed. Programs that come with a library are not, because Lambda does not run them."""
    return file.relative_to(folder).parts[:2] != ("python", "bin")


def _check_sizes(template: Path, package: Package) -> None:
    for name, size in sizes(template, package).items():
        if size > UNZIPPED_LIMIT:
            raise Misconfigured(why=f"{name} unpacks to {_mib(size)}; the limit of Lambda is {_mib(UNZIPPED_LIMIT)}.")


def _mib(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB"


def main() -> None:
    """Build the package that runs in AWS, and print the sizes."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--template", type=Path, default=Path("template.yaml"))
    parser.add_argument("--into", type=Path, default=Path("build/lambda-arm64"))
    parser.add_argument("--built", type=Path, help="the output folder of `sam build`: only add the bytecode to it")
    options = parser.parse_args()
    compiler = _python_of_aws()
    try:
        if options.built:
            _compile_built(options.built, compiler)
            return
        if compiler is None:
            sys.stdout.write(f"There is no {_PYTHON} on the path, so no bytecode is compiled.\n")
        _show(options.template, package(options.template, options.into, platform=ARM64, compiler=compiler))
    except Misconfigured as error:
        sys.exit(str(error))


def _python_of_aws() -> Path | None:
    """The path of the Python of AWS on this machine. It is None if there is none that runs."""
    found = shutil.which(_PYTHON)
    if found is None or subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode:  # noqa: S603
        return None
    return Path(found)


def _compile_built(folder: Path, compiler: Path | None) -> None:
    if not folder.is_dir():
        raise Misconfigured(why=f"There is no {folder}. Run `sam build` first.")
    if compiler is None:
        raise Misconfigured(why=f"{_PYTHON}, which has to compile the bytecode, is not on the path.")
    write_bytecode(folder, compiler)


def _show(template: Path, made: Package) -> None:
    for uri, archive in made.archives.items():
        sys.stdout.write(f"{uri:20} {_mib(archive.zipped):>10} zipped {_mib(archive.unzipped):>11} unzipped\n")
    for name, size in sizes(template, made).items():
        sys.stdout.write(f"{name:20} {_mib(size):>32} with its layers, of {_mib(UNZIPPED_LIMIT)}\n")


if __name__ == "__main__":
    main()
