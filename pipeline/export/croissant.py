"""The Croissant file of a filtered set (version 1.1): its files with digests, its columns by type.

Specification: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from pipeline.corpus.columns import is_list
from pipeline.export.hub_set import DATA, HubSet

VERSION = "http://mlcommons.org/croissant/1.1"
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "arrayShape": "cr:arrayShape",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
ENCODINGS = {".parquet": "application/x-parquet", ".jsonl": "application/jsonlines"}
ROWS = "rows"


def croissant(made: HubSet) -> str:
    """Return croissant.json; rows in JSON Lines have their files described and no columns."""
    manifest = made.source.manifest
    described: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": VERSION,
        "name": made.name,
        "description": f"{made.rows:,} rows that stayed of a corpus after copies were removed; "
        f"made by rote {manifest['version']}.",
        "version": f"{manifest['scan']}.0.0",
        "distribution": _files(made),
    }
    if made.schema is not None:
        described["recordSet"] = [
            {
                "@type": "cr:RecordSet",
                "@id": f"{ROWS}-{split}",
                "name": f"{ROWS}-{split}",
                "description": f"The kept rows of {split}, one record each.",
                "field": _fields(
                    made.schema, f"{ROWS}-{split}", {"fileSet": {"@id": f"files-{split}"}}
                ),
            }
            for split in made.splits
        ]
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


def _files(made: HubSet) -> list[dict[str, Any]]:
    """Return each file with its digest, and the files of each split as a set."""
    encoding = ENCODINGS[made.suffix]
    files: list[dict[str, Any]] = [
        {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": quote(file.path),
            "contentSize": f"{file.bytes} B",
            "encodingFormat": encoding,
            "sha256": file.sha256,
        }
        for file, name in zip(made.files, ids([file.path for file in made.files]), strict=True)
    ]
    sets = [
        {
            "@type": "cr:FileSet",
            "@id": f"files-{split}",
            "name": f"files-{split}",
            "encodingFormat": encoding,
            # the first for those that take ** for a folder at least
            "includes": [f"{DATA}/{split}/*{made.suffix}", f"{DATA}/{split}/**/*{made.suffix}"],
        }
        for split in made.splits
    ]
    return files + sets


def ids(names: Sequence[str]) -> list[str]:
    """Return names as ids: without blanks, which readers refuse, and each another one."""
    found: list[str] = []
    for place, name in enumerate(names):
        plain = "_".join(name.split()) or "_"
        found.append(f"{plain}_{place}" if plain in found else plain)
    return found


def _fields(fields: Iterable[pa.Field], above: str, source: dict[str, Any]) -> list[dict[str, Any]]:
    """Return columns as fields; those that hold lists of objects or maps have no such form.

    Args:
        fields: the columns, or the fields of a struct.
        above: the id that theirs begin with.
        source: the files, and for the fields of a struct its column and the path to it.
    """
    known = [field for field in fields if _has_form(field.type)]
    named = zip(known, ids([field.name for field in known]), strict=True)
    return [_field(field, f"{above}/{name}", source) for field, name in named]


def _field(field: pa.Field, name: str, source: dict[str, Any]) -> dict[str, Any]:
    """Return a column, or a field of a struct, as a field of that id."""
    about = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    if "extract" in source:
        path = f"{source.get('transform', {}).get('jsonPath', '$')}.{field.name}"
        source = {**source, "transform": {"jsonPath": path}}
    else:
        source = {**source, "extract": {"column": field.name}}
    described = {
        "@type": "cr:Field",
        "@id": name,
        "name": name,
        "description": about.get("doc") or f"Column {field.name}.",
    }
    if pa.types.is_struct(field.type):
        inner = [field.type.field(place) for place in range(field.type.num_fields)]
        return {**described, "subField": _fields(inner, name, source)}
    if is_list(field.type):
        described |= {"isArray": True, "arrayShape": "-1"}
    return {**described, "dataType": _data_type(field.type), "source": source}


def _has_form(kind: pa.DataType) -> bool:
    """Tell whether values of a type are plain, lists of plain ones, or structs of these."""
    if is_list(kind):
        return not pa.types.is_nested(kind.value_type)
    if pa.types.is_struct(kind):
        return any(_has_form(kind.field(place).type) for place in range(kind.num_fields))
    return not pa.types.is_nested(kind)


def _data_type(kind: pa.DataType) -> str:
    """Return the type of schema.org that a value has; what has none is a text, as JSON shows it."""
    if pa.types.is_dictionary(kind) or is_list(kind):
        return _data_type(kind.value_type)
    for test, name in (
        (pa.types.is_boolean, "sc:Boolean"),
        (pa.types.is_integer, "sc:Integer"),
        (pa.types.is_floating, "sc:Float"),
        (pa.types.is_decimal, "sc:Float"),
        (pa.types.is_timestamp, "sc:DateTime"),
        (pa.types.is_date, "sc:Date"),
    ):
        if test(kind):
            return name
    return "sc:Text"
