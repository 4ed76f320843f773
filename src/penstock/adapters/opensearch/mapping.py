"""The name, the settings and the fields of the index, and the translation between entries and what the index stores."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from penstock.adapters.opensearch.server import Body
from penstock.domain.chunk import Chunk, Entry, Space, TextHash, Vector, labels, metadata_of
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.search.words import exact_words, terms_of

FORMAT = 1
"""The version of the index's fields. It is stored in the index, and an index of another version is refused."""
K1, B = 1.2, 0.75
"""The parameters of BM25: how soon a repeated word stops counting, and how much the length of a text matters."""
LOTS = 1 << 16
"""Each chunk has a number below this, its `lot`, derived from the hash of its text. The chunks whose lot is below some
number are a random sample."""

_METHODS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "lucene": {"engine": "lucene", "parameters": {"m": 16, "ef_construction": 100}},
        # This engine needs native libraries, which a managed domain has. Its 16-bit floats halve the memory.
        "faiss": {
            "engine": "faiss",
            "parameters": {
                "m": 16,
                "ef_construction": 100,
                "encoder": {"name": "sq", "parameters": {"type": "fp16", "clip": True}},
            },
        },
    }
)
ENGINES = tuple(_METHODS)

# BM25 without the rarity of the word, which arrives as the query's boost. So the scores of a tenant depend on its own
# chunks alone, in an index that it shares with others.
_WEIGHT = f"""
double times = doc.freq;
double usual = (double) field.sumTotalTermFreq / Math.max(1, field.docCount);
return query.boost * times * {K1 + 1} / (times + {K1} * ({1 - B} + {B} * doc.length / usual));
"""


def index_name(alias: str, space: Space) -> str:
    """The name of the index of this space. Each space has an index of its own, since vectors of two spaces cannot be
    compared."""
    model = re.sub(r"[^a-z0-9]+", "-", space.model.lower()).strip("-")[:60]
    digest = hashlib.sha256(f"{space.model}\0{space.dimensions}".encode()).hexdigest()[:8]
    return f"{alias}-{model}-{space.dimensions}-{digest}"


def index_body(alias: str, space: Space, *, engine: str, shards: int) -> Body:
    """The request that makes the index. It always names the engine: a server without native libraries crashes when it
    is left to choose."""
    unsearched = {"index": False, "doc_values": False}
    text = {"type": "text", "analyzer": "whitespace", "norms": True}
    return {
        "aliases": {alias: {}},
        "settings": {
            "index": {
                "knn": True,
                "number_of_shards": shards,
                "auto_expand_replicas": "0-1",
                # Who promises that chunks are visible refreshes; otherwise they wait here for larger segments.
                "refresh_interval": "30s",
            },
            "similarity": {"rarity_from_query": {"type": "scripted", "script": {"source": " ".join(_WEIGHT.split())}}},
        },
        "mappings": {
            "dynamic": "strict",
            "_meta": {"format": FORMAT, "model": space.model, "dimensions": space.dimensions},
            "_routing": {"required": True},
            "_source": {"excludes": ["terms", "words"]},
            "properties": {
                "tenant": {"type": "keyword"},
                "id": {"type": "keyword"},
                "document": {"type": "keyword"},
                "generation": {"type": "long"},
                "build": {"type": "long"},
                "ordinal": {"type": "integer"},
                "first_page": {"type": "integer", **unsearched},
                "last_page": {"type": "integer", **unsearched},
                "breaks": {"type": "object", "enabled": False},
                "paged": {"type": "boolean", **unsearched},
                "hash": {"type": "keyword"},
                "source": {"type": "keyword"},
                "name": {"type": "keyword", **unsearched},
                "section": {"type": "keyword", **unsearched},
                "metadata": {"type": "keyword"},
                "text": {"type": "text", "index": False},
                "length": {"type": "integer"},
                "lot": {"type": "integer"},
                "embedded": {"type": "boolean"},
                "terms": {**text, "index_options": "freqs", "similarity": "rarity_from_query"},
                "words": {**text, "norms": False},
                "vector": {
                    "type": "knn_vector",
                    "dimension": space.dimensions,
                    "method": {"name": "hnsw", "space_type": "cosinesimil", **_METHODS[engine]},
                },
            },
        },
    }


def space_of(meta: Mapping[str, Any]) -> Space:
    return Space(str(meta["model"]), int(meta["dimensions"]))


def stored(tenant: TenantId, entry: Entry) -> Body:
    """The fields that the index stores of an entry."""
    chunk, terms = entry.chunk, terms_of(entry.chunk.text)
    fields: Body = {
        "tenant": tenant,
        "id": entry.id,
        "document": entry.document,
        "generation": entry.build_id.generation,
        "build": entry.build_id.build,
        "ordinal": chunk.ordinal,
        "first_page": chunk.first_page,
        "last_page": chunk.last_page,
        "breaks": chunk.breaks,
        "paged": entry.paged,
        "hash": entry.hash,
        "source": entry.source,
        "name": entry.name,
        "section": chunk.section,
        "metadata": labels(entry.metadata),
        "text": chunk.text,
        "length": len(terms),
        "lot": int(entry.hash[:4], 16) % LOTS,
        "embedded": entry.vector is not None,
        "terms": " ".join(terms),
        "words": " ".join(exact_words(chunk.text)),
    }
    if entry.vector is not None:
        fields["vector"] = entry.vector.astype("float32", order="C", copy=False)
    return fields


UNREAD = ("vector", "terms", "words")
"""The fields that a hit is returned without, since nobody reads them."""


def entry_of(source: Mapping[str, Any]) -> Entry:
    """The entry that these fields were stored of, without its vector, which a hit does not need."""
    return Entry(
        document=DocumentId(source["document"]),
        build_id=BuildId(source["generation"], source["build"]),
        chunk=Chunk(
            source["ordinal"],
            source["text"],
            source["first_page"],
            source["last_page"],
            tuple(source["section"]),
            tuple((offset, page) for offset, page in source["breaks"]),
        ),
        hash=TextHash(source["hash"]),
        vector=None,
        name=source["name"],
        source=source["source"],
        paged=source["paged"],
        metadata=metadata_of(source["metadata"]),
    )


def vector_of(source: Mapping[str, Any]) -> Vector:
    import numpy as np  # noqa: PLC0415 - slow to import, and what removes documents needs none

    return np.array(source["vector"], np.float32)
