"""Networks for images."""

from functools import partial
from typing import Any

from tests.zoo._network import Made, Shelf, images

SHELF = Shelf()

_TIMM = (
    "resnet18", "resnet26d", "resnetv2_18", "seresnet18", "nf_resnet26", "eca_nfnet_l0",
    "efficientnet_lite0", "mobilenetv2_035", "mobilenetv3_small_050", "regnetx_002",
    "regnety_002", "densenet121", "darknet17", "vovnet39a", "ghostnet_050", "hardcorenas_a",
    "mixnet_s", "fbnetc_100", "repvgg_a0", "convnext_atto", "inception_next_atto",
    "edgenext_xx_small", "poolformer_s12",
)  # fmt: skip
_TIMM_OF_PATCHES = (
    "vit_tiny_patch16_224", "deit_tiny_patch16_224", "mixer_s32_224", "resmlp_12_224",
    "gmlp_ti16_224",
)  # fmt: skip
_TORCHVISION = (
    "resnet18", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1",
    "mnasnet0_5", "efficientnet_b0", "regnet_y_400mf",
)  # fmt: skip


def _timm(name: str, **settings: Any) -> Made:
    import timm

    return timm.create_model(name, num_classes=5, **settings), images()


def _torchvision(name: str) -> Made:
    from torchvision import models

    return getattr(models, name)(num_classes=5), images()


for _name in _TIMM:
    SHELF.add("timm", _name, partial(_timm, _name))
for _name in _TIMM_OF_PATCHES:
    SHELF.add("timm", _name, partial(_timm, _name, img_size=64))
for _name in _TORCHVISION:
    SHELF.add("torchvision", _name, partial(_torchvision, _name))


@SHELF("vit-pytorch")
def vit() -> Made:
    from vit_pytorch import ViT

    shape: dict[str, Any] = {"image_size": 32, "patch_size": 8, "num_classes": 5}
    model = ViT(**shape, dim=64, depth=2, heads=4, mlp_dim=64, dropout=0.1, emb_dropout=0.1)
    return model, images(size=32)


@SHELF("vit-pytorch")
def simple_vit() -> Made:
    from vit_pytorch import SimpleViT

    shape: dict[str, Any] = {"image_size": 32, "patch_size": 8, "num_classes": 5}
    return SimpleViT(**shape, dim=64, depth=2, heads=4, mlp_dim=64), images(size=32)


@SHELF("vit-pytorch")
def cct() -> Made:
    from vit_pytorch.cct import CCT

    model = CCT(img_size=32, embedding_dim=64, n_conv_layers=1, kernel_size=3, stride=2, padding=1,
                num_layers=2, num_heads=4, mlp_ratio=2.0, num_classes=5)  # fmt: skip
    return model, images(size=32)


@SHELF("mlp-mixer-pytorch")
def mlp_mixer() -> Made:
    from mlp_mixer_pytorch import MLPMixer

    model = MLPMixer(image_size=32, channels=3, patch_size=8, dim=64, depth=3, num_classes=5)
    return model, images(size=32)


@SHELF("g-mlp-pytorch")
def gmlp() -> Made:
    from g_mlp_pytorch import gMLPVision

    model = gMLPVision(image_size=32, patch_size=8, num_classes=5, dim=64, depth=2, prob_survival=1)
    return model, images(size=32)


@SHELF("efficientnet-pytorch")
def efficientnet() -> Made:
    from efficientnet_pytorch import EfficientNet

    return EfficientNet.from_name("efficientnet-b0", num_classes=5), images()


@SHELF("segmentation-models-pytorch")
def unet() -> Made:
    import segmentation_models_pytorch as smp

    return smp.Unet("resnet18", encoder_weights=None, classes=2), images(rows=2)


@SHELF("segmentation-models-pytorch")
def fpn() -> Made:
    import segmentation_models_pytorch as smp

    return smp.FPN("resnet18", encoder_weights=None, classes=2), images(rows=2)


@SHELF("kornia")
def hardnet() -> Made:
    from kornia.feature import HardNet

    return HardNet(pretrained=False), images(rows=16, size=32, channels=1)


@SHELF("kornia")
def sosnet() -> Made:
    from kornia.feature import SOSNet

    return SOSNet(pretrained=False), images(rows=16, size=32, channels=1)


@SHELF("monai")
def basic_unet() -> Made:
    from monai.networks.nets import BasicUNet

    model = BasicUNet(spatial_dims=2, in_channels=1, out_channels=2, features=(8, 8, 16, 16, 32, 8))
    return model, images(rows=4, channels=1)


@SHELF("monai")
def unet_residual() -> Made:
    from monai.networks.nets import UNet

    model = UNet(2, 1, 2, channels=(8, 16, 32), strides=(2, 2), num_res_units=2, dropout=0.1)
    return model, images(rows=4, channels=1)


@SHELF("monai")
def segresnet() -> Made:
    from monai.networks.nets import SegResNet

    return SegResNet(2, init_filters=8, out_channels=2, blocks_down=(1, 2, 2), blocks_up=(1, 1)), (
        images(rows=4, channels=1)
    )


@SHELF("monai")
def densenet_3d() -> Made:
    import torch
    from monai.networks.nets import DenseNet

    model = DenseNet(3, 1, 2, init_features=16, growth_rate=8, block_config=(2, 2, 2))
    return model, torch.randn(2, 1, 32, 32, 32)


@SHELF("monai")
def autoencoder() -> Made:
    from monai.networks.nets import AutoEncoder

    model = AutoEncoder(2, 1, 1, channels=(8, 16, 32), strides=(2, 2, 2))
    return model, images(rows=4, channels=1)


@SHELF("monai")
def generator() -> Made:
    import torch
    from monai.networks.nets import Generator

    model = Generator(16, (32, 4, 4), channels=(16, 8, 1), strides=(2, 2, 1), num_res_units=1)
    return model, torch.randn(16, 16)


@SHELF("diffusers")
def unet_2d() -> Made:
    import torch
    from diffusers import UNet2DModel

    model = UNet2DModel(
        sample_size=16, in_channels=3, out_channels=3, layers_per_block=1, norm_num_groups=8,
        block_out_channels=(16, 32), down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"), attention_head_dim=8,
    )  # fmt: skip
    return model, {"sample": images(rows=4, size=16), "timestep": torch.tensor([1, 5, 9, 20])}


@SHELF("diffusers")
def autoencoder_kl() -> Made:
    from diffusers import AutoencoderKL

    model = AutoencoderKL(
        block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    return model, images(rows=4, size=32)


@SHELF("diffusers")
def vq_model() -> Made:
    from diffusers import VQModel

    return VQModel(block_out_channels=(16,), norm_num_groups=8, num_vq_embeddings=32), (
        images(rows=4, size=32)
    )


@SHELF("diffusers")
def dit() -> Made:
    import torch
    from diffusers import DiTTransformer2DModel

    model = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, num_layers=2, sample_size=8,
        patch_size=2, num_embeds_ada_norm=10,
    )  # fmt: skip
    return model, {
        "hidden_states": images(rows=4, size=8, channels=4),
        "timestep": torch.tensor([1, 5, 9, 20]),
        "class_labels": torch.tensor([0, 1, 2, 3]),
    }
