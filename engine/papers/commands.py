"""What papers bring to the command line: `claims`, `compare`, `ablate`, `saturate`, `universal`, `results`.

A paper's options are the knobs of its own settings.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from engine import arguments
from engine.alter.ensemble import members
from engine.attack.catalog import parse
from engine.attack.universal import SHIPPED, Universal
from engine.core.errors import BadTask
from engine.core.knobs import Knobbed, knobs, typed
from engine.data.labels import class_index
from engine.evaluate.claim import markdown
from engine.evaluate.parallel import place
from engine.evaluate.study import data
from engine.evaluate.transfer import bare
from engine.model import zoo
from engine.papers import results as telling
from engine.papers.aas import claims as aas
from engine.papers.aas import saturation
from engine.papers.catalog import PAPERS
from engine.papers.paper import Exhibit, ForAnyPicture, Paper, Photographs, study
from engine.papers.tgr import ablation


def declare(command: arguments.Commands, papers: tuple[Paper, ...] = PAPERS) -> None:
    """Add the commands of all papers."""
    claims = command.group(
        "claims",
        "A paper's claims, measured here: claim, measured, expected, holds or not.",
        "PAPER",
    )
    for paper in papers:
        its = claims(_claims(paper), paper.name)
        _over_photographs(its, targets=paper.claims.targets, resumes=paper.claims.resumes)
        arguments.turning(its, paper.claims.settings)
    compare = command.group(
        "compare", "What a paper shows of one picture, as its page does.", "PAPER"
    )
    for paper in papers:
        its = compare(_compare(paper), paper.name)
        _over_a_picture(its, paper.compare.answers)
        arguments.turning(its, paper.compare.settings)
    parts = command(ablate)
    _over_photographs(parts, targets=True, resumes=True)
    parts.add_argument("--eps", nargs="+", default=["8/255", "16/255"], help="budgets")
    parts.add_argument("--steps", default="10")
    control = command(saturate)
    _over_photographs(control, resumes=True)
    control.add_argument("--c", nargs="+", type=float, default=[1, 3, 10, 30, 100, 300])
    control.add_argument("--eps", default="1/255", help="budget at which every c is measured")
    control.add_argument("--budgets", nargs="+", default=[], help="further ones, at one c")
    control.add_argument("--at", type=float, default=30.0, help="that c")
    control.add_argument("--few", type=int, default=32, help="pictures there")
    one_for_all = command.group(
        "universal", "Train one perturbation or patch for any picture of a model.", "PAPER"
    )
    for paper in papers:
        if paper.universal:
            its = one_for_all(_universal(paper, paper.universal), paper.name)
            _over_photographs(its)
            its.add_argument("--label", metavar="CLASS", help="on the pictures of one class only")
            its.add_argument("--resume", action="store_true", help="go on from the saved epoch")
            defaults = {each.name: each.default for each in knobs(paper.universal.settings)}
            its.set_defaults(batch=defaults["batch"])
            arguments.turning(its, paper.universal.settings, "batch", "seed")
    command(results).add_argument("--check", action="store_true", help="only say what is stale")


def results(asked: argparse.Namespace) -> None:
    """Write docs/results.md and the README's findings anew from what is stored."""
    if asked.check:
        found = telling.stale()
        if found:
            names = " and ".join(each.name for each in found)
            raise BadTask(f"{names} not current.", "Run python -m engine results.")
    else:
        found = telling.write()
    names = [each.name for each in found]
    arguments.show(asked, names, [f"Written: {each}" for each in names] or ["All is current."])


def ablate(asked: argparse.Namespace) -> None:
    """Which part of TGR helps on this source and which costs, each on its own, against MI-FGSM."""
    recipes = ablation.settings(
        [parse("tgr", {"eps": word}).eps for word in asked.eps],
        steps=parse("tgr", {"steps": asked.steps}).steps,
    )
    photographs = _photographs(asked)
    events = arguments.progress(ablation.ablate(photographs, recipes), asked)
    for parts in events:
        found = study("tgr_ablation", photographs, {"steps": recipes[0].steps}, [parts])
        _report(asked, data(found), ablation.markdown(parts))


def saturate(asked: argparse.Namespace) -> None:
    """The positive control of AAS: scores times c, and who finds the gradient again."""
    eps, *budgets = (
        typed(aas.Settings, "saturate", {"eps": word}).eps for word in (asked.eps, *asked.budgets)
    )
    on = saturation.Conditions(tuple(asked.c), eps, tuple(budgets), asked.at, asked.few)
    photographs = _photographs(asked)
    for found in arguments.progress(saturation.saturate(photographs, on), asked):
        kept = study(saturation.NAME, photographs, asdict(on), [found])
        _report(asked, data(kept), saturation.markdown(found))


