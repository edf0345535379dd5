"""Pipelines: the last step is ours, skops stores the other steps.

skops is a format for scikit-learn's objects that runs no code of a file: it makes only
objects of types that it knows, or that the reader trusts by name.
"""

import io
import zipfile

import numpy as np
import torch
from sklearn.pipeline import Pipeline

from sklearn_noisy.exceptions import InvalidFileError
from sklearn_noisy.persistence._estimators import (
    ESTIMATORS,
    decode_estimator,
    encode_estimator,
)

# Steps that are no estimators.
NO_STEPS = (None, "passthrough")


def last_step(estimator):
    """The last step of a Pipeline; any other estimator itself."""
    return estimator.steps[-1][1] if type(estimator) is Pipeline else estimator


def encode_pipeline(pipeline, encoder):
    """JSON of a Pipeline whose last step is an estimator of this package.

    Raises
    ------
    TypeError
        If skops cannot store another step, or is not installed.
    """
    *others, (name, last) = pipeline.steps
    steps = [
        [label, None if step in NO_STEPS else _encode_step(label, step, encoder)]
        for label, step in others
    ]
    return {
        "steps": steps,
        "last": [name, encode_estimator(last, encoder, "", is_outermost=True)],
        "verbose": bool(pipeline.verbose),
        "transform_input": encoder.encode(pipeline.transform_input, "transform_input"),
    }


def _encode_step(name, step, encoder):
    try:
        from skops.io import dumps, get_untrusted_types, loads
    except ImportError:
        raise TypeError(
            f"The step {name!r} of the Pipeline, {step!r}, can only be kept in a file "
            "if skops is installed (pip install skops). Otherwise, keep the steps in "
            "two files: save(pipeline[-1], path) and "
            "joblib.dump(pipeline[:-1], other_path)."
        ) from None
    try:
        content = dumps(step)
        loads(content, trusted=get_untrusted_types(data=content))
    except Exception as error:
        raise TypeError(
            f"skops cannot keep the step {name!r} of the Pipeline, {step!r}: {error}"
        ) from error
    tensor = torch.from_numpy(np.frombuffer(content, np.uint8).copy())
    return encoder.put(tensor, f"steps.{name}")


def decode_pipeline(payload, decoder, trusted):
    """The Pipeline.

    Parameters
    ----------
    payload : dict
    decoder : StateDecoder
    trusted : list or None
        Types of skops; None trusts all, for a file that was not written yet.
    """
    steps = [
        (
            name,
            "passthrough"
            if entry is None
            else _decode_step(name, entry, decoder, trusted),
        )
        for name, entry in payload["steps"]
    ]
    name, last = payload["last"]
    steps.append((name, decode_estimator(last, decoder)))
    if not all(isinstance(name, str) for name, _ in steps):
        raise InvalidFileError("the names of the steps are no text")
    return Pipeline(
        steps,
        verbose=bool(payload["verbose"]),
        transform_input=decoder.decode(payload["transform_input"]),
    )


def _decode_step(name, entry, decoder, trusted):
    try:
        from skops.io import get_untrusted_types, loads
    except ImportError:
        raise ImportError(
            f"The file holds a Pipeline whose step {name!r} needs skops: pip install "
            "skops"
        ) from None
    content = decoder.tensors[entry].numpy().tobytes()
    try:
        _check_archive(content)
        unknown = get_untrusted_types(data=content)
        if trusted is not None:
            unknown = sorted({*unknown} - {*trusted})
        if trusted is None or not unknown:
            return loads(content, trusted=unknown if trusted is None else trusted)
    except Exception as error:  # of skops, or of the types that it makes
        raise InvalidFileError(f"the step {name!r} is damaged: {error}") from error
    raise UntrustedStepError(
        f"The step {name!r} of the Pipeline holds objects of {', '.join(unknown)}. If "
        f"you trust the file, pass load(path, trusted={unknown!r})."
    )


class UntrustedStepError(TypeError):
    """A step holds types that the reader has not named."""


def _check_archive(content):
    """Refuse an archive that needs more memory than the file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise InvalidFileError(f"{entry.filename} is compressed")


def is_ours(estimator):
    """Whether `save` takes an estimator."""
    return type(last_step(estimator)) in ESTIMATORS.values()
