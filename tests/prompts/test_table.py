"""Files of prompts: what is read, what comes back, and what is refused by line."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spurion.prompts.table import Entry, PromptTable, as_table, read_images, read_table, write_table


def written(folder, text, name="prompts.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.fixture
def images(tmp_path):
    (tmp_path / "images").mkdir()
    for name, level in (("a.png", 0), ("b.png", 255)):
        Image.fromarray(np.full((4, 4), level, dtype=np.uint8)).save(tmp_path / "images" / name)
    return tmp_path


def test_every_column_is_read_and_lines_of_one_prompt_are_joined(images):
    text = (
        '\ufeffprompt,label,copies,image,group,part\n"a cat, black",memorized,40,images/a.png,g,planted\n\n'
    )
    text += '"a cat, black",memorized,40,images/b.png,g,planted\ndog,,,,,\n'
    table = read_table(written(images, text))
    assert table.entries == (
        Entry(
            "a cat, black",
            (images / "images/a.png", images / "images/b.png"),
            "memorized",
            "g",
            40,
            "planted",
        ),
        Entry("dog"),
    )
    assert [entry.cluster for entry in table.entries] == ["group g", "prompt dog"]


def test_what_is_written_comes_back(images):
    entries = (
        Entry('say "hi",\nthere', (images / "images/a.png",), "generalized", "", 0, ""),
        Entry("ünïcode", (), None, "g", None, "p"),
    )
    write_table(images / "x" / "t.csv", entries)
    found = read_table(images / "x" / "t.csv").entries
    assert [(e.prompt, e.label, e.group, e.copies, e.part) for e in found] == [
        (e.prompt, e.label, e.group, e.copies, e.part) for e in entries
    ]
    assert found[0].images[0].resolve() == (images / "images/a.png").resolve()


def test_prompts_of_one_image_are_one_cluster():
    entries = [Entry("a", (Path("x.png"),)), Entry("b", (Path("x.png"),)), Entry("c")]
    assert len({entry.cluster for entry in entries}) == 2


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no column `prompt`"),
        ("text\na\n", "column 'text' that is not known"),
        ("prompt,lable\na,memorized\n", "column 'lable'"),
        ("label\nmemorized\n", "no column `prompt`"),
        ("prompt,prompt\na,b\n", "column prompt twice"),
        ("prompt\n", "holds no prompts"),
        ("prompt,label\na,known\n", "line 2: `label` must be one of memorized, spurious"),
        ("prompt,copies\na,many\n", "line 2: `copies` must be a whole number"),
        ("prompt,copies\na,-1\n", "`copies` must be a whole number"),
        ("prompt,copies\na,1e3\n", "`copies` must be a whole number"),
        ("prompt,image\nb,nowhere.png\n", "line 2: the image .*nowhere.png is missing"),
        (
            "prompt,label\na cat, black,memorized\n",
            "line 2: 2 cells are wanted, got 3; put a text with commas",
        ),
        ("prompt,label\n  ,memorized\n", "line 2: the prompt is empty"),
        ("prompt,label\na,memorized\na,other\n", "lines of one prompt must differ in `image` alone"),
        ('prompt\n"a\n', "is no line of a CSV file"),
        (b"prompt\n\xff\xfe\n", "not UTF-8"),
        ("prompt\n" + "x" * 10_001 + "\n", "at most 10,000 characters"),
    ],
)
def test_a_file_with_a_mistake_is_one_sentence(tmp_path, text, match):
    with pytest.raises(ValueError, match=match):
        read_table(written(tmp_path, text))


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="is no file; give a CSV file with a column `prompt`"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="is no file"):
        read_table(tmp_path)


def test_a_list_of_texts_is_a_table_of_different_prompts():
    assert [entry.prompt for entry in as_table(["a", "b", "a"]).entries] == ["a", "b"]
    table = PromptTable("t", (Entry("a"),))
    assert as_table(table) is table
    with pytest.raises(ValueError, match="a file or a list of texts"):
        as_table([1])
    with pytest.raises(ValueError, match="prompt 0: the prompt is empty"):
        as_table([" "])
    with pytest.raises(ValueError, match="holds no prompts"):
        as_table([])
    with pytest.raises(ValueError, match="every prompt once"):
        PromptTable("t", (Entry("a"), Entry("a")))


def test_images_come_in_the_shape_of_the_model(images):
    paths = [images / "images" / "a.png", images / "images" / "b.png"]
    gray = read_images(paths, (1, 4, 4))
    assert torch.equal(gray, torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 4, 4))
    assert read_images(paths, (3, 2, 2)).shape == (2, 3, 2, 2)
    Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8) + np.arange(3, dtype=np.uint8) * 9).save(
        images / "c.png"
    )
    mixed = read_images([paths[1], images / "c.png"], (3, 4, 4))
    assert torch.equal(mixed[0], torch.ones(3, 4, 4))
    with pytest.raises(ValueError, match=r"c.png must have the shape of the model's images, \(1, 4, 4\)"):
        read_images([images / "c.png"], (1, 4, 4))
