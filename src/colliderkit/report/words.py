"""Words of a page: symbols in place of their spelling, and links to papers and records."""

import re
from functools import partial

from markupsafe import Markup, escape

from colliderkit.metrics.value import number

__all__ = ["duration", "plain", "plural", "prose", "symbols"]

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "Delta": "Δ", "epsilon": "ε", "eps": "ε",
    "eta": "η", "theta": "θ", "lambda": "λ", "mu": "μ", "pi": "π", "rho": "ρ", "sigma": "σ",
    "tau": "τ", "phi": "φ", "chi": "χ", "omega": "ω",
}  # fmt: skip
SUBSCRIPTS = str.maketrans("0123456789+-", "₀₁₂₃₄₅₆₇₈₉₊₋")
SUPERSCRIPTS = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")
# LaTeX between dollars: what is a symbol, and what only sets type.
COMMANDS = {
    r"\times": "×", r"\pm": "±", r"\oplus": "⊕", r"\langle": "⟨", r"\rangle": "⟩", r"\sqrt": "√",
    r"\geq": "≥", r"\leq": "≤", r"\ln": "ln", r"\log": "log", r"\to": "→", r"\,": " ",
    r"\ ": " ", r"\%": "%", r"\varepsilon": "ε", r"\varphi": "φ", r"\nu": "ν", r"\ell": "ℓ",
    **{"\\" + name: sign for name, sign in GREEK.items()},
}  # fmt: skip
TYPE = re.compile(r"\\(?:mathrm|mathit|mathbf|text|rm|left|right)\b\s*|[{}]")
# Spellings of running text. Each is a word of its own, so that names of code stay as they are.
SPELLINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), sign)
    for pattern, sign in (
        (r"\bchi(?:\^2|2|²)(?!\w)", "χ²"),
        (r"\bChi(?:\^2|2|²)(?!\w)", "χ²"),
        (r"\bMMD\^2(?!\w)", "MMD²"),
        (r"\balpha_?[sS]\b", "αs"),
        (r"\beps_([A-Za-z])\b", r"ε\1"),
        (r"\bsigma\(", "σ("),
        (r"\bsigma_(\w+)", r"σ\1"),
        (r"\bsqrt\(", "√("),
        (r"(?<![\w.-])theta_hat\b", "θ̂"),
        (r"\bp_?[tT]\b(?!\w)", "pT"),
        (r"\(\+\)", "⊕"),
        (r"\+-|\+/-", "±"),
        (r"(?<= )>=(?= )", "≥"),
        (r"(?<= )<=(?= )", "≤"),
        (r"(?<=[\w)|])\^(-?\d+)\b", "POWER"),
        (r"-2 Delta ln L\b", "−2 Δ ln L"),
        (r"(?<![-\w.])(eta|phi|theta|sigma|tau|lambda|rho)\b(?![-_(])", "GREEK"),
    )
)
LINK = re.compile(
    r"(?P<arxiv>\b(?:arXiv:)?(?P<number>(?:[a-z-]+(?:\.[A-Z]{2})?/\d{7})"
    r"|(?:(?<=arXiv:)\d{4}\.\d{4,5})|(?:[012]\d(?:0[1-9]|1[0-2])\.\d{5}))(?![\d.]*\d))"
    r"|(?P<zenodo>\b[Zz]enodo[ :.](?P<record>\d{5,9})\b)"
)


def plural(count: float, noun: str) -> str:
    """Write a count and its noun: 1 core, 12 000 jets."""
    return f"{number(count)} {noun}" + ("" if count == 1 else "s")


def symbols(text: str) -> str:
    """Write symbols as signs: chi^2 or $\\chi^2$ as χ², eps_B as εB, alphaS as αs, +- as ±."""
    text = re.sub(r"\$([^$]*)\$", _latex, text)
    for pattern, sign in SPELLINGS:
        if sign == "GREEK":
            text = pattern.sub(lambda m: GREEK[m[1]], text)
        elif sign == "POWER":
            text = pattern.sub(partial(_moved, SUPERSCRIPTS), text)
        else:
            text = pattern.sub(sign, text)
    return text


def plain(text: str) -> str:
    """Return the label of a figure as text of one line: ``$\\varepsilon_S$`` is εS."""
    return " ".join(symbols(text).split())


def prose(text: str) -> Markup:
    """Return text for HTML: escaped, with symbols, and with links to arXiv and Zenodo."""
    found = [(match.span(), _link(match)) for match in LINK.finditer(text)]
    parts, end = [], 0
    for (start, stop), link in found:
        parts += [escape(symbols(text[end:start])), link]
        end = stop
    return Markup("").join([*parts, escape(symbols(text[end:]))])


def _link(match: re.Match[str]) -> Markup:
    if match["record"]:
        address = f"https://zenodo.org/records/{match['record']}"
    else:
        address = f"https://arxiv.org/abs/{match['number']}"
    return Markup('<a href="{}">{}</a>').format(address, match[0])


def _latex(match: re.Match[str]) -> str:
    text = match[1]
    for command in sorted(COMMANDS, key=len, reverse=True):
        text = text.replace(command, COMMANDS[command])
    text = re.sub(r"_\{?\\(?:mathrm|text)\{(\w+)\}\}?", r"\1", text)
    text = re.sub(r"[_]\{?(\d+)\}?", partial(_moved, SUBSCRIPTS), text)
    text = re.sub(r"\^\{?(-?\d+)\}?", partial(_moved, SUPERSCRIPTS), text)
    return TYPE.sub("", text).replace("_", "")


def _moved(table: dict[int, int], match: re.Match[str]) -> str:
    return match[1].translate(table)


def duration(seconds: float) -> str:
    """Write a time in the unit that fits."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{number(seconds / size, 2)} {unit}"
    return f"{number(seconds, 2)} s"
