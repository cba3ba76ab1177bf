"""Ready-made classifiers: functions from hyper-parameters to a graph.

Each takes images through the input ``image`` and labels through ``label``, and has the
outputs ``logits`` and ``loss``.
"""

from graphnet.models.convnets import deep_convnet, three_layer_convnet
from graphnet.models.resnet import resnet

__all__ = ["deep_convnet", "resnet", "three_layer_convnet"]
