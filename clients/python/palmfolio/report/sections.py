"""The parts of the page, in the order of the page."""

import math
from collections.abc import Mapping

from palmfolio.report import confidence, text, tradeoff
from palmfolio.report.figures import colours
from palmfolio.report.model import Answer, Report, User, short
from palmfolio.types import Candidate


def header(report: Report, name: str) -> str:
    """The title: the portfolio's name, its base model and its traits."""
    model = report.portfolio.spec.base_model
    base = f"Base model <b>{text.escape(model)}</b> · traits" if model else "Traits"
    when = report.portfolio.create_time
    date = f" · {when:%-d %B %Y}" if when else ""
    return (
        f"<p class=eyebrow>palmfolio{date}</p><h1>{text.escape(name)}</h1>"
        f"<p class=lead>{_sentence(report)}</p>"
        f"<p class=facts>{base} "
        f"<b>{', '.join(text.escape(trait) for trait in report.traits)}</b></p>"
    )


def _sentence(report: Report) -> str:
    traits = text.listed([text.escape(trait) for trait in report.traits])
    members = text.counted(len(report.members), "policy serves", "policies serve")
    quality = f"to within {text.number(report.certificate.gap)} of"
    if report.worst_weights is None:
        quality = "as well as"
    return (
        f"{members[0].upper()}{members[1:]} every weighting of {traits} {quality} the best of "
        f"{text.counted(len(report.candidates), 'candidate', 'candidates')}."
    )


def headline(report: Report) -> str:
    """The main figures, and the gaps side by side."""
    certificate, baselines = report.certificate, report.baselines
    cards = [
        ("Members", str(len(report.members)), f"of {len(report.candidates)} candidates"),
        ("Certified gap", text.number(certificate.gap), _pure_ratio(report) + _certainty(report)),
        ("Worst-served user", _worst(report), "where that gap is reached"),
        ("Against one policy for all", _ratio(report), "gap of the best single policy"),
    ]
    figures = "".join(
        f'<div class="card figure"><h3>{title}</h3>'
        f'<p class="{"value" if len(value) < 12 else "value long"}">{value}</p>'
        f"<p class=note>{note}</p></div>"
        for title, value, note in cards
    )
    gaps = [
        ("Base model for everyone", baselines.base_model, ""),
        ("Best single policy for everyone", baselines.best_single_policy, ""),
        ("This portfolio", certificate.gap, "ours"),
    ]
    gaps = [(name, gap, kind) for name, gap, kind in gaps if math.isfinite(gap)]
    longest = max(*(gap for _, gap, _ in gaps), 1e-9)
    bars = "".join(
        f'<div class="bar {kind}"><span>{name}</span>'
        f'<i><b style="width:{100 * gap / longest:.1f}%"></b></i><em>{text.number(gap)}</em></div>'
        for name, gap, kind in gaps
    )
    return (
        f"<section class=figures>{figures}</section>"
        "<section class=card><h2>What the worst-served user loses</h2>"
        "<p class=note>The largest additive gap to the best candidate, over every weighting of the "
        f"traits. Smaller is better.</p><div class=bars>{bars}</div></section>"
    )


def _certainty(report: Report) -> str:
    bound = report.portfolio.confidence
    if bound is None:
        return f"exact for what was measured; true gap {confidence.UNKNOWN}"
    prompts = confidence.prompts(bound)
    if not confidence.says_something(bound):
        return f"exact for {prompts}, too few to bound the true gap"
    return (
        f"exact for {prompts}; true gap at most <b>{text.number(bound.gap)}</b> at "
        f"{confidence.level(bound)} confidence"
    )


def _pure_ratio(report: Report) -> str:
    """The multiplicative gap at delta 0, which stands next to the additive one at epsilon 0."""
    ratio = report.certificate.multiplicative_gap
    return "" if ratio is None else f"additive; multiplicative <b>{text.number(ratio)}</b>; "


def _worst(report: Report) -> str:
    if report.worst_weights is None:
        measured = " on what was measured" if report.portfolio.confidence is None else ""
        return f"no one loses anything{measured}"
    return text.weights(report.worst_weights, report.traits)


def _ratio(report: Report) -> str:
    gap, single = report.certificate.gap, report.baselines.best_single_policy
    if gap <= 1e-9:
        return text.number(single)
    times = single / gap
    return f"{times:.0f} ×" if times >= 10 else f"{times:.1f} ×"