def _claims(paper: Paper) -> arguments.Command:
    """The command that measures a paper's claims."""

    def claims(asked: argparse.Namespace) -> None:
        settings = arguments.turned(asked, paper.claims.settings)
        photographs = _photographs(asked)
        events = list(arguments.progress(paper.claims.measure(photographs, settings), asked))
        if place().leads:
            found = study(paper.name, photographs, _plain(settings), events)
            _report(asked, data(found), markdown(found.claims))

    claims.__doc__ = f"{paper.title}. {paper.reference}."
    return claims


def _compare(paper: Paper) -> arguments.Command:
    """The command that compares one picture."""

    def compare(asked: argparse.Namespace) -> None:
        settings = arguments.turned(asked, paper.compare.settings)
        targets = tuple(asked.targets)
        arguments.check_known((asked.model, *targets), asked.weights)
        exhibit = Exhibit(
            arguments.picture(asked.image),
            arguments.called(asked.image),
            asked.model,
            targets,
            None if asked.label is None else class_index(_classes(asked), asked.label),
            asked.seed,
            asked.weights,
        )
        for found in arguments.progress(paper.compare.run(exhibit, settings), asked):
            _report(asked, paper.compare.summary(exhibit, found), paper.compare.markdown(found))

    compare.__doc__ = f"{paper.title}. {paper.reference}."
    return compare


def _universal(paper: Paper, how: ForAnyPicture) -> arguments.Command:
    """The command that trains a perturbation for any picture."""

    def universal(asked: argparse.Namespace) -> None:
        settings = arguments.turned(asked, how.settings)
        if not asked.out:
            arguments.folder(str(SHIPPED))
        events = how.train(_photographs(asked), settings, asked.out, asked.resume)
        for made in arguments.progress(events, asked):
            arguments.show(asked, _header(made), [_trained(made)])

    universal.__doc__ = f"{paper.title}. {paper.reference}."
    return universal


def _over_a_picture(made: argparse.ArgumentParser, answers: bool) -> None:
    made.add_argument("image", metavar="PICTURE", help=f"a file, or {arguments.SAMPLE}ID")
    made.add_argument("--model", default="vit_imagenette", help="the model attacked")
    if answers:
        made.add_argument("--targets", nargs="+", default=[], metavar="T", help="other models")
        made.add_argument("--label", help="true class; default: what the model sees")
    made.set_defaults(targets=[], label=None)
    made.add_argument("--out", type=arguments.file, metavar="FILE")
    arguments.seeded(made)


def _over_photographs(
    made: argparse.ArgumentParser, *, targets: bool = False, resumes: bool = False
) -> None:
    arguments.over_folder(made)
    made.add_argument("--model", required=True, help="a name from `models`, or a timm name")
    if targets:
        made.add_argument("--targets", nargs="+", required=True, metavar="T", help="other models")
    if resumes:
        arguments.resumable(made)
    arguments.seeded(made)


def _photographs(asked: argparse.Namespace) -> Photographs:
    """What the command line names; raises UnknownName where there is no such model."""
    targets, label = tuple(getattr(asked, "targets", ())), getattr(asked, "label", None)
    arguments.check_known((asked.model, *targets), asked.weights)
    return Photographs(
        asked.folder,
        asked.model,
        targets,
        asked.limit,
        asked.seed,
        asked.batch,
        asked.weights,
        getattr(asked, "keep", None),
        None if label is None else class_index(_classes(asked), label),
    )


def _classes(asked: argparse.Namespace) -> tuple[str, ...]:
    """The classes of the model."""
    return zoo.class_names(zoo.card(members(bare(asked.model))[0], asked.weights))


def _report(asked: argparse.Namespace, report: dict[str, Any], table: str) -> None:
    if asked.out:
        arguments.write(asked.out, report)
    arguments.show(asked, report, [table])


def _header(made: Universal) -> dict[str, Any]:
    """What a perturbation's file says of it."""
    about = {key: value for key, value in vars(made).items() if key not in ("delta", "past")}
    return about | {"measured": made.measured and asdict(made.measured)}


def _trained(made: Universal) -> str:
    measured = made.measured
    assert measured is not None  # the last event has it
    told = "; ".join(
        f"{name} clean {each.clean:.3g}, with it {each.attacked:.3g}, "
        f"with noise of its size {each.noise:.3g}"
        for name, each in measured.figures.items()
    )
    settings = ", ".join(f"{name} {value}" for name, value in made.settings.items())
    return (
        f"{made.title}: {made.epochs} epochs on {made.pictures} pictures, {settings}; "
        f"on {measured.pictures} others: {told}"
    )


def _plain(settings: Knobbed) -> dict[str, Any]:
    return {each.name: getattr(settings, each.name) for each in knobs(settings)}
