import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spurion.core import plain
from spurion.core.files import read_bounded, read_json
from spurion.core.plain import MOST_DEEP, MOST_DIGITS, parse_json, parse_yaml

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

JSON = {
    "[1e400]": "1e400 is no finite number",
    "[NaN]": "NaN is no finite number",
    '{"a": -Infinity}': "-Infinity is no finite number",
    "1" * 5000: "a whole number of 5,000 digits",
    "[" * 100_000: f"nested more than {MOST_DEEP} deep",
    '{"a": ' * 100_000: "nested more than",
    "[" * 200 + "]" * 200: "nested more than",
    '{"a": 1, "b": {"c": 2, "c": 3}}': "the key 'c' is there twice",
    '{"a": ["\\ud800"]}': r"half of a surrogate pair, '\\ud800'",
    '{"\\udcff": 1}': r"half of a surrogate pair, '\\udcff'",
    '"\\ud83d"': "half of a surrogate pair",
    "[" + "0," * 5_000_000 + "0]": "more than 5,000,000 values",
    "[0": "Expecting",
    "": "Expecting value",
}

YAML = {
    LAUGHS: "more than 20,000 values",
    "a: &a [*a]": "nested more than",
    "a: &a {b: *a}": "nested more than",
    "[" * 100_000: "nested more than",
    "- " * 5_000: "nested more than",
    "a: 1\nb: {c: 1, 'c': 2}": "the key 'c' is there twice",
    "a: 1" + "0" * 5_000: "a whole number of 5,001 digits",
    "a: 0x" + "f" * 5_000: "a whole number of 5,002 digits",
    '"\\ud800"': "half of a surrogate pair",
    "a: !!python/object:os.system x": "could not determine a constructor",
    "a: !!set {x}": "could not determine a constructor",
    "a: !!bool x": "'x' does not fit its tag",
    "a: !!map 3": "expected a mapping",
    "a: *x": "undefined alias",
    "[": "expected the node content",
}


@pytest.mark.parametrize(("text", "reason"), JSON.items(), ids=range(len(JSON)))
def test_what_no_program_expects_of_json_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_json(text)


@pytest.mark.parametrize(("text", "reason"), YAML.items(), ids=range(len(YAML)))
def test_what_no_program_expects_of_yaml_is_refused(text, reason):
    start = time.process_time()
    with pytest.raises(ValueError, match=reason):
        parse_yaml(text)
    assert time.process_time() - start < 5


def test_bounds_are_exact(monkeypatch):
    longest = "9" * MOST_DIGITS
    assert parse_json(longest) == parse_yaml(longest) == int(longest)
    for parse in (parse_json, parse_yaml):
        assert parse("[" * (MOST_DEEP - 1) + "]" * (MOST_DEEP - 1))
        with pytest.raises(ValueError, match="deep"):
            parse("[" * (MOST_DEEP + 1) + "]" * (MOST_DEEP + 1))
        with pytest.raises(ValueError, match="digits"):
            parse("9" + longest)
    monkeypatch.setattr(plain, "MOST_VALUES", 10)
    assert parse_json("[" + "0," * 8 + "0]") == [0] * 9
    with pytest.raises(ValueError, match="more than 10 values"):
        parse_json("[" + "0," * 9 + "0]")
    assert len(parse_yaml("[" + "0," * 19_998 + "0]")) == 19_999
    with pytest.raises(ValueError, match="values"):
        parse_yaml("[" + "0," * 20_000 + "0]")


def test_yaml_is_plain_values_with_aliases():
    text = "a: &x [1, 2.5, null, true]\nb: *x\nc: 2024-01-31\n<<: d\ne: 'é😀'"
    assert parse_yaml(text) == {
        "a": [1, 2.5, None, True],
        "b": [1, 2.5, None, True],
        "c": "2024-01-31",
        "<<": "d",
        "e": "é😀",
    }


@given(
    st.recursive(st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.text(), st.lists, max_leaves=9)
)
def test_json_of_plain_values_comes_back(values):
    for ascii_only in (False, True):
        assert parse_json(json.dumps([values], ensure_ascii=ascii_only)) == [values]


def test_files_are_bounded_and_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xa9"}')
    assert read_json(path) == {"a": "é"}
    path.write_bytes(b'["\xff"]')
    with pytest.raises(ValueError, match=r"a\.json is damaged \(not UTF-8 at byte 2\)\.$"):
        read_json(path)
    path.write_bytes("[]".encode("utf-16"))
    with pytest.raises(ValueError, match=r"a\.json is damaged \(not UTF-8 at byte 0\)\.$"):
        read_json(path)
    path.write_text("12345")
    assert read_bounded(path, 5) == "12345"
    with pytest.raises(ValueError, match=r"a\.json is damaged \(it is larger than 4 bytes\)\.$"):
        read_bounded(path, 4)
    with pytest.raises(ValueError, match=r"is not a file\.$"):
        read_json(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "absent.json")
