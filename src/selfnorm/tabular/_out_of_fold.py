"""Rows to validate with, of each network those alone that it left out.

Each of eight networks leaves out a quarter of up to 4,000 rows, and an eighth of many: to ask all
about all rows is four to eight times the work.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from selfnorm.training import Rows

_MOST_NUMBERS = 1 << 24  # of the rows side by side, 64 MiB
_LEAST_GAIN = 2


class OutOfFold(NamedTuple):
    """Rows by the networks that left them out.

    Attributes:
        rows: Their inputs, (slots, networks, features): in each slot a row for each network. What
            is known is that of all rows, (rows,).
        slots: In which slot a network is asked about a row, (rows, networks); any where it is not.
    """

    rows: Rows
    slots: Tensor

    @classmethod
    def of(cls, rows: Rows, left_out: Tensor) -> "OutOfFold | None":
        """From rows and which networks left each out, (rows, networks).

        None where that is not worth it: half of the rows or more are left out by one, or what is
        asked would take more than 64 MiB.
        """
        count, networks = left_out.shape
        slots = int(left_out.sum(0).max())
        numbers = slots * networks * rows.inputs[:1].numel()
        if slots * _LEAST_GAIN > count or numbers > _MOST_NUMBERS:
            return None
        asked = torch.zeros(slots, networks, dtype=torch.long)
        for network, out in enumerate(left_out.cpu().T):
            own = torch.nonzero(out)[:, 0]
            asked[: len(own), network] = own
        place = (left_out.cpu().cumsum(0) - 1).clamp(min=0)
        inputs = rows.inputs[asked.to(rows.inputs.device)]
        return cls(replace(rows, inputs=inputs), place.to(rows.inputs.device))

    def told(self, outputs: Tensor) -> Tensor:
        """The outputs of each row, (rows, networks, outputs), from those of the slots."""
        return outputs.take_along_dim(self.slots[:, :, None], 0)
