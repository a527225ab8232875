"""The trainer's client."""

from collections.abc import Generator, Iterator, Sequence

from palmfolio import types
from palmfolio._calls import services
from palmfolio._calls import trainer as calls
from palmfolio._client.service import Service
from palmfolio._operations import Operation

Training = Operation[types.Policy, types.TrainingEvent]
"""A training: `events` yields `TrainingEvent`s, `result` returns the `Policy`."""


class Trainer(Service):
    """Aligns policies to weights, and samples from them."""

    def server_info(self, *, timeout: float | None = None) -> types.ServerInfo:
        """Limits, base models, devices and readiness.

        Example:
            info = client.trainer.server_info()
            print(info.version, info.limits)
            print([model.name for model in info.base_models])
        """
        return self._transport.unary(services.server_info("trainer"), timeout)

    def train_policy(
        self,
        spec: types.PolicySpec,
        *,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Training:
        """Starts training a policy, or finds it: the same spec is trained once.

        Example:
            spec = palmfolio.PolicySpec(
                base_model="smollm2-135m-instruct",
                weights={"brevity": 2, "warmth": 1},
                prompts=("How do I brew good coffee?", "Say hello."),
                method=palmfolio.GrpoConfig(steps=20),
            )
            training = client.trainer.train_policy(spec)
            for event in training.events():
                print(event.progress.stage, event.progress.step)
            policy = training.result()
        """
        message = self._transport.unary(calls.train_policy(spec, request_id), timeout)
        return Operation(self._transport, calls.TRAINING, message)

    def get_policy(self, name: str, *, timeout: float | None = None) -> types.Policy:
        """One policy, by name or id.

        Raises:
            NotFound: no policy has this name.

        Example:
            policy = client.trainer.get_policy("policies/5f3a9c")
        """
        return self._transport.unary(calls.get_policy(name), timeout)

    def list_policies(self) -> Iterator[types.Policy]:
        """Policies, newest first; the unchanged base models among them.

        Example:
            for policy in client.trainer.list_policies():
                print(policy.name, policy.state, policy.spec.weights)
        """
        return self._pages(calls.list_policies)

    def delete_policy(self, name: str, *, timeout: float | None = None) -> None:
        """Deletes a policy and its adapter.

        Raises:
            FailedPrecondition: it is in training, or a base model.

        Example:
            client.trainer.delete_policy("policies/5f3a9c")
        """
        self._transport.unary(calls.delete_policy(name), timeout)

    def generate(
        self,
        policies: Sequence[str],
        prompts: Sequence[str | types.Prompt],
        *,
        sampling: types.SamplingConfig | None = None,
        timeout: float | None = None,
    ) -> list[types.Completion]:
        """Samples responses; returns them in the order of policies, prompts and samples.

        Example:
            sampling = palmfolio.SamplingConfig(samples_per_prompt=2, max_tokens=48, seed=1)
            prompts = ["How do I brew good coffee?"]
            for item in client.trainer.generate(["policies/5f3a9c"], prompts, sampling=sampling):
                print(item.policy, item.text)
        """
        stream = self.generate_stream(policies, prompts, sampling=sampling, timeout=timeout)
        return calls.in_request_order(list(stream), policies)

    def generate_stream(
        self,
        policies: Sequence[str],
        prompts: Sequence[str | types.Prompt],
        *,
        sampling: types.SamplingConfig | None = None,
        timeout: float | None = None,
    ) -> Generator[types.Completion, None, None]:
        """Samples responses and yields each as soon as it is complete, in any order.

        Closing or dropping the iterator cancels the call.

        Example:
            for item in client.trainer.generate_stream(["policies/5f3a9c"], ["Say hello."]):
                print(item.prompt_index, item.text)
        """
        call = calls.generate(policies, prompts, sampling)
        for batch in self._transport.stream(call, timeout):
            yield from batch

    def operation(self, name: str, *, timeout: float | None = None) -> Training:
        """The training operation of that name.

        Example:
            policy = client.trainer.operation("operations/81d2").result(timeout=600)
        """
        message = self._transport.unary(services.get_operation("trainer", name), timeout)
        return Operation(self._transport, calls.TRAINING, message)

    def list_operations(self) -> Iterator[Training]:
        """Training operations.

        Example:
            running = [item for item in client.trainer.list_operations() if not item.done]
        """
        for message in self._pages(lambda token: services.list_operations("trainer", token)):
            yield Operation(self._transport, calls.TRAINING, message)
