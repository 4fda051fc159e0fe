"""Kinds of processors, as far as one machine can pretend to be another: by the settings of the libraries."""

from collections.abc import Mapping

PROCESSORS: Mapping[str, Mapping[str, str]] = {
    "this one": {},
    "old": {"OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"},
    "with AVX2": {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"},
    "with AVX-512": {"OPENBLAS_CORETYPE": "SkylakeX", "NPY_DISABLE_CPU_FEATURES": ""},
}
