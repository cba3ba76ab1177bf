"""Ready-made networks: functions from hyper-parameters to a graph.

The classifiers take images through the input ``image`` and labels through ``label``;
:func:`unet` takes a label for each pixel, and :func:`character_transformer` numbers of
characters through ``token``.  All have the outputs ``logits`` and ``loss``.
"""

from graphnet.models.character_transformer import character_transformer
from graphnet.models.convnets import deep_convnet, three_layer_convnet
from graphnet.models.mobilenet import mobilenet
from graphnet.models.resnet import resnet
from graphnet.models.unet import unet
from graphnet.models.vit import vit

__all__ = [
    "character_transformer",
    "deep_convnet",
    "mobilenet",
    "resnet",
    "three_layer_convnet",
    "unet",
    "vit",
]
