"""Embeddings in, metrics out: functions of arrays that never see a model.

Each function lies in the file of its name (`from mmjax.evaluation.retrieval import retrieval`). Nothing is imported
here, so that a function does not hide the module of the same name and importing the package does not import JAX.
"""
