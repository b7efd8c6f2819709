"""Networks for text, sound and other sequences."""

from functools import partial
from typing import Any

import torch
from tests.zoo._network import Made, Shelf, images, tokens

SHELF = Shelf()
_SMALL: dict[str, Any] = {
    "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 64,
}  # fmt: skip
_WITH_TEXT: dict[str, dict[str, Any]] = {
    "BertForSequenceClassification": _SMALL,
    "RobertaForSequenceClassification": _SMALL,
    "AlbertForSequenceClassification": _SMALL | {"embedding_size": 16},
    "ElectraForSequenceClassification": _SMALL | {"embedding_size": 16},
    "MobileBertForSequenceClassification": _SMALL | {
        "embedding_size": 32, "intra_bottleneck_size": 32,
    },
    "DistilBertForSequenceClassification": {
        "vocab_size": 100, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64,
    },
    "GPT2LMHeadModel": {"vocab_size": 100, "n_embd": 32, "n_layer": 2, "n_head": 4},
    "GPTNeoXForCausalLM": _SMALL,
    "OPTForCausalLM": {
        "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "ffn_dim": 64, "word_embed_proj_dim": 32,
    },
    "LlamaForCausalLM": _SMALL | {"num_key_value_heads": 4},
    "MambaForCausalLM": {
        "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4,
    },
}  # fmt: skip


def _transformers(name: str, **settings: Any) -> Made:
    import transformers

    model = getattr(transformers, name)
    return model(model.config_class(**settings)), {"input_ids": tokens()}


for _name, _settings in _WITH_TEXT.items():
    SHELF.add("transformers", _name, partial(_transformers, _name, **_settings))


@SHELF("transformers")
def t5() -> Made:
    import transformers

    config = transformers.T5Config(
        vocab_size=100, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
        decoder_start_token_id=0,
    )  # fmt: skip
    given = {"input_ids": tokens(), "labels": tokens(length=7)}
    return transformers.T5ForConditionalGeneration(config), given


@SHELF("transformers")
def vit() -> Made:
    import transformers

    small = {name: value for name, value in _SMALL.items() if name != "vocab_size"}
    config = transformers.ViTConfig(**small, image_size=32, patch_size=8)
    return transformers.ViTForImageClassification(config), {"pixel_values": images(size=32)}


@SHELF("transformers")
def resnet() -> Made:
    import transformers

    config = transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32], depths=[2, 2], layer_type="basic"
    )
    return transformers.ResNetForImageClassification(config), {"pixel_values": images()}


@SHELF("transformers")
def wav2vec2() -> Made:
    import transformers

    small = {name: value for name, value in _SMALL.items() if name != "vocab_size"}
    config = transformers.Wav2Vec2Config(
        **small, vocab_size=30, conv_dim=(16, 16), conv_stride=(4, 4), conv_kernel=(8, 8),
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=4, apply_spec_augment=False,
    )  # fmt: skip
    return transformers.Wav2Vec2ForCTC(config), {"input_values": torch.randn(4, 800)}


@SHELF("x-transformers")
def decoder() -> Made:
    from x_transformers import Decoder, TransformerWrapper

    layers = Decoder(dim=32, depth=2, heads=4)
    return TransformerWrapper(num_tokens=100, max_seq_len=16, attn_layers=layers), tokens()


@SHELF("x-transformers")
def encoder() -> Made:
    from x_transformers import Encoder, TransformerWrapper

    layers = Encoder(dim=32, depth=2, heads=4, ff_relu_squared=False, ff_dropout=0.1)
    return TransformerWrapper(num_tokens=100, max_seq_len=16, attn_layers=layers), tokens()


@SHELF("conformer")
def conformer() -> Made:
    from conformer import Conformer

    model = Conformer(dim=32, depth=2, dim_head=8, heads=4, conv_kernel_size=7)
    return model, torch.randn(4, 16, 32)


@SHELF("pytorch-tcn")
def tcn() -> Made:
    from pytorch_tcn import TCN

    return TCN(num_inputs=8, num_channels=[16, 16, 16], dropout=0.1), torch.randn(8, 8, 32)


@SHELF("pytorch-tcn")
def tcn_plain() -> Made:
    from pytorch_tcn import TCN

    model = TCN(
        8, [16, 16, 16], use_norm="batch_norm", activation="relu", use_skip_connections=True
    )
    return model, torch.randn(8, 8, 32)


@SHELF("snntorch")
def spiking() -> Made:
    import snntorch
    from torch import nn

    model = nn.Sequential(
        nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), snntorch.Leaky(beta=0.9, init_hidden=True),
        nn.Linear(32, 2),
    )  # fmt: skip
    return model, torch.randn(16, 8)


@SHELF("ncps")
def closed_form() -> Made:
    from ncps.torch import CfC

    return CfC(8, 16), torch.randn(4, 6, 8)


@SHELF("ncps")
def wired() -> Made:
    from ncps.torch import LTC
    from ncps.wirings import AutoNCP

    return LTC(8, AutoNCP(16, 4)), torch.randn(4, 6, 8)
