"""The page of `mmjax data`: a dozen samples as they reach the model, with players, in one file that needs no other."""

from html import escape

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em }
:root { color-scheme: light dark }
pre { white-space: pre-wrap } section { border-top: 1px solid #8884; padding: 1em 0 }
section > div { display: flex; flex-wrap: wrap; gap: 1em; align-items: center }
h2 { font-size: 1em; margin: 0 0 .5em } img { image-rendering: pixelated; min-height: 96px; vertical-align: middle }
figure { margin: 0; max-width: 100%; overflow-x: auto } figcaption, small { color: #888; font-size: .85em }
"""


def page(summary: str, examples: list[tuple[str, dict]], streams) -> str:
    """The page as HTML text.

    Args:
        summary: what stands above the samples, as lines of text.
        examples: (key, {stream: value or None}).
        streams: the streams whose values they are.
    """
    sections = "\n".join(_section(key, example, streams) for key, example in examples)
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>What reaches the model</title>'
        f"<style>{STYLE}</style>\n<h1>What reaches the model</h1>\n<pre>{escape(summary)}</pre>\n{sections}\n</html>\n"
    )


def _section(key, example, streams) -> str:
    figures = [
        f"<figure>{stream.html(example[stream.name])}<figcaption>{escape(stream.name)}</figcaption></figure>"
        for stream in streams
        if example[stream.name] is not None
    ]
    return f"<section><h2>{escape(key)}</h2><div>{''.join(figures)}</div></section>"
