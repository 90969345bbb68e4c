"""The end-to-end variational network: cascades of soft data consistency and a U-Net, with learned sensitivity maps.

Source: Sriram et al., MICCAI (2020), arXiv:2004.06688. Weights bear the names of `monai.apps.reconstruction`'s
VariationalNetworkModel, and images are that model's to rounding. It is run otherwise, and faster: channels lie last in memory;
normalisation and activation are one function of its own; biases that a normalisation takes out again are not added; a transposed
convolution that only feeds a convolution is merged with it; sampling is a convolution, so that no FFT is shifted, and along the
readout, which is sampled whole, nothing is transformed. Every slice has its own mask, and an empty slice gives zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..bench.operators import combine, expand, sample, to_image

_STEP = 16
"""A U-Net of four levels halves its input so often."""
_SLOPE = 0.1
_EPSILON = 1e-5
_MERGED = (False, False, True, True)
"""Levels, the deepest first, where merging pays: wide levels of few pixels would multiply more than they move."""


class _NormalisedLeakyReLU(torch.autograd.Function):
    """Instance normalisation and leaky ReLU of (batch, channel, y, x) whose channels lie last in memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(batch, height, width * channels)
        centred = rows - _tile(_mean(rows, channels), width)
        deviation = torch.rsqrt(_mean(centred * centred, channels) + _EPSILON)
        scale = deviation * weight
        out = torch.addcmul(_tile(bias.expand_as(scale), width), centred, _tile(scale, width))
        F.leaky_relu_(out, _SLOPE)
        ctx.save_for_backward(centred, out, deviation, weight)
        return out.view(batch, height, width, channels).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        centred, out, deviation, weight = ctx.saved_tensors
        batch, channels, height, width = gradient.shape
        rows = gradient.permute(0, 2, 3, 1).reshape(batch, height, width * channels)
        rows = torch.ops.aten.leaky_relu_backward(rows, out, _SLOPE, True)
        mean = _mean(rows, channels)
        along = _mean(rows * centred, channels) * deviation
        scale = deviation * weight
        out = torch.addcmul(_tile(-scale * mean, width), centred, _tile(-scale * deviation * along, width))
        out.addcmul_(rows, _tile(scale, width))
        n = height * width
        return (
            out.view(batch, height, width, channels).permute(0, 3, 1, 2),
            (along * n).sum((0, 1)),
            (mean * n).sum((0, 1)),
        )


