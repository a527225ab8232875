"""The client: where the services are, and one object for each."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from palmfolio._client.scorer import Scorer
from palmfolio._client.selector import Selector
from palmfolio._client.trainer import Trainer
from palmfolio._connection import TLS, Timeouts, connection
from palmfolio._transport import SyncTransport


class Client:
    """Speaks to the scorer, the trainer and the selector; safe to share between threads.

    Every call takes `timeout` in seconds, retries included; None takes the client's. Calls that
    change something carry a request id, so that a retry never does the work twice; give your own
    `request_id` to repeat a call safely from another process.

    Example:
        import palmfolio

        with palmfolio.Client("palmfolio-quickstart/endpoints.json") as client:
            for portfolio in client.selector.list_portfolios():
                print(portfolio.name, portfolio.state)

    Args:
        endpoints: addresses by service (`{"scorer": "host:port", …}`) or the path of a connection
            file, such as the quickstart's `endpoints.json`. None takes the file that the
            environment variable `PALMFOLIO_ENDPOINTS` names.
        scorer: address of the scorer; takes precedence over `endpoints`, as do the next two.
        trainer: address of the trainer.
        selector: address of the selector.
        token: bearer token; None takes the file's, then `PALMFOLIO_TOKEN`.
        tls: TLS of the channels; None takes the file's.
        insecure: lets the token travel without TLS to addresses other than loopback.
        timeouts: seconds that calls without a `timeout` of their own may take.

    Raises:
        ConfigurationError: no address is known, or the connection file cannot be used.
    """

    def __init__(
        self,
        endpoints: Mapping[str, str] | str | Path | None = None,
        *,
        scorer: str | None = None,
        trainer: str | None = None,
        selector: str | None = None,
        token: str | None = None,
        tls: TLS | None = None,
        insecure: bool = False,
        timeouts: Timeouts | None = None,
    ) -> None:
        explicit = {"scorer": scorer, "trainer": trainer, "selector": selector}
        settled = connection(endpoints, explicit, token, tls, insecure)
        self._transport = SyncTransport(settled, timeouts or Timeouts())
        self.scorer = Scorer(self._transport)
        self.trainer = Trainer(self._transport)
        self.selector = Selector(self._transport)

    def close(self) -> None:
        """Closes the connections; leaving a `with` block does the same.

        Example:
            client = palmfolio.Client(scorer="127.0.0.1:8101")
            client.close()
        """
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
