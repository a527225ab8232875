"""`Calibrate`: scores the samples, fits a normalisation to their raw rewards, stores it."""

import asyncio

import numpy as np

from palmfolio.v1 import errors_pb2, scorer_pb2
from palmfolio_runtime.digest import digest
from palmfolio_runtime.errors import already_exists, failed_precondition, invalid_argument
from palmfolio_runtime.names import check_request_id
from palmfolio_scorer.calibration.fitting import FITS, MIN_SAMPLES, CalibrationError
from palmfolio_scorer.lifecycle.scorer_runtime import ScorerRuntime
from palmfolio_scorer.protocol.lenient_decoding import read_samples
from palmfolio_scorer.protocol.replies import trait_message
from palmfolio_scorer.traits.catalogue.served_trait import ServedTrait

_METHODS = scorer_pb2.CalibrationMethod


async def calibrate(
    runtime: ScorerRuntime, served: ServedTrait, request: scorer_pb2.CalibrateRequest
) -> scorer_pb2.CalibrateResponse:
    """Fits the trait's normalisation to the request's samples.

    Raises:
        ServiceError: a field is wrong, the request id was used with another body, the trait
            cannot be scored, too few samples can be scored, or there is no `state_dir`.
        QueueFullError: there is no room now.
    """
    method = _METHODS.Name(request.method).removeprefix("CALIBRATION_METHOD_")
    if method not in FITS:
        raise invalid_argument(("method", f"is required: one of {', '.join(sorted(FITS))}"))
    if not 0 <= request.tail < 0.5:
        raise invalid_argument(("tail", f"{request.tail:g} is not in [0, 0.5)"))
    body = _body_digest(request)
    # Before scoring, which is the expensive part.
    if not request.validate_only:
        _check_repeatable(runtime, request.request_id, body)
    if served.failure:
        raise failed_precondition(
            errors_pb2.ERROR_REASON_RESOURCE_NOT_READY, f"{served.name}: {served.failure}"
        )
    samples, unreadable = read_samples(request.samples)
    table = await runtime.engine.score(samples, [served], failed=unreadable)
    raw = table.raw[~np.isnan(table.raw[:, 0]), 0]
    if len(raw) < MIN_SAMPLES:
        causes = {failure.message for failure in table.failures.values()}
        raise failed_precondition(
            errors_pb2.ERROR_REASON_SCORING_FAILED,
            f"{len(raw)} of {len(samples)} samples could be scored, {MIN_SAMPLES} are needed: "
            + "; ".join(sorted(causes)[:3]),
        )
    try:
        fitted = FITS[method](raw, falls=served.normalisation.falls(), tail=request.tail)
    except CalibrationError as error:
        raise invalid_argument(("samples", str(error))) from error
    previous = served.version  # `recalibrate` below changes it
    reply = trait_message(served)
    reply.version = served.version_with(fitted)
    reply.normalisation = fitted.describe()
    if not request.validate_only and runtime.calibrations is not None:
        await asyncio.to_thread(
            runtime.calibrations.save,
            *(served.name, served.raw_identity, fitted, request.request_id, body),
        )
        runtime.recalibrate()
    return scorer_pb2.CalibrateResponse(
        trait=reply,
        previous_version=previous,
        scored_samples=len(raw),
        raw_quantiles=np.quantile(raw, [0, 0.25, 0.5, 0.75, 1]).tolist(),
    )


def _check_repeatable(runtime: ScorerRuntime, request_id: str, body: str) -> None:
    if runtime.calibrations is None:
        raise failed_precondition(
            errors_pb2.ERROR_REASON_RESOURCE_NOT_READY,
            "the scorer has no `state_dir` to keep calibrations in: set it in its configuration",
        )
    known = runtime.calibrations.request(check_request_id(request_id))
    if known is not None and known != body:
        raise already_exists(
            f"requests/{request_id}",
            f"request_id {request_id!r} was used with another body",
            errors_pb2.ERROR_REASON_REQUEST_ID_REUSED,
        )


def _body_digest(request: scorer_pb2.CalibrateRequest) -> str:
    body = scorer_pb2.CalibrateRequest()
    body.CopyFrom(request)
    body.ClearField("request_id")
    return digest(body.SerializeToString(deterministic=True).hex())
