"""A training method that stands outside the trainer: one folder, and nothing else."""

from palmfolio_trainer.training.methods.contract import Method
from tests.unit.trainer.toy_method.settings import ToySettings, parse, show

METHOD = Method(
    settings=ToySettings,
    parse=parse,
    show=show,
    module="tests.unit.trainer.toy_method.training",
)
