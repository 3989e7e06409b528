"""``model.pt``: a trained detector, and what it takes to continue its training."""

import hashlib
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import iouloss

from .evaluate import Limits
from .model import Detector
from .photos import Dataset, UserError
from .training import Trainer

FILE = "model.pt"
FORMAT = "iouloss detector 1"

Content = dict[str, Any]


def write(folder: Path, trainer: Trainer, run: Content) -> None:
    """Write ``model.pt`` of the training so far, on the first rank only.

    The file is replaced as a whole: if the process is killed while writing, the previous file remains.
    """
    if trainer.ranks.rank != 0:
        return
    content = {
        "format": FORMAT,
        "iouloss": iouloss.__version__,
        "torch": str(torch.__version__),
        "architecture": trainer.model.architecture,
        "state_dict": trainer.averaged.state_dict(),
        "detection": asdict(Limits()),
        **run,
        "training": trainer.state(),
    }
    partial = folder / f"{FILE}.part"
    torch.save(content, partial)
    partial.replace(folder / FILE)


def read(path: Path) -> Content:
    """Read what ``write`` wrote to this file, or to ``model.pt`` in this folder, onto the CPU."""
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"{file}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about an odd file, which is reported below
            content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{file}: {error.strerror or error}") from error
    except Exception as error:  # torch.load raises many kinds of errors for a file that is not torch's
        raise UserError(f"{file}: not a model of train_detector.py ({type(error).__name__})") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise UserError(f"{file}: not a model of train_detector.py (its format: got {found!r}, wants {FORMAT!r})")
    return content


def detector(content: Content) -> Detector:
    model = Detector(**content["architecture"])
    model.load_state_dict(content["state_dict"])
    return model


def digest(dataset: Dataset) -> str:
    """A digest of classes, pixels and boxes, independent of where the photographs are stored."""
    seen = hashlib.sha256("\0".join(dataset.classes).encode())
    for photo in dataset.photos:
        for tensor in (photo.pixels, photo.boxes, photo.labels):
            seen.update(str(tuple(tensor.shape)).encode())
            seen.update(tensor.contiguous().numpy())
    return seen.hexdigest()[:16]
