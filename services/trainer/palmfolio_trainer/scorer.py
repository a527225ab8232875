"""What the trainer asks of its scorer before a training: which traits there are."""

from grpc import aio

from palmfolio.v1 import scorer_pb2, scorer_pb2_grpc
from palmfolio_runtime import errors
from palmfolio_runtime.clients.channels import call_metadata, connect, status_of
from palmfolio_runtime.config import Endpoint
from palmfolio_runtime.limits import Limits

_TIMEOUT_SECONDS = 10.0


class TraitCatalogue:
    """The scorer's traits, asked for each time: its configuration may change at any restart."""

    def __init__(self, endpoint: Endpoint, limits: Limits) -> None:
        self._endpoint = endpoint
        self._channel = connect(endpoint, limits)
        self._stub = scorer_pb2_grpc.ScorerStub(self._channel)

    async def traits(self) -> dict[str, scorer_pb2.Trait]:
        """The traits by name, without `traits/`.

        Raises:
            ServiceError: UNAVAILABLE when the scorer cannot be asked.
        """
        found: dict[str, scorer_pb2.Trait] = {}
        token = ""
        while True:
            try:
                page = await self._stub.ListTraits(
                    scorer_pb2.ListTraitsRequest(page_token=token),
                    timeout=_TIMEOUT_SECONDS,
                    metadata=call_metadata(self._endpoint),
                )
            except aio.AioRpcError as error:
                raise self._unavailable(status_of(error).message) from error
            found |= {trait.name.removeprefix("traits/"): trait for trait in page.traits}
            token = page.next_page_token
            if not token:
                break
        # A trait's version is known once its model is loaded, and only then means anything.
        loading = [name for name, trait in found.items() if not (trait.version or trait.failure)]
        if loading:
            raise self._unavailable(f"it is still loading {', '.join(loading)}")
        return found

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close()

    def _unavailable(self, reason: str) -> errors.ServiceError:
        return errors.unavailable(
            "scorer", f"the scorer at {self._endpoint.address} cannot be asked: {reason}"
        )
