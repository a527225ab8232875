"""Puts the page together."""

import json
from importlib import resources
from string import Template

from palmfolio._names import resource_id
from palmfolio.report import output_diversity, provenance, sections, text
from palmfolio.report.figures import colours, line, parallel, slices, triangle
from palmfolio.report.model import Report, letter


def render(report: Report) -> str:
    """The report as one HTML page that loads nothing.

    The drawing depends on the number of traits: with two it is a line of users, with three a
    triangle; with more it is strips of users between two traits, and the policies' values in
    parallel coordinates.

    Example:
        portfolio = client.selector.get_portfolio("quickstart")
        page = palmfolio.report.render(palmfolio.report.Report(portfolio))
        Path("report.html").write_text(page, encoding="utf-8")
    """
    name = resource_id(report.portfolio.name)
    return Template(_file("page.html")).substitute(
        title=text.escape(f"Portfolio {name}"),
        colours=colours.rules(),
        style=_file("style.css"),
        script=_file("script.js"),
        data=_data(report),
        header=sections.header(report, name),
        headline=sections.headline(report),
        maps=_maps(report),
        tradeoff=sections.tradeoff_curve(report),
        policies=sections.policies(report),
        users=sections.users(report),
        diversity=output_diversity.section(report),
        provenance=provenance.section(report),
    )


def _maps(report: Report) -> str:
    if len(report.traits) == 3:
        gaps, levels, mean = triangle.gap_map(report)
        return sections.triangles(report, triangle.policy_map(report), gaps, levels, mean)
    if len(report.traits) == 2:
        return sections.figure(
            "Every user, from one trait to the other",
            "The upper line is the best candidate's utility, the lower one the portfolio's; the "
            "gap lies between. The strip shows which policy serves whom.",
            line.chart(report) + sections.legend(report),
        )
    return sections.figure(
        "Who is served by which policy, and what they lose",
        slices.note(report),
        slices.chart(report) + sections.legend(report, marks=False),
    ) + sections.figure(
        "Policies across the traits",
        "Each line is a policy, each axis a trait; higher is better.",
        parallel.chart(report),
    )


def _data(report: Report) -> str:
    """The values with which the page's script answers for any weights."""
    data = {
        "traits": report.traits,
        "members": [
            {"label": letter(index), "value": report.vector(member.value)}
            for index, member in enumerate(report.members)
        ],
        "candidates": [report.vector(candidate.value) for candidate in report.candidates],
    }
    # A `</script>` inside a text would end the script element: JSON does not escape `<`.
    return json.dumps(data).replace("<", "\\u003c")


def _file(name: str) -> str:
    return (resources.files("palmfolio.report") / name).read_text(encoding="utf-8")
