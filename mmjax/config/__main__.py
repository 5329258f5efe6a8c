"""`python -m mmjax.config` writes docs/config.md."""

from mmjax.config.reference import markdown

print(markdown(), end="")