def figure(title: str, note: str, body: str) -> str:
    """One drawing with its heading."""
    return f"<section class=card><h2>{title}</h2><p class=note>{note}</p>{body}</section>"


def tradeoff_curve(report: Report) -> str:
    """The gap by size, where it is known."""
    if not report.tradeoff:
        return ""
    marks = "<li><i class='mark chosen'></i>proven to be the smallest gap of that size</li>"
    if not all(point.optimal for point in report.tradeoff):
        marks += (
            "<li><i class=mark></i>smallest gap found; none of that size is below the end of its "
            "bar</li>"
        )
    marks += "<li><i class='mark ring'></i>this portfolio</li>"
    if tradeoff.target(report) is not None:
        marks += "<li><i class='mark dash'></i>the target δ</li>"
    return figure(
        "What another member would buy",
        "The smallest gap of a portfolio of each size, chosen from the same "
        f"{len(report.candidates)} candidates.",
        f"<div class=scroll>{tradeoff.chart(report)}</div><ul class='legend marks'>{marks}</ul>",
    )


def triangles(report: Report, policies: str, gaps: str, levels: list[float], mean: float) -> str:
    """Both maps side by side, with their legends and the read-out under the pointer."""
    served = figure(
        "Who is served by which policy",
        "Every point is a user; a corner is a user who wants only its trait.",
        policies + legend(report),
    )
    lost = figure(
        "What each user loses",
        "The gap between the best candidate and the portfolio.",
        gaps + _scale(levels) + _losses(report, mean),
    )
    readout = (
        '<p class="readout" aria-live="polite">Point at a triangle to see what that user gets.</p>'
    )
    return f"<div class=pair>{served}{lost}</div>{readout}"


def _losses(report: Report, mean: float) -> str:
    if report.worst_weights is None:
        return ""
    return (
        f"<ul class='legend marks'><li><i class='mark cross'>×</i>at worst "
        f"{text.number(report.certificate.gap)}: {_worst(report)}</li></ul>"
        f"<ul class='legend marks'><li>on average, with every weighting as likely: "
        f"{text.number(mean)}</li></ul>"
    )


def legend(report: Report, *, marks: bool = True) -> str:
    """Members by colour and, with `marks`, the meaning of the drawn marks."""
    members = "".join(
        f'<li><i class=swatch style="background:{colours.member(index)}">'
        f"{report.label(member.policy)}</i>{_origin(report, member)}</li>"
        for index, member in enumerate(report.members)
    )
    explained = ""
    if _are_trained(report):
        explained = (
            "<li><i class='mark training chosen'></i>trained for, member</li>"
            "<li><i class='mark training'></i>trained for, not a member</li>"
        )
    if report.worst_weights is not None:
        explained += "<li><i class='mark cross'>×</i>worst-served user</li>"
    second = f"<ul class='legend marks'>{explained}</ul>" if marks else ""
    return f"<ul class=legend>{members}</ul>{second}"


def _origin(report: Report, candidate: Candidate) -> str:
    if candidate.is_base_model:
        return "base model, unchanged"
    if candidate.weights is None:
        return text.escape(short(candidate.policy))
    return text.weights(candidate.weights, report.traits)


def _are_trained(report: Report) -> bool:
    """False for imported policies, whose training weights are unknown."""
    return any(candidate.weights is not None for candidate in report.candidates)


def _scale(levels: list[float]) -> str:
    count = len(levels) - 1
    if levels[-1] <= 1e-6:
        return "<p class=note>No user loses anything: every best candidate is a member.</p>"
    steps = "".join(
        f'<i style="background:{colours.band(index, count)}"></i>' for index in range(count)
    )
    digits = 3 if levels[-1] < 0.1 else 2
    # Every second number when there are many, so that they do not overlap.
    every = 2 if count > 6 else 1
    ticks = "".join(
        f'<span style="left:{100 * index / count:.2f}%">{text.number(level, digits)}</span>'
        for index, level in enumerate(levels)
        if index % every == 0
    )
    return f"<div class=scale><div>{steps}</div><p>{ticks}</p></div>"


