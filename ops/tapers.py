"""Tapers, the windows of signal processing, and the filter bank of the mel scale: constants.

Arrays of the host that a graph takes as constants or parameters.
"""

from __future__ import annotations

import numpy as np

__all__ = ["blackman_window", "hamming_window", "hann_window", "mel_weight_matrix"]


def hann_window(size: int, *, periodic: bool = True, dtype: str = "float32") -> np.ndarray:
    """``w_i = 0.5 - 0.5 cos(2 pi i / n)``, with ``n = size``, or ``size - 1`` if not periodic.

    Source: Blackman, Tukey, "The Measurement of Power Spectra", 1958; ONNX ``HannWindow``.

    >>> hann_window(4).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    return _cosines((0.5, 0.5), size, periodic, dtype)


def hamming_window(size: int, *, periodic: bool = True, dtype: str = "float32") -> np.ndarray:
    """``w_i = 25/46 - 21/46 cos(2 pi i / n)``, with n as in :func:`hann_window`.

    Source: Blackman, Tukey, "The Measurement of Power Spectra", 1958; ONNX ``HammingWindow``.

    >>> hamming_window(3, periodic=False, dtype="float64").round(4).tolist()
    [0.087, 1.0, 0.087]
    """
    return _cosines((25 / 46, 21 / 46), size, periodic, dtype)


def blackman_window(size: int, *, periodic: bool = True, dtype: str = "float32") -> np.ndarray:
    """``w_i = 0.42 - 0.5 cos(2 pi i / n) + 0.08 cos(4 pi i / n)``, n as in :func:`hann_window`.

    Source: Blackman, Tukey, "The Measurement of Power Spectra", 1958; ONNX ``BlackmanWindow``.

    >>> abs(blackman_window(4)).round(2).tolist() == np.float32([0, 0.34, 1, 0.34]).tolist()
    True
    """
    return _cosines((0.42, 0.5, 0.08), size, periodic, dtype)


def mel_weight_matrix(
    bands: int, length: int, rate: int, low: float, high: float, dtype: str = "float32"
) -> np.ndarray:
    """Triangles over the bins of a spectrum, evenly spaced on the mel scale.

    Args:
        bands: how many triangles.
        length: of the Fourier transform, whose spectrum has ``length // 2 + 1`` bins.
        rate: samples a second.
        low: where the first triangle begins, in hertz.
        high: where the last one ends, in hertz.
        dtype: of the matrix.

    Returns:
        ``(length // 2 + 1, bands)``, to multiply a spectrum ``(..., bins)`` with.

    Source: Stevens, Volkmann, Newman, "A Scale for the Measurement of the Psychological Magnitude
    Pitch", 1937; ONNX ``MelWeightMatrix``.

    >>> mel_weight_matrix(2, 16, 8000, 0.0, 4000.0)[:4].T.tolist()
    [[1.0, 0.5, 0.0, 0.0], [0.0, 0.5, 1.0, 0.5]]
    """
    ends = 2595 * np.log10(1 + np.array([low, high]) / 700)
    mel = ends[0] + np.arange(bands + 2) * ((ends[1] - ends[0]) / (bands + 2))
    edges = ((length + 1) * (700 * (10 ** (mel / 2595) - 1)) // rate).astype("int64")
    weights = np.zeros((length // 2 + 1, bands))
    for band in range(bands):
        begin, top, end = edges[band : band + 3]
        rising, falling = np.arange(begin, top + 1), np.arange(top, end)
        weights[rising, band] = (rising - begin) / (top - begin) if top > begin else 1.0
        weights[falling, band] = (end - falling) / (end - top)
    return weights.astype(dtype)


def _cosines(weights: tuple[float, ...], size: int, periodic: bool, dtype: str) -> np.ndarray:
    """A sum of cosines with alternating signs."""
    turn = 2 * np.pi * np.arange(size) / max(size if periodic else size - 1, 1)
    terms = [(-1) ** k * weight * np.cos(k * turn) for k, weight in enumerate(weights)]
    taper: np.ndarray = np.sum(terms, axis=0).astype(dtype)
    return taper
