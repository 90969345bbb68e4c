"""MONAI's dictionary transforms and caches for training: from an acquisition's slice to a network's input and target.

Ours where MONAI's own are wrong for complex data: its k-space masks take real arrays with a trailing 2 and mask a complex
tensor on the wrong axis, one mask serves a whole batch, and a mask without a centre gives NaN maps without a word.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import CacheDataset, Dataset, PersistentDataset
from monai.transforms import Compose, RandomizableTransform, Transform
from monai.utils import convert_to_tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from .acquisition import Acquisition
from .errors import HalfscanError, one_line
from .files import whole_file
from .maps import Espirit
from .network import NetworkInput, normalised
from .noise import noise_level
from .operators import combine, sample, to_image
from .sampling.mask import Mask
from .sampling.pattern import Sampling
from .sources import source_hash

log = logging.getLogger(__name__)


class Samplings:
    """What masks are drawn from. A slice keeps its ACS lines, since its maps hang on them; all else is drawn anew."""

    def __init__(self, samplings: Sequence[Sampling]) -> None:
        self._samplings = tuple(samplings)

    def of(self, digest: str, index: int, lines: int) -> tuple[Sampling, ...]:
        """Those that a slice's masks are drawn from: all with the same number of ACS lines.

        Args:
            digest: of the slice's volume.
            index: of the slice.
            lines: along ky.
        """
        widths = sorted({one.central_lines(lines) for one in self._samplings})
        chosen = widths[int(hashlib.sha256(f"{digest} {index}".encode()).hexdigest()[:8], 16) % len(widths)]
        return tuple(one for one in self._samplings if one.central_lines(lines) == chosen)


class ReadSliced(Transform):  # type: ignore[misc]
    """{acquisition, slice} → {kspace (coil, ky, kx), maps, target (ky, kx), noise_cov, …}; cached, as nothing in it is random.

    Maps are estimated from the ACS lines alone, which all masks of the slice share; the target combines the noise-free
    k-space, or the full scan where there is none, by those same maps.
    """

    def __init__(self, maps: Espirit, samplings: Samplings) -> None:
        self._maps = maps
        self._samplings = samplings

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        acquisition: Acquisition = data["acquisition"]
        index = int(data["slice"])
        kspace = torch.from_numpy(acquisition.kspace.read_stack(index, index + 1))
        truth = torch.from_numpy((acquisition.truth or acquisition.kspace).read_stack(index, index + 1))
        mask = calibration_mask(acquisition, index, self._samplings)
        maps = self._maps(kspace, mask.calibration, mask.acs_readout)
        noise_cov = acquisition.noise_cov
        return {
            "kspace": kspace[0],
            "maps": maps[0],
            "target": combine(to_image(truth), maps)[0],
            "noise_cov": torch.zeros(0) if noise_cov is None else torch.from_numpy(noise_cov),
            "acquired": torch.from_numpy(acquisition.acquired.copy()),
            "digest": acquisition.digest,
            "index": index,
        }


def calibration_mask(acquisition: Acquisition, index: int, samplings: Samplings) -> Mask:
    """Any of the masks of a slice: their ACS lines are the same."""
    one = samplings.of(acquisition.digest, index, acquisition.kspace.size("ky"))[0]
    return one.draw(acquisition.acquired, "acs", readout=acquisition.kspace.size("kx"))


class RandFlipd(RandomizableTransform):  # type: ignore[misc]
    """Mirrors object and coils together, along the readout and along ky, and turns the phase of the receiver.

    Only what a scanner could have measured: noise, maps and target follow, and ky is mirrored only where all its lines were
    acquired. Centred pixels stay centred.
    """

    def __init__(self) -> None:
        super().__init__(prob=1.0)

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        flips = [axis for axis in (-2, -1) if self.R.random() < 0.5]
        if not bool(data["acquired"].all()):
            flips = [axis for axis in flips if axis == -1]
        turn = complex(np.exp(2j * np.pi * self.R.random()))
        changed = {name: mirrored(data[name], flips) for name in ("kspace", "maps", "target")}
        # The phase of all coils is one; it goes where ESPIRiT leaves it, into the maps.
        return {**data, **changed, "maps": changed["maps"] * turn, "target": changed["target"] * turn.conjugate()}


def mirrored(image: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    """An image or its k-space, mirrored about the centre n // 2."""
    for axis in axes:
        n = image.shape[axis]
        image = image.flip(axis).roll(1 - n % 2, axis)
    return image


