"""The adversarial losses of ProSRGAN: Eq. 4 in five kinds, what steadies D, and Eq. 7 in both readings of lambda.

All take logits, one for each patch; D(.) is their sigmoid. Eq. 5 is `losses.residual_loss`, Eq. 10 `losses.cascade`.

The two readings differ in the weight of a pixel's content against the adversarial term, for a patch of P pixels:
lambda under "literal", where the content is a sum over the pixels, and 1 / (lambda P) under "text", where it is a mean.
With lambda = 1e-2 both are the same but for a constant factor, which Adam ignores, where P = 1e4: a level of 100x100
pixels. On larger patches the content weighs less under "text", on smaller ones more.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from prosr_lightning.errors import require_choice
from prosr_lightning.losses.content import widened

KINDS = ("non_saturating", "minimax", "least_squares", "hinge", "relativistic")
OBJECTIVES = ("literal", "text")
WEIGHT = 1e-2  # lambda, Sec. 4.2


def gan_value(real: Tensor, fake: Tensor) -> Tensor:
    """Compute L_GAN = E log D(r) + E log(1 - D(G(x) - x')), which D maximises (Eq. 4).

    Args:
        real: Logits of true residual images, of any shape.
        fake: Logits of generated ones, of any shape.

    Returns:
        A scalar in float32 or float64, at most 0.

    Examples:
        >>> import torch
        >>> gan_value(torch.zeros(2), torch.zeros(3))
        tensor(-1.3863)
    """
    return F.logsigmoid(widened(real)).mean() + F.logsigmoid(-widened(fake)).mean()


def judged(real: Tensor, fake: Tensor, *, kind: str = "non_saturating") -> tuple[Tensor, Tensor]:
    """Return the logits by which D judges each side; its belief in a residual image is their sigmoid.

    With "relativistic" D says how much truer a residual image is than the other side on average:
    D_Ra(r) = sigmoid(C(r) - E C(f)) and D_Ra(f) = sigmoid(C(f) - E C(r)), C being the logits (Jolicoeur-Martineau,
    "The relativistic discriminator", 2018; ESRGAN, Sec. 3.2). In every other kind they are the logits themselves.

    Args:
        real: Logits of true residual images, of any shape.
        fake: Logits of generated ones, of any shape.
        kind: See `discriminator_loss`.

    Raises:
        ConfigError: If `kind` is unknown.

    Examples:
        >>> judged(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0]), kind="relativistic")
        (tensor([0.5000, 1.5000]), tensor([-1.5000, -0.5000]))
    """
    require_choice("adversarial", kind, KINDS)
    real, fake = widened(real), widened(fake)
    return (real - fake.mean(), fake - real.mean()) if kind == "relativistic" else (real, fake)


def discriminator_loss(real: Tensor, fake: Tensor, *, kind: str = "non_saturating") -> Tensor:
    """Compute what D minimises: the negative of Eq. 4, or what stands for it in another kind of GAN.

    Args:
        real: Logits of true residual images, of any shape.
        fake: Logits of generated ones, without a gradient to the generator.
        kind: "non_saturating" and "minimax" (Goodfellow et al., equal for D), "least_squares" (Mao et al., targets 1
            and 0), "hinge" (Lim and Ye; margin 1) or "relativistic" (of `judged`; ESRGAN, Eq. 1).

    Returns:
        A scalar in float32 or float64.

    Raises:
        ConfigError: If `kind` is unknown.
    """
    real, fake = judged(real, fake, kind=kind)
    if kind == "least_squares":
        return 0.5 * ((real - 1).square().mean() + fake.square().mean())
    if kind == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    return -gan_value(real, fake)


def r1_penalty(residual: Tensor, logits: Tensor) -> Tensor:
    """Compute R1 = E |grad D(r)|^2 at true residual images, which keeps D from telling them apart by steep slopes.

    Mescheder et al., "Which training methods for GANs do actually converge?", 2018, Eq. 9, without gamma / 2.

    Args:
        residual: r, `(N, 1, H, W)`, with `requires_grad`; D must judge each for itself, without batch norm.
        logits: D(r), `(N, 1, h, w)`, one for each patch.

    Returns:
        A scalar in float32 or float64: the squared norm over the pixels of the gradient of an image's summed logits,
        divided by their number, so that it does not grow with the image; the mean over the batch. It can be
        differentiated with respect to D's weights.

    Examples:
        >>> residual = torch.zeros(1, 1, 2, 2, requires_grad=True)
        >>> r1_penalty(residual, 3 * residual.sum().view(1, 1, 1, 1))
        tensor(36.)
    """
    (gradient,) = torch.autograd.grad(logits.sum(), residual, create_graph=True)
    return widened(gradient).square().sum() / logits.numel()


def generator_loss(real: Tensor, fake: Tensor, *, kind: str = "non_saturating") -> Tensor:
    """Compute the adversarial term that G minimises.

    Args:
        real: Logits of true residual images, without a gradient; only "relativistic" looks at them.
        fake: Logits of generated ones, of any shape.
        kind: "non_saturating": -E log D; "minimax": E log(1 - D), as Eq. 4 says, whose gradient vanishes where D is
            sure (docs/paper-notes.md, entry 11); "least_squares"; "hinge": the negative mean logit; "relativistic":
            what D minimises with the sides exchanged (ESRGAN, Eq. 2).

    Returns:
        A scalar in float32 or float64.

    Raises:
        ConfigError: If `kind` is unknown.
    """
    real, fake = judged(real, fake, kind=kind)
    if kind == "relativistic":
        return -gan_value(fake, real)
    if kind == "minimax":
        return F.logsigmoid(-fake).mean()
    if kind == "least_squares":
        return 0.5 * (fake - 1).square().mean()
    if kind == "hinge":
        return -fake.mean()
    return -F.logsigmoid(fake).mean()


def full_objective(adversarial: Tensor, content: Tensor, *, objective: str = "text", weight: float = WEIGHT) -> Tensor:
    """Weigh the two terms of one level: L = L_GAN + lambda L_c (Eq. 7), for G.

    Args:
        adversarial: L_GAN of `generator_loss`.
        content: L_c of `losses.residual_loss`, reduced as `content_reduction` says.
        objective: "literal", `adversarial + weight * content` as Eq. 7 is printed, or "text",
            `content + weight * adversarial` as Sec. 4.2 describes its effect (docs/paper-notes.md, entry 12).
        weight: lambda.

    Returns:
        A scalar.

    Raises:
        ConfigError: If `objective` is unknown.
    """
    require_choice("objective", objective, OBJECTIVES)
    if objective == "literal":
        return adversarial + weight * content
    return content + weight * adversarial


def content_reduction(objective: str) -> str:
    """Return how the content is reduced: a sum over the pixels of a patch for "literal", a mean for "text".

    Raises:
        ConfigError: If `objective` is unknown.
    """
    require_choice("objective", objective, OBJECTIVES)
    return "sum" if objective == "literal" else "mean"


def probability(logits: Tensor, *, kind: str = "non_saturating") -> Tensor:
    """Return D(.), the mean belief that residual images are true ones, as a scalar in `[0, 1]`.

    The sigmoid of the logits of `judged`; with "least_squares" they are the belief themselves and are clamped.

    Raises:
        ConfigError: If `kind` is unknown.
    """
    require_choice("adversarial", kind, KINDS)
    return widened(logits).clamp(0, 1).mean() if kind == "least_squares" else widened(logits).sigmoid().mean()


def accuracy(real: Tensor, fake: Tensor, *, kind: str = "non_saturating") -> Tensor:
    """Return the share of patches that D judges rightly, by the logits of `judged`; 0.5 is guessing.

    True and generated ones count alike.

    Raises:
        ConfigError: If `kind` is unknown.
    """
    require_choice("adversarial", kind, KINDS)
    threshold = 0.5 if kind == "least_squares" else 0.0
    return 0.5 * ((real > threshold).float().mean() + (fake <= threshold).float().mean())
