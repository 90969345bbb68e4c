"""How a network is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import HalfscanError
from ..sampling.pattern import Sampling


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """How a network is trained.

    Raises:
        HalfscanError: a setting out of range.
    """

    steps: int = 400
    """Updates of the weights."""
    batch_size: int = 4
    """Slices an update, over all processes."""
    learning_rate: float = 0.002
    """Of Adam at its highest."""
    warm_up: int = 0
    """Steps over which the learning rate rises to it."""
    decay: bool = False
    """Whether it then falls to nothing along half a cosine."""
    clip: float | None = None
    """The gradient is shortened to this norm; None leaves it."""
    average: float | None = None
    """Share of the old in a running mean of the weights, which then are validated and kept; None keeps the last ones."""
    loss: str = "l1"
    """`l1`: mean absolute difference; `log_nmse`: logarithm of each slice's own NMSE, so that a tenth less error counts the same
    in a quiet slice as in a noisy one."""
    accelerations: tuple[float, ...] = (2.0, 3.0, 4.0)
    """Drawn at random for every slice and epoch; everything else of the masks is the cell's sampling."""
    samplings: tuple[Sampling, ...] | None = None
    """Drawn from instead of the cell's sampling at `accelerations`."""
    augment: bool = False
    """Whether heads and coils are mirrored together and receivers turned."""
    start: str | None = None
    """File of weights to begin from (safetensors); None: from those that the seed draws."""
    validate_every: int = 50
    """Steps between validations; the weights that do best on the validation patients are kept."""
    patience: int | None = None
    """Training stops after so many validations without a better one; None: never early."""
    checkpoint_every: int = 50
    """Steps between checkpoints, beside those at validations and at SIGTERM."""
    workers: int = 0
    """Processes that prepare slices; the numbers do not depend on them."""
    cache: str | None = None
    """Folder for prepared slices, which trainings and processes share; None keeps them in memory."""
    mixed_precision: bool = False
    """Whether convolutions are in bfloat16."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "accelerations", tuple(self.accelerations))
        if self.samplings is not None:
            object.__setattr__(self, "samplings", tuple(self.samplings))
        lowest = {"steps": 1, "batch_size": 1, "validate_every": 1, "checkpoint_every": 1, "warm_up": 0, "workers": 0}
        for name, low in lowest.items():
            if getattr(self, name) < low:
                raise HalfscanError(f"trainer.{name}={getattr(self, name)} must be at least {low}")
        if not 0 < self.learning_rate < 1 or not (self.accelerations or self.samplings):
            raise HalfscanError(f"trainer: learning_rate={self.learning_rate} must lie in (0, 1), accelerations not be empty")
        if self.loss not in ("l1", "log_nmse"):
            raise HalfscanError(f"trainer.loss={self.loss} is unknown: use l1 or log_nmse")
        if self.average is not None and not 0 < self.average < 1:
            raise HalfscanError(f"trainer.average={self.average} must lie between 0 and 1, or be null")
        if self.start is not None and not Path(self.start).is_file():
            raise HalfscanError(f"trainer.start={self.start}: no such file")
        if self.clip is not None and not self.clip > 0:
            raise HalfscanError(f"trainer.clip={self.clip} must be positive, or null")
        if self.patience is not None and self.patience < 1:
            raise HalfscanError(f"trainer.patience={self.patience} must be at least 1, or null")


LEAVES_WEIGHTS_ALONE = ("checkpoint_every", "workers", "cache", "start")
"""Settings of a trainer that no weight depends on; of weights to begin from the content counts, not where they lie."""
