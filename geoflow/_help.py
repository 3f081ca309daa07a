"""Where the FAQ says more about an error: an entry for each kind, and for the symptoms that have one of their own."""

from __future__ import annotations

import re

#: the page, from the root of the repository; on the site it is faq.html
PAGE = "docs/faq.md"
#: words of a message to the heading of its entry; the heading of any other error is the name of its class
SYMPTOMS = {
    "mixes batch entries": "It mixes batch entries",
    "value of the loss": "Value of the loss",
    "ends before the time asked for": "A flow ends before the time asked for",
    "outside the range of": "w or mu outside the range",
    'engine "jax"': "An extra is not installed",
    "pip install geoflow[": "An extra is not installed",
    "in closed form; correct the closed form": "A closed form differs",
    "jacobian= differs from": "A closed form differs",
    "hessian_product= differs from": "A closed form differs",
    "conjugate= is not the conjugate": "A closed form differs",
    "to_tangent of": "to_tangent or random_point of my manifold",
    "random_point of": "to_tangent or random_point of my manifold",
    "whose derivative by autograd is off": "A derivative by autograd is wrong",
    "by autograd is not that of its values": "A derivative by autograd is wrong",
    "integration over s in [0, 1]": "The integration over s in [0, 1] does not converge",
    "that do not depend on x": "Outputs that do not depend on x",
    "does not commute with": "The regularizer does not commute",
    "depends on the path": "The lift depends on the path",
    "no exact rule for": "No exact rule, or no method meets the tolerance",
    "fresh points": "No exact rule, or no method meets the tolerance",
}


def slug(heading: str) -> str:
    """The anchor that GitHub and the site give to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def entry(kind: type, message: str) -> str:
    """The page and anchor of the entry about an error of this class with this message."""
    for words, heading in SYMPTOMS.items():
        if words in message:
            return f"{PAGE}#{slug(heading)}"
    return f"{PAGE}#{slug(kind.__name__)}"
