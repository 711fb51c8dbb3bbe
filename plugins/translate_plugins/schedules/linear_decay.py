"""Linear decay, the schedule of CycleGAN and pix2pix."""

from __future__ import annotations

from translate_core import Length, Schedule

_HUNDRED_EPOCHS = Length(100, "epochs")


class LinearDecay(Schedule):
    """Constant, then linear towards zero over the rest of the run (Zhu et al., ICCV 2017, section 4).

    Counted in the unit of `constant`, epochs or steps: a schedule in epochs is constant within an epoch. In the t-th of
    `total` units, the first n of them constant, the factor is 1 - max(0, t - n) / (total - n + 1): zero would be
    reached one unit after the last. Of 200 epochs with 100 constant, the last runs at 1/101. A run that is no longer
    than `constant` stays at 1.

    Args:
        length: steps of the whole run.
        epoch: steps in an epoch.
        constant: the length of the constant part.
        reach_zero: divide by total - n instead, so that the factor of the last unit is zero (U-GAT-IT).
    """

    def __init__(
        self, length: int, epoch: int, *, constant: Length = _HUNDRED_EPOCHS, reach_zero: bool = False
    ) -> None:
        self._unit = epoch if constant.unit == "epochs" else 1
        self._constant = constant.count
        self._total = -(-length // self._unit)
        self._beyond = 0 if reach_zero else 1

    def factor(self, step: int) -> float:
        """step: 0 for the first optimizer step. Returns a factor from 0 to 1."""
        t = min(step // self._unit + 1, self._total)
        if t <= self._constant:
            return 1.0
        return 1.0 - (t - self._constant) / (self._total - self._constant + self._beyond)
