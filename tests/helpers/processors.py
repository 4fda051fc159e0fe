"""Kinds of processors, as far as one machine can pretend to be another: by the settings of the libraries."""

from collections.abc import Mapping


def _settings(openblas: str, *without: str) -> dict[str, str]:
    disabled = " ".join(without)
    return {"OPENBLAS_CORETYPE": openblas, "NPY_DISABLE_CPU_FEATURES": disabled, "NPY_ENABLE_CPU_FEATURES": ""}


AVX512 = ("X86_V4", "AVX512_ICL", "AVX512_SPR")
PROCESSORS: Mapping[str, dict[str, str]] = {
    "this one": _settings(""),
    "an old one": _settings("Nehalem", "X86_V3", *AVX512),
    "one with AVX2": _settings("Haswell", *AVX512),
    "one with AVX-512": _settings("SkylakeX"),
}
