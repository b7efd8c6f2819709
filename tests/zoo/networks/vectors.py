"""Networks for tables, flows, graphs, operators and policies."""

from typing import Any

import torch
from tests.zoo._network import Made, Shelf, images, rows
from torch import nn

SHELF = Shelf()


@SHELF("rtdl_revisiting_models")
def mlp() -> Made:
    import rtdl_revisiting_models as rtdl

    return rtdl.MLP(d_in=8, d_out=1, n_blocks=3, d_block=64, dropout=0.1), rows()


@SHELF("rtdl_revisiting_models")
def resnet() -> Made:
    import rtdl_revisiting_models as rtdl

    model = rtdl.ResNet(
        d_in=8, d_out=1, n_blocks=3, d_block=64, d_hidden=None, d_hidden_multiplier=2.0,
        dropout1=0.1, dropout2=0.1,
    )  # fmt: skip
    return model, rows()


@SHELF("rtdl_revisiting_models")
def ft_transformer() -> Made:
    import rtdl_revisiting_models as rtdl

    settings = rtdl.FTTransformer.get_default_kwargs(n_blocks=1)
    model = rtdl.FTTransformer(n_cont_features=8, cat_cardinalities=[], d_out=1, **settings)
    return model, (rows(16), None)


@SHELF("rtdl_num_embeddings")
def periodic() -> Made:
    from rtdl_num_embeddings import PeriodicEmbeddings

    embedded = PeriodicEmbeddings(8, 12, lite=False)
    head = nn.Sequential(nn.Flatten(), nn.Linear(96, 64), nn.ReLU(), nn.Dropout(0.1))
    return nn.Sequential(embedded, head, nn.Linear(64, 1)), rows()


@SHELF("tabm")
def tabm() -> Made:
    from tabm import TabM

    return TabM.make(n_num_features=8, d_out=1, d_block=64, n_blocks=3, k=8), rows()


@SHELF("tab-transformer-pytorch")
def tab_transformer() -> Made:
    from tab_transformer_pytorch import TabTransformer

    sizes = {"categories": (5, 4, 3), "num_continuous": 8, "dim": 16, "depth": 2, "heads": 2}
    model = TabTransformer(**sizes, mlp_act=nn.ReLU())
    return model, (torch.randint(0, 3, (32, 3)), rows(32))


@SHELF("tab-transformer-pytorch")
def ft_lucid() -> Made:
    from tab_transformer_pytorch import FTTransformer

    model = FTTransformer(categories=(5, 4, 3), num_continuous=8, dim=16, depth=2, heads=2)
    return model, (torch.randint(0, 3, (32, 3)), rows(32))


@SHELF("pytorch-tabnet")
def tabnet() -> Made:
    from pytorch_tabnet.tab_network import TabNet

    model = TabNet(8, 2, group_attention_matrix=torch.eye(8))
    return model, rows()


@SHELF("nflows")
def residual_net() -> Made:
    from nflows.nn.nets import ResidualNet

    settings: dict[str, Any] = {"use_batch_norm": True, "dropout_probability": 0.1}
    return ResidualNet(8, 4, hidden_features=32, num_blocks=2, **settings), rows()


@SHELF("nflows")
def made() -> Made:
    from nflows.transforms.made import MADE

    return MADE(8, hidden_features=32, num_blocks=2, use_residual_blocks=True), rows()


@SHELF("nflows")
def coupling() -> Made:
    from nflows.nn.nets import MLP
    from nflows.transforms import AffineCouplingTransform

    class Net(MLP):
        def forward(self, x: torch.Tensor, _context: object = None) -> torch.Tensor:
            return super().forward(x)

    def net(inputs: int, outputs: int) -> nn.Module:
        return Net([inputs], [outputs], [32, 32])

    return AffineCouplingTransform(torch.arange(8) % 2, net), rows()


@SHELF("zuko")
def zuko_mlp() -> Made:
    import zuko

    return zuko.nn.MLP(8, 2, [32, 32]), rows()


@SHELF("zuko")
def zuko_masked() -> Made:
    import zuko

    return zuko.nn.MaskedMLP(torch.ones(2, 8) > 0, [32, 32]), rows()


@SHELF("normflows")
def normflows_mlp() -> Made:
    import normflows

    return normflows.nets.MLP([8, 32, 32, 2], init_zeros=True), rows()


@SHELF("normflows")
def normflows_resnet() -> Made:
    import normflows

    return normflows.nets.ResidualNet(8, 4, 32, num_blocks=2, dropout_probability=0.1), rows()


