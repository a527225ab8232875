"""Group relative policy optimisation, through TRL."""

from palmfolio_trainer.training.methods.contract import Method
from palmfolio_trainer.training.methods.grpo.protocol import parse, show
from palmfolio_trainer.training.methods.grpo.settings import GrpoSettings

METHOD = Method(
    settings=GrpoSettings,
    parse=parse,
    show=show,
    module="palmfolio_trainer.training.methods.grpo.method",
)