class RandMaskd(RandomizableTransform):  # type: ignore[misc]
    """Draws a mask of one of a slice's samplings, and leaves of k-space what it samples."""

    def __init__(self, samplings: Samplings) -> None:
        super().__init__(prob=1.0)
        self._samplings = samplings

    def __call__(self, data: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        kspace: torch.Tensor = data["kspace"]
        height, readout = kspace.shape[-2:]
        samplings = self._samplings.of(data["digest"], int(data["index"]), height)
        sampling = samplings[self.R.randint(len(samplings))]
        acquired: np.ndarray[Any, Any] = data["acquired"].numpy()
        mask = sampling.draw(acquired, data["digest"], int(self.R.randint(2**31)), readout=readout)
        lines = torch.from_numpy(mask.sampled.copy())
        lines = lines[:, None] if lines.ndim == 1 else lines
        acs = torch.zeros(height, 1, dtype=torch.bool)
        if mask.acs is not None:
            acs[mask.acs[0] : mask.acs[1]] = True
        sampled = sample(kspace, lines)
        return {
            "kspace": sampled,
            "mask": lines,
            "acs": acs,
            "maps": data["maps"],
            "noise": noise_level(sampled[None], data["noise_cov"] if data["noise_cov"].numel() else None)[0],
            "target": data["target"],
        }


def prepare_batch(
    batch: Mapping[str, torch.Tensor], device: torch.device | str | None = None, non_blocking: bool = False, **_: Any
) -> tuple[NetworkInput, torch.Tensor]:
    """A network's input and the image that it should give, on the device; MONAI's engines call it."""
    here = {name: value.to(device, non_blocking=non_blocking) for name, value in batch.items()}
    target = here.pop("target")
    given = normalised(**here)
    return given, target / given.scale


class SeededSlices:
    """Cached slices whose random part depends on (seed, epoch, slice) alone, whatever ran before or beside it.

    An index is epoch · length + slice, as `Batches` gives it.

    Args:
        acquisitions: whose slices.
        samplings: what masks are drawn from.
        maps: the estimator of sensitivity maps.
        seed: of all that is random.
        augment: mirrored and turned, too.
        cache: folder that processes share, for what is expensive and not random; None keeps it in memory.
    """

    def __init__(
        self,
        acquisitions: Sequence[Acquisition],
        samplings: Sequence[Sampling],
        maps: Espirit,
        seed: int,
        *,
        augment: bool = False,
        cache: Path | None = None,
    ) -> None:
        drawn = Samplings(samplings)
        self._items = [{"acquisition": one, "slice": index} for one in acquisitions for index in range(one.slices)]
        self.shapes = [one.kspace.shape[1:] for one in acquisitions for _ in range(one.slices)]
        self._seed = seed
        read = ReadSliced(maps, drawn)
        self._random = Compose([*([RandFlipd()] if augment else []), RandMaskd(drawn)])
        self._files: list[Path] = []
        if cache is None:
            self._read: Dataset = CacheDataset(self._items, read, num_workers=1, progress=False, copy_cache=False)
            return
        # Code that was edited must not find what the code before it made.
        made = [json.dumps(asdict(maps)), source_hash(__name__), [[type(one).__qualname__, asdict(one)] for one in samplings]]

        def key(item: Mapping[str, Any]) -> bytes:
            content = json.dumps([item["acquisition"].digest, item["slice"], *made], sort_keys=True)
            return hashlib.sha256(content.encode()).hexdigest().encode()

        self._read = _Folder(self._items, Compose([read]), cache_dir=cache, hash_func=key)
        self._files = [cache / f"{key(item).decode()}.pt" for item in self._items]

    def prepare(self, workers: int = 0, rank: int = 0, world: int = 1) -> DataLoader[None]:
        """A way through the volumes whose slices the folder does not hold yet; each turn puts one volume's there.

        Batches take slices at random, and would read or simulate a whole volume for each of them.

        Args:
            workers: processes that do it; 0: this one.
            rank, world: of several processes that share the volumes, which of them this is and how many they are.
        """
        missing: dict[int, list[int]] = {}
        for index, file in enumerate(self._files):
            if not file.exists():
                missing.setdefault(id(self._items[index]["acquisition"]), []).append(index)
        volumes = _Volumes(self._read, list(missing.values())[rank::world])
        # A generator of its own: torch's is the training's.
        return DataLoader(volumes, batch_size=None, num_workers=min(workers, len(volumes)), generator=torch.Generator())

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        epoch, chosen = divmod(index, len(self))
        key = hashlib.sha256(f"{self._seed} {epoch} {chosen}".encode()).digest()
        # A list of bytes seeds what one small number could not: slices must not share their draws.
        self._random.set_random_state(state=np.random.RandomState(np.frombuffer(key, dtype="<u4").astype(np.uint32)))
        drawn: dict[str, torch.Tensor] = self._random(self._read[chosen])
        return drawn


class _Folder(PersistentDataset):  # type: ignore[misc]
    """MONAI's folder of what was read, whose files appear whole, and in which a file that is damaged is made again.

    MONAI's own moves them there from the machine's folder for temporary files: a process that is killed meanwhile leaves half
    of one, which every later training would stumble over.
    """

    _told = False
    """Whether it was said that nothing can be written."""

    def _cachecheck(self, item_transformed: Mapping[str, Any]) -> Any:
        path = self.cache_dir / f"{self.hash_func(item_transformed).decode()}.pt"
        if path.exists():
            try:
                return torch.load(path, weights_only=True)
            except (PermissionError, MemoryError):
                raise
            except Exception as error:  # torch raises whatever its unpickler does
                log.warning("%s can't be read (%s): it is made again", path, type(error).__name__)
        made = convert_to_tensor(self._pre_transform(dict(item_transformed)), convert_numeric=False)
        try:
            with whole_file(path) as draft:
                torch.save(made, draft)
        except (OSError, RuntimeError) as error:  # torch says so of a folder that is read-only, or full
            if not self._told:
                log.warning("trainer.cache=%s takes no more (%s): slices are read anew", self.cache_dir, one_line(error))
            self._told = True
        return made


class _Volumes(TorchDataset[None]):
    """Reads all slices of a volume, for what that leaves in the cache."""

    def __init__(self, read: Dataset, volumes: Sequence[Sequence[int]]) -> None:
        self._read, self._volumes = read, volumes

    def __len__(self) -> int:
        return len(self._volumes)

    def __getitem__(self, volume: int) -> None:
        for index in self._volumes[volume]:
            self._read[index]


class Batches(Sampler[list[int]]):
    """All batches of a training from a step on, of slices of one shape each; a new order every epoch, from (seed, epoch) alone.

    What does not fill a batch waits for the next epoch, in another order; a shape of few slices makes one of all.

    Args:
        shapes: of each slice.
        size: slices a batch.
        seed: of the order.
        steps: batches in all, over as many epochs as that takes.
        first: step to begin with.
        rank, world: of several processes that share each batch, which of them this is and how many they are.
    """

    def __init__(
        self, shapes: Sequence[tuple[int, ...]], size: int, seed: int, steps: int, first: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        self._groups = [np.array([i for i, one in enumerate(shapes) if one == shape]) for shape in dict.fromkeys(shapes)]
        for group in self._groups:
            # A share of nothing, or of fewer slices than another's, would not give the batch's gradient.
            if len(group) < size and len(group) % world:
                raise HalfscanError(
                    f"{len(group)} slices of shape {shapes[group[0]]} make a batch by themselves and can't be shared evenly by "
                    f"{world} processes: use trainer.batch_size={world} or fewer processes"
                )
        self._size, self._seed, self._steps, self._first = size, seed, steps, first
        self._length, self._rank, self._world = len(shapes), rank, world
        self.per_epoch = sum(max(1, len(group) // size) for group in self._groups)
        self._epoch = lru_cache(maxsize=1)(self._batches)

    def __len__(self) -> int:
        return self._steps - self._first

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self._first, self._steps):
            epoch, within = divmod(step, self.per_epoch)
            yield self._epoch(epoch)[within][self._rank :: self._world]

    def _batches(self, epoch: int) -> list[list[int]]:
        rng = np.random.default_rng([self._seed, epoch])
        batches = []
        for group in self._groups:
            order = epoch * self._length + rng.permutation(group)
            full = max(1, len(group) // self._size)
            batches += [[int(one) for one in part] for part in np.split(order[: full * self._size], full)]
        return [batches[index] for index in rng.permutation(len(batches))]
