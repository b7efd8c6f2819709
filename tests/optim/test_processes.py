"""Each process of a training ends with the same bits, and Lightning's optimizers are followed."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from selfnorm.optim import lightning_callback
from support.fresh import run_side_by_side

SUPPORT = Path(__file__).parent.parent / "support"


def test_every_process_ends_with_the_same_bits(tmp_path: Path) -> None:
    """The program compares; half of the batch in each, and intervals that adapt."""
    run_side_by_side(SUPPORT / "two_trainers.py", tmp_path / "store")


def test_lightning_follows_its_optimizers(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning.pytorch")

    class Fitted(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(8, 8), nn.SELU(), nn.Linear(8, 1))

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            return self.net(batch[0]).square().mean()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(96, 8)), 16)
    for module, name in (("", "net.0.weight"), ("net", "0.weight")):
        callback = lightning_callback(every=2, module=module)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = lightning.Trainer(
                max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                enable_progress_bar=False, enable_model_summary=False, callbacks=[callback],
                default_root_dir=str(tmp_path),
            )  # fmt: skip
            trainer.fit(Fitted(), data)
        (kept,) = callback.kept
        assert kept.corrections == 3
        assert list(kept.error) == [name]
        assert kept.error[name] < 0.1
