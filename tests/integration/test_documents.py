"""The documents: what stands in them runs, or is said not to be run."""

from __future__ import annotations

import re
import shutil

import pytest
from PIL import Image
from project import Project

from documents import DOCUMENTS, REPOSITORY, Block, blocks_of

RUN = {document: [block for block in blocks_of(document) if block.run] for document in DOCUMENTS}
TESTED_ELSEWHERE = REPOSITORY / "docs" / "extending.md"  # test_extending, with its files


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    project = Project(tmp_path_factory.mktemp("documents"), files={})
    folder = project.folder
    shutil.copytree(folder / "photographs", folder / "holiday")
    with Image.open(folder / "photographs" / "0.png") as picture:
        picture.resize((160, 128)).save(folder / "photo.jpg")
        picture.save(folder / "album.jpg")
        picture.save(folder / "cat.gif", save_all=True, append_images=[picture.rotate(90)])
    return project


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "blocks",
    [blocks for document, blocks in RUN.items() if blocks and document != TESTED_ELSEWHERE],
    ids=lambda blocks: blocks[0].document.name,
)
def test_the_blocks_of_a_document_run(project: Project, blocks: list[Block], tmp_path, monkeypatch):
    """Each document in a folder of its own: nothing is left from another."""
    folder = tmp_path / "own"
    shutil.copytree(project.folder, folder, ignore=shutil.ignore_patterns("cache"))
    monkeypatch.setattr(project, "folder", folder)
    for number, block in enumerate(blocks):
        if block.language == "text":
            continue
        script = project.folder / f"{block.document.stem}_{number}.{block.language}"
        script.write_text(block.text, encoding="utf-8")
        done = project.bash(f"{'python' if block.language == 'python' else 'bash -e'} {script.name}", check=False)
        assert done.returncode == 0, f"{block}\n{block.text}\n{done.stdout}{done.stderr}"


def test_every_block_says_what_it_is():
    unclear = [str(block) for blocks in RUN.values() for block in blocks if block.language not in LANGUAGES]
    assert not unclear, "run it (bash, python), call it text, or write <!-- not run: why --> before it"
    named = re.compile(r"^`[\w/]+\.(py|yaml)`:$")
    files = [block for block in RUN[TESTED_ELSEWHERE] if block.language in ("python", "yaml")]
    assert files
    assert all(named.match(block.before) for block in files)
    assert not [str(block) for block in RUN[REPOSITORY / "docs" / "notes.md"]]
    assert sum(len(blocks) for blocks in RUN.values()) > 25


LANGUAGES = ("bash", "python", "text", "yaml")


def test_prose_is_at_most_a_hundred_wide():
    for document in DOCUMENTS:
        code = {
            number
            for block in blocks_of(document)
            for number in range(block.line, block.line + block.text.count("\n") + 2)
        }
        for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), start=1):
            if number not in code and not line.startswith("|") and document.parent.name != "tables":
                assert len(line) <= 100, f"{document.relative_to(REPOSITORY)}:{number} is {len(line)} wide"


def test_what_the_pages_of_the_api_name_is_there():
    pages = sorted((REPOSITORY / "docs" / "api").glob("*.md"))
    names = re.findall(r"^::: (\S+)$", "\n".join(page.read_text(encoding="utf-8") for page in pages), re.MULTILINE)
    assert len(names) > 40
    sources = {name: REPOSITORY / "src" / name.replace(".", "/") for name in names}
    missing = [name for name, path in sources.items() if not path.is_dir() and not path.with_suffix(".py").is_file()]
    assert not missing, "a module has moved: follow it in docs/api"
    assert len(set(names)) == len(names)


def test_links_between_documents_lead_somewhere():
    """The site's own are checked by its build; this is what a reader of the repository follows."""
    link = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
    for document in DOCUMENTS:
        for target in link.findall(document.read_text(encoding="utf-8")):
            path = document.parent / target
            made = "notebooks" in path.parts or path.suffix == ".csv"
            assert made or path.exists(), f"{document.relative_to(REPOSITORY)} -> {target}"
