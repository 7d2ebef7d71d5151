"""Inference as a service: ONNX files behind the KServe v2 protocol."""

from colliderkit.serve.inference.limits import Limits
from colliderkit.serve.inference.server import Server

__all__ = ["Limits", "Server"]