def policies(report: Report) -> str:
    """Every candidate with its value per trait, against the base model."""
    best = {
        trait: max(candidate.value.get(trait, 0.0) for candidate in report.candidates)
        for trait in report.traits
    }
    heads = "".join(f"<th class=num>{text.escape(trait)}</th>" for trait in report.traits)
    rows = "".join(_row(report, candidate, best) for candidate in report.candidates)
    are_trained = _are_trained(report)
    unseen = " on prompts that were not trained on" if are_trained else ""
    change = "; next to it the change against the base model" if report.base_model else ""
    origin = "<th>Trained for</th>" if are_trained else ""
    return (
        f"<section class=card><h2>Policies</h2><p class=note>Mean normalised reward{unseen}, 0 to 1"
        f"{change}. The best value of a trait is underlined.</p><div class=scroll><table><thead>"
        f"<tr><th></th><th>Policy</th>{origin}{heads}</tr></thead><tbody>{rows}</tbody></table>"
        "</div></section>"
    )


def _row(report: Report, candidate: Candidate, best: Mapping[str, float]) -> str:
    index = next(
        (i for i, member in enumerate(report.members) if member.policy == candidate.policy), None
    )
    swatch = ""
    if index is not None:
        label = report.label(candidate.policy)
        swatch = f'<i class=swatch style="background:{colours.member(index)}">{label}</i>'
    cells = "".join(_cell(report, candidate, trait, best[trait]) for trait in report.traits)
    origin = f"<td>{_origin(report, candidate)}</td>" if _are_trained(report) else ""
    return (
        f'<tr class="{"" if index is None else "member"}"><td>{swatch}</td>'
        f"<td><code title='{text.escape(candidate.policy)}'>{text.escape(short(candidate.policy))}"
        f"</code></td>{origin}{cells}</tr>"
    )


def _cell(report: Report, candidate: Candidate, trait: str, best: float) -> str:
    value = candidate.value.get(trait, 0.0)
    base = report.base_model
    moved = ""
    if base is not None and not candidate.is_base_model:
        difference = value - base.value.get(trait, 0.0)
        kind = "up" if difference >= 0.005 else "down" if difference <= -0.005 else "same"
        moved = f"<small class={kind}>{text.change(difference)}</small>"
    mark = " best" if value >= best - 1e-12 else ""
    share = 100 * min(max(value, 0.0), 1.0)
    return (
        f'<td class="num{mark}"><span>{text.number(value)}</span>{moved}'
        f'<i class=meter><b style="width:{share:.0f}%"></b></i></td>'
    )


def users(report: Report) -> str:
    """The users side by side: their policies and their answers."""
    if not report.users:
        return ""
    heads = "".join(_user(report, user) for user in report.users)
    prompts = [answer.prompt for answer in report.users[0].answers]
    rows = "".join(_exchange(report, index, prompt) for index, prompt in enumerate(prompts))
    count = text.counted(len(report.users), "user", "users")
    asked = " asked the same" if prompts else ""
    return (
        f"<section class=card><h2>{count[0].upper()}{count[1:]}{asked}</h2>"
        f'<div class=users style="--columns:{len(report.users)}">{heads}{rows}</div></section>'
    )


def _user(report: Report, user: User) -> str:
    return (
        f"<div class=user><h3>{text.escape(user.label)}</h3>"
        f"<p class=note>{text.weights(user.weights, report.traits)}</p>"
        f"<p>{_tag(report, user)} serves this user</p></div>"
    )


def _exchange(report: Report, index: int, prompt: str) -> str:
    answers = "".join(
        _answer(report, user, user.answers[index])
        for user in report.users
        if index < len(user.answers)
    )
    return f"<h4 class=prompt>{text.escape(prompt)}</h4>{answers}"


def _answer(report: Report, user: User, answer: Answer) -> str:
    top = max(report.traits, key=lambda trait: user.weights.get(trait, 0.0))
    rewards = "".join(
        f'<span class="{"wanted" if trait == top else ""}">{text.escape(trait)} '
        f"{text.number(answer.rewards[trait], 2)}</span>"
        for trait in report.traits
        if trait in answer.rewards
    )
    return (
        f'<div class=answer style="--tag:{_tag_colour(report, user)}">'
        f"<p class=who>{_tag(report, user)} {text.escape(user.label)}</p>"
        f"<p class=response>{text.escape(answer.text.strip()) or '<em>an empty answer</em>'}</p>"
        f"<p class=rewards>{rewards}</p></div>"
    )


def _tag(report: Report, user: User) -> str:
    return (
        f'<i class=swatch style="background:{_tag_colour(report, user)}">'
        f"{text.escape(report.label(user.policy))}</i>"
    )


def _tag_colour(report: Report, user: User) -> str:
    for index, member in enumerate(report.members):
        if member.policy == user.policy:
            return colours.member(index)
    return "var(--muted)"
