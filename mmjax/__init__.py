"""mmjax: contrastive multimodal training in JAX with exact gradients at any batch, mesh and micro-batching."""

__version__ = "0.1.0"