def _mean(rows: Tensor, channels: int) -> Tensor:
    """(batch, 1, channel) mean over the pixels of (batch, y, x · channel): sums of long rows, then of short ones."""
    batch, height, length = rows.shape
    return rows.sum(1).view(batch, length // channels, channels).sum(1, keepdim=True) / (height * (length // channels))


def _tile(values: Tensor, width: int) -> Tensor:
    return values.repeat(1, 1, width)


class _Frame(torch.autograd.Function):
    """What a bias before a convolution does at the border, where the convolution's zeros lie beside it.

    Inside, the bias is a constant and the normalisation after it takes it out; here it is less by the kernel's part that reaches
    over the edge. Kernel: (channel, 3, 3), summed over the biases.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        for dim in (-2, -1):
            for end in (0, -1):
                x.select(dim, end).sub_(kernel.select(dim, end).sum(-1)[:, None])
        for row in (0, -1):
            for column in (0, -1):
                x[..., row, column] += kernel[..., row, column]
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        total = gradient.new_zeros(gradient.shape[1], 3, 3)
        for dim in (-2, -1):
            for end in (0, -1):
                total.select(dim, end).sub_(gradient.select(dim, end).sum((0, -1))[:, None])
        for row in (0, -1):
            for column in (0, -1):
                total[..., row, column] += gradient[..., row, column].sum(0)
        return gradient, total


def _conv(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x, weight, None, padding=1)


def _finish(x: Tensor, block: Any) -> Tensor:
    norm = block.adn.N
    if x.is_cuda:  # cuDNN's kernel is one launch, ours a dozen
        return F.leaky_relu(F.instance_norm(x, weight=norm.weight, bias=norm.bias, eps=_EPSILON), _SLOPE)
    # Sums over a picture want single precision, whatever the convolutions are in.
    finished: Tensor = _NormalisedLeakyReLU.apply(x.float(), norm.weight, norm.bias)  # type: ignore[no-untyped-call]
    return finished


def _convolve(x: Tensor, block: Any) -> Tensor:
    return _finish(_conv(x, block.conv.weight), block)


def _up(up: Any, x: Tensor, skip: Tensor, merged: bool) -> Tensor:
    """A level's way up: the picture from below, enlarged, and that of this level, through two convolutions."""
    kernel = up.convs.conv_0.conv.weight
    deconv = up.upsample.deconv
    if merged:
        sides = kernel.split([skip.shape[1], kernel.shape[1] - skip.shape[1]], dim=1)
        wide = F.conv2d(deconv.weight, sides[1], padding=2)
        out = _conv(skip, sides[0]) + F.conv_transpose2d(x, wide, stride=2, padding=1)
        out = _Frame.apply(out, torch.einsum("oihw,i->ohw", sides[1], deconv.bias))  # type: ignore[no-untyped-call]
    else:
        out = _conv(torch.cat([skip, deconv(x)], 1), kernel)
    return _convolve(_finish(out, up.convs.conv_0), up.convs.conv_1)


def _run(unet: Any, x: Tensor) -> Tensor:
    """MONAI's `BasicUNet` on (batch, 2, y, x), with its weights."""
    skips = []
    x = _convolve(_convolve(x, unet.conv_0.conv_0), unet.conv_0.conv_1)
    for down in (unet.down_1, unet.down_2, unet.down_3, unet.down_4):
        skips.append(x)
        x = F.max_pool2d(x, 2)
        x = _convolve(_convolve(x, down.convs.conv_0), down.convs.conv_1)
    for up, merged in zip((unet.upcat_4, unet.upcat_3, unet.upcat_2, unet.upcat_1), _MERGED, strict=True):
        x = _up(up, x, skips.pop(), merged)
    out: Tensor = unet.final_conv(x)
    return out


class NormalisedUNet(nn.Module):
    """A U-Net on complex images that are normalised to zero mean and unit deviation, real and imaginary part apart.

    Args:
        unet: its weights.
        run: (U-Net, (batch, 2, kx, ky) → the same), sizes multiples of 16, channels last in memory.
        correction: what the number of pixels is lessened by in the variance.
    """

    def __init__(self, unet: nn.Module, run: Callable[[Any, Tensor], Tensor], correction: int = 0) -> None:
        super().__init__()
        self.unet, self._run, self._correction = unet, run, correction

    def forward(self, image: Tensor) -> Tensor:
        """(batch, kx, ky) complex → the same."""
        height, width = image.shape[-2:]
        channels = torch.view_as_real(image)
        mean = channels.mean((1, 2), keepdim=True)
        centred = channels - mean
        variance = (centred * centred).sum((1, 2), keepdim=True) / (height * width - self._correction)
        there = variance > 0
        deviation = torch.where(there, variance, 1).sqrt()
        x = (centred / deviation).permute(0, 3, 1, 2)
        before = [(-size % _STEP) // 2 for size in (height, width)]
        after = [-size % _STEP - first for size, first in zip((height, width), before, strict=True)]
        if any(before + after):
            x = F.pad(x, (before[1], after[1], before[0], after[0])).contiguous(memory_format=torch.channels_last)
        out = self._run(self.unet, x)[..., before[0] : before[0] + height, before[1] : before[1] + width]
        return torch.view_as_complex((out.permute(0, 2, 3, 1) * torch.where(there, deviation, 0) + mean).contiguous())


def monai_unet(features: int) -> NormalisedUNet:
    """With the weights of MONAI's `ComplexUnet`.

    Args:
        features: width of the first level.
    """
    from monai.networks.nets import BasicUNet

    unet = BasicUNet(
        spatial_dims=2,
        in_channels=2,
        out_channels=2,
        features=tuple(features * factor for factor in (1, 1, 2, 4, 8, 1)),
        act=("LeakyReLU", {"negative_slope": _SLOPE, "inplace": True}),
        norm=("instance", {"affine": True}),
    )
    return NormalisedUNet(unet, _run)


class Sensitivities(nn.Module):
    """Maps from images of the ACS lines, refined coil by coil, of unit norm over the coils.

    Args:
        unet: it refines them.
        apart: real and imaginary parts have a norm each, as in MONAI's model.
    """

    def __init__(self, unet: NormalisedUNet, apart: bool = True) -> None:
        super().__init__()
        self.conv_net, self._dims = unet, (1,) if apart else (1, -1)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, coil, kx, ky) → the same."""
        maps = torch.view_as_real(self.conv_net(images.flatten(0, 1)).unflatten(0, images.shape[:2]))
        squares = (maps * maps).sum(self._dims, keepdim=True)
        return torch.view_as_complex(maps / torch.where(squares > 0, squares, 1).sqrt())


class Cascade(nn.Module):
    """One step: towards what was sampled, and away from what the U-Net takes for an artefact."""

    def __init__(self, unet: NormalisedUNet) -> None:
        super().__init__()
        self.model = unet
        self.dc_weight = nn.Parameter(torch.ones(1))
        self.register_buffer("zeros", torch.zeros(1, 1, 1, 1, 1))

    def forward(self, images: Tensor, sampled: Tensor, mask: Tensor, maps: Tensor) -> Tensor:
        """Coil images (batch, coil, kx, ky) → the next; `sampled` are those of the samples alone, masks begin at frequency 0."""
        along = (-1,) if mask.shape[-2] == 1 else (-2, -1)
        kept = torch.fft.ifftn(torch.fft.fftn(images, dim=along) * mask, dim=along)
        return images - self.dc_weight * (kept - sampled) - expand(self.model(combine(images, maps)), maps)


class VariationalNetwork(nn.Module):
    """Sampled k-space → coil images, or the root sum of their squares.

    Args:
        cascades: a U-Net each step.
        maps: what makes maps.
    """

    def __init__(self, cascades: Iterable[NormalisedUNet], maps: Sensitivities) -> None:
        super().__init__()
        self.coil_sensitivity_model = maps
        self.cascades = nn.ModuleList([Cascade(unet) for unet in cascades])

    def coil_images(self, kspace: Tensor, mask: Tensor, acs: Tensor) -> Tensor:
        """(batch, coil, ky, kx) complex coil images; arguments as `forward`'s."""
        return self._coil_images(kspace, mask, acs).transpose(-1, -2)

    def _coil_images(self, kspace: Tensor, mask: Tensor, acs: Tensor) -> Tensor:
        # The network's last axis is the phase encode's, as in the models whose weights it may take.
        mask, acs = mask.unsqueeze(1).transpose(-1, -2), acs.unsqueeze(1).transpose(-1, -2)
        kspace = sample(kspace.transpose(-1, -2).contiguous(), mask)
        lines = to_image(kspace, (-2,))
        maps = self.coil_sensitivity_model(to_image(sample(lines, acs), (-1,)))
        sampled = to_image(lines, (-1,))
        turned = torch.fft.ifftshift(mask, dim=(-2, -1)).to(kspace.real.dtype)
        images = sampled
        for cascade in self.cascades:
            images = cascade(images, sampled, turned, maps)
        return images

    def forward(self, kspace: Tensor, mask: Tensor, acs: Tensor) -> Tensor:
        """The root sum of squares (batch, ky, kx).

        Args:
            kspace: (batch, coil, ky, kx) complex64.
            mask: (batch, ky, 1 or kx) bool, what was sampled.
            acs: (batch, ky, 1) bool, the fully sampled central lines.
        """
        parts = torch.view_as_real(self._coil_images(kspace, mask, acs))
        squares = (parts * parts).sum((1, -1))
        there = squares > 0
        # The root of nothing has no gradient.
        return torch.where(there, torch.where(there, squares, 1).sqrt(), 0).transpose(-1, -2)
