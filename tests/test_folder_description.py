"""`dataset.toml`: each mistake is answered with file, field, value and what would be right."""

import pytest
from fakes import folder as fake

from cerberus_bench.loaders.folder_description import parse_description
from cerberus_bench.loaders.templates import fields_of, pattern_of
from cerberus_bench.schema.errors import DataError


def told(text: str) -> str:
    with pytest.raises(DataError) as error:
        parse_description(text.encode(), "dir/dataset.toml")
    return str(error.value)


def without(section: str, **changes: str) -> str:
    return fake.description(**{section: "", **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "dir/dataset.toml is no TOML"),
        (without("licence"), "licence is missing. Add it."),
        (fake.description().replace("mpp = 0.5", 'mpp = "0.5"'), "mpp is '0.5': Input should be a"),
        (fake.description().replace("mpp = 0.5", "mpp = -1"), "mpp is -1"),
        (fake.description().replace("mpp = 0.5", "mpp = nan"), "mpp"),
        (fake.description().replace("mpp = 0.5", "mpp = 2024-01-01"), "2024-01-01 is a date"),
        (fake.description().replace("organ", "organs"), "organs is no field (did you mean organ?)"),
        (
            fake.description().replace("class_files", "class_file"),
            "tasks.nuclei.class_file is no field (did you mean class_files?)",
        ),
        (fake.description().replace('"our-colon"', '"Our Colon"'), "name is 'Our Colon'"),
        (
            fake.description().replace('"neoplastic"', '"neoplasm"'),
            "nuclei: 'Tumour' is mapped to 'neoplasm', which is no class of the ontology. Did you"
            " mean neoplastic?",
        ),
        (without("nuclei", splits="[tasks]\n"), "no task; name one of nuclei, gland"),
        (without("nuclei"), "tasks is missing"),
        (fake.description(groups='[groups]\nlevel = "patient"\n'), "needs exactly one way"),
        (fake.description(groups='[groups]\nlevel = "person"\n'), "groups.level is 'person'"),
        (
            fake.description(groups='[groups]\nlevel = "image"\ncolumn = "patient"\n'),
            "level 'image' needs no way to tell them",
        ),
        (fake.description(splits="[splits]\n"), "splits: [splits] needs exactly one way"),
        (
            fake.description(groups='[groups]\nlevel = "slide"\npattern = "*_x"\n'),
            "groups.pattern: '*_x' needs {group} once",
        ),
        (
            fake.description().replace("images/{record}", "../{record}"),
            "'../{record}.png' is no path below the folder",
        ),
        (fake.description().replace("images/{record}", "/{record}"), "is no path below"),
        (fake.description().replace("images/{record}", "images/{name}"), "has a field other than"),
        (fake.description().replace("images/{record}", "images/{record.x}"), "has a field other"),
        (fake.description().replace("images/{record}", "images/{record"), "images.files"),
        (fake.description().replace("images/{record}", "images/all"), "files needs {record} once"),
        (fake.description().replace('table = "images.csv"', ""), "columns are named, but no table"),
        (
            fake.description().replace("nuclei/{record}.png", "nuclei/{record}.jpg"),
            "files must end in .png, .tif",
        ),
        (
            fake.description().replace("nuclei/{record}.png", "nuclei/all.png"),
            "files needs {record}; one file for all images can only be COCO .json",
        ),
        (
            fake.description().replace("nuclei/{record}.png", "{group}/{record}.png"),
            "has {group}, which images.files does not tell",
        ),
        (
            fake.description("geojson").replace(
                "[tasks.nuclei]", '[tasks.nuclei]\nvalues = "classes"'
            ),
            'values = "classes" goes with pixel maps',
        ),
        (
            fake.description().replace('class_files = "nuclei/{record}.csv"\n', ""),
            "class_files goes with label maps of ids",
        ),
        (
            fake.description().replace("[tasks.nuclei]", '[tasks.nuclei]\none_class = "cell"'),
            "needs either one_class or classes",
        ),
    ],
)
def test_descriptions_that_are_wrong(text: str, message: str) -> None:
    said = told(text)
    assert said.startswith("dir/dataset.toml")
    assert message in said


def test_templates() -> None:
    assert fields_of("{split}/{group}_{record}.png") == ("split", "group", "record")
    match = pattern_of("{group}/{group}_{record}.png").match("P1/P1_a_b.png")
    assert match
    assert match.groupdict() == {"group": "P1", "record": "a_b"}
    assert not pattern_of("{group}/{group}_{record}.png").match("P1/P2_a.png")
    assert not pattern_of("images/{record}.png").match("images/a/b.png")
    assert not pattern_of("images/{record}.png").match("images/a.png.bak")
    with pytest.raises(ValueError, match="more than 6 fields and stars"):
        fields_of("*" * 7)
