"""What is deployed, as zip files: the source, and each layer out of its locked requirements."""

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
"""Bytes of a function with all its layers (AWS Lambda, "Lambda quotas"). What is told there of zipped archives is for
those that do not come by S3, by which SAM sends all."""

ARM64 = (
    "--platform=manylinux_2_28_aarch64",
    "--platform=manylinux_2_17_aarch64",
    "--platform=manylinux2014_aarch64",
    "--python-version=3.13",
    "--implementation=cp",
    "--only-binary=:all:",
)
"""What pip has to be told, on any machine, to install what runs in AWS."""

_PYTHON = "python3.13"
"""Runs in AWS."""

_COMPILE = ("-m", "compileall", "-q", "-x", "/tests/", "--invalidation-mode", "unchecked-hash")
"""Lambda's disk is read-only: what is not compiled before is compiled at each cold start. Files get other dates on the
way there, so the bytecode is one that is not compared with its source (PEP 552)."""

_MOMENT = (1980, 1, 1, 0, 0, 0)
"""Of every file in an archive, so that the same content makes the same archive."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip file, and how large it is once Lambda has unpacked it, in bytes."""

    path: Path
    unzipped: int

    @property
    def zipped(self) -> int:
        return self.path.stat().st_size

    @property
    def digest(self) -> str:
        """Of its content: two archives of the same content have the same."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class Package:
    """The archives of a template: each folder that a function or a layer is made from."""

    archives: Mapping[str, Archive]
    """By what CodeUri or ContentUri says."""


def package(
    template: Path,
    into: Path,
    *,
    python: Path = Path(sys.executable),
    platform: Sequence[str] = (),
    compiler: Path | None = None,
    instead: Mapping[str, str] | None = None,
) -> Package:
    """Make the archives that this template's functions and layers are made from. A layer whose requirements are as they
    were is not made again.

    Args:
        python: whose pip installs, and, where no platform is told, what it installs for.
        platform: what pip shall be told of another one, such as ARM64.
        compiler: the Python that compiles, of the version that it is all for; where no platform is told, `python`.
        instead: folders to be taken in the place of those that the template names.

    Raises:
        Misconfigured: pip found no fitting wheel, or a function is larger than Lambda takes.
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
    """What each function takes with all its layers, unzipped, in bytes."""
    resources = read_template(template).resources
    content = {name: each["Properties"].get("ContentUri", "") for name, each in resources.items()}
    return {
        name: _code(package).unzipped
        + sum(package.archives[content[layer["Ref"]]].unzipped for layer in each["Properties"].get("Layers", []))
        for name, each in resources.items()
        if each["Type"] == "AWS::Serverless::Function"
    }


CODE = "src/"
"""What the template says the functions are made from."""


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
        said = "\n".join((requirements.read_text(), str(self.python), *self.platform, str(self.compiler), *_COMPILE))
        wanted = hashlib.sha256(said.encode()).hexdigest()
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
        # What an interpreter left is not the source's.
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
                "--no-deps",  # the lock names all
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
    """Beside all sources in this folder.

    Raises:
        Misconfigured: one does not compile.
    """
    _run(
        [
            *(compiler, *_COMPILE),
            *("-s", folder),  # a path of this machine is none of its
            folder,
        ],
        otherwise=f"{compiler} could not compile {folder}",
        environment={"PYTHONHASHSEED": "0"},  # the same content makes the same archive
    )


def _run(command: Sequence[str | Path], *, otherwise: str, environment: Mapping[str, str] | None = None) -> None:
    """`environment`: in the place of this process's."""
    done = subprocess.run(  # noqa: S603 - no shell, and nothing a user typed
        command, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Misconfigured(why=f"{otherwise}: {(done.stdout + done.stderr).strip()[-1500:]}")


def _archive(folder: Path, path: Path) -> Archive:
    """All files of a folder as a zip file, in one order and of one date."""
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
    """Programs that come with a library are not run in Lambda."""
    return file.relative_to(folder).parts[:2] != ("python", "bin")


def _check_sizes(template: Path, package: Package) -> None:
    for name, size in sizes(template, package).items():
        if size > UNZIPPED_LIMIT:
            raise Misconfigured(why=f"{name} unpacks to {_mib(size)}; Lambda takes {_mib(UNZIPPED_LIMIT)}.")


def _mib(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB"


def main() -> None:
    """Build what runs in AWS, and show how large it is."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--template", type=Path, default=Path("template.yaml"))
    parser.add_argument("--into", type=Path, default=Path("build/lambda-arm64"))
    parser.add_argument("--built", type=Path, help="what `sam build` made: add the bytecode, and build nothing")
    given = parser.parse_args()
    compiler = _python_of_aws()
    try:
        if given.built:
            _compile_built(given.built, compiler)
            return
        if compiler is None:
            sys.stdout.write(f"Without bytecode, which needs {_PYTHON} on the path.\n")
        _show(given.template, package(given.template, given.into, platform=ARM64, compiler=compiler))
    except Misconfigured as error:
        sys.exit(str(error))


def _python_of_aws() -> Path | None:
    """Where it is on this machine, and runs."""
    found = shutil.which(_PYTHON)
    if found is None or subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode:  # noqa: S603
        return None
    return Path(found)


def _compile_built(folder: Path, compiler: Path | None) -> None:
    if not folder.is_dir():
        raise Misconfigured(why=f"There is no {folder}. Run `sam build` first.")
    if compiler is None:
        raise Misconfigured(why=f"{_PYTHON}, whose bytecode it is to be, is not on the path.")
    write_bytecode(folder, compiler)


def _show(template: Path, made: Package) -> None:
    for uri, archive in made.archives.items():
        sys.stdout.write(f"{uri:20} {_mib(archive.zipped):>10} zipped {_mib(archive.unzipped):>11} unzipped\n")
    for name, size in sizes(template, made).items():
        sys.stdout.write(f"{name:20} {_mib(size):>32} with its layers, of {_mib(UNZIPPED_LIMIT)}\n")


if __name__ == "__main__":
    main()