@SHELF("normflows")
def real_nvp() -> Made:
    import normflows

    parts: list[nn.Module] = []
    for _ in range(2):
        net = normflows.nets.MLP([4, 32, 32, 8], init_zeros=True)
        parts += [normflows.flows.AffineCouplingBlock(net), normflows.flows.Permute(8)]
    return normflows.NormalizingFlow(normflows.distributions.DiagGaussian(8), parts), rows()


@SHELF("FrEIA")
def invertible() -> Made:
    import FrEIA.framework as frame
    import FrEIA.modules as parts

    def net(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, 32), nn.ReLU(), nn.Linear(32, outputs))

    model = frame.SequenceINN(8)
    for _ in range(2):
        model.append(parts.AllInOneBlock, subnet_constructor=net)
    return model, rows()


@SHELF("torchdiffeq")
def neural_ode() -> Made:
    from torchdiffeq import odeint

    class Field(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 8))

        def forward(self, _t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return self.net(y)

    class Flow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.field, self.head = Field(), nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            path = odeint(self.field, x, torch.linspace(0, 1, 3), method="rk4")
            return self.head(path[-1])

    return Flow(), rows()


def _edges() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(20, 8), torch.randint(0, 20, (2, 60))


@SHELF("torch-geometric")
def graph_mlp() -> Made:
    from torch_geometric.nn import MLP

    return MLP([8, 32, 32, 2], dropout=0.1), rows()


@SHELF("torch-geometric")
def gcn() -> Made:
    from torch_geometric.nn import GCN

    return GCN(8, 32, 3, 2, dropout=0.1, norm="BatchNorm"), _edges()


@SHELF("torch-geometric")
def gin() -> Made:
    from torch_geometric.nn import GIN

    return GIN(8, 32, 3, 2, dropout=0.1), _edges()


@SHELF("torch-geometric")
def gat() -> Made:
    from torch_geometric.nn import GAT

    return GAT(8, 32, 3, 2, dropout=0.1, jk="cat"), _edges()


@SHELF("torch-geometric")
def sage() -> Made:
    from torch_geometric.nn import GraphSAGE

    return GraphSAGE(8, 32, 3, 2, norm="LayerNorm"), _edges()


@SHELF("torch-geometric")
def deep_gcn() -> Made:
    from torch_geometric.nn import DeepGCNLayer, GENConv, Sequential

    conv = GENConv(32, 32)
    layers = [(DeepGCNLayer(conv, nn.LayerNorm(32), nn.ReLU(), dropout=0.1), "x, e -> x")]
    first, last = (nn.Linear(8, 32), "x -> x"), (nn.Linear(32, 2), "x -> x")
    return Sequential("x, e", [first, *layers, last]), _edges()


@SHELF("egnn-pytorch")
def egnn() -> Made:
    from egnn_pytorch import EGNN

    return EGNN(dim=16), (torch.randn(2, 8, 16), torch.randn(2, 8, 3))


@SHELF("siren-pytorch")
def siren() -> Made:
    from siren_pytorch import SirenNet

    return SirenNet(dim_in=2, dim_hidden=32, dim_out=1, num_layers=3), torch.rand(64, 2)


@SHELF("neuraloperator")
def fno() -> Made:
    from neuralop.models import FNO

    return FNO(n_modes=(4, 4), hidden_channels=16, in_channels=1, out_channels=1, n_layers=2), (
        images(rows=4, size=16, channels=1)
    )


@SHELF("pyro-ppl")
def autoregressive() -> Made:
    from pyro.nn import AutoRegressiveNN

    return AutoRegressiveNN(8, [32, 32], param_dims=(1, 1)), rows()


@SHELF("pyro-ppl")
def dense() -> Made:
    from pyro.nn import DenseNN

    return DenseNN(8, [32, 32], [2]), rows()


@SHELF("stable-baselines3")
def ppo() -> Made:
    import gymnasium
    import numpy as np
    from stable_baselines3.common.policies import ActorCriticPolicy

    seen = gymnasium.spaces.Box(-1, 1, (8,), np.float32)
    acts = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    return ActorCriticPolicy(seen, acts, lambda _: 1e-3), rows()


@SHELF("stable-baselines3")
def nature_cnn() -> Made:
    import gymnasium
    import numpy as np
    from stable_baselines3.common.torch_layers import NatureCNN

    space = gymnasium.spaces.Box(0, 255, (4, 64, 64), np.uint8)
    return NatureCNN(space, features_dim=32), images(channels=4)


@SHELF("stable-baselines3")
def td3_actor() -> Made:
    from stable_baselines3.common.torch_layers import create_mlp

    return nn.Sequential(*create_mlp(8, 2, [32, 32], squash_output=True)), rows()
