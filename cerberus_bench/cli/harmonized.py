"""What `harmonize` says when it is done."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cerberus_bench.cli import show

if TYPE_CHECKING:
    from cerberus_bench.workflows.harmonize import HarmoniseSummary


def summary_json(done: "HarmoniseSummary") -> dict[str, Any]:
    """The summary as plain containers."""
    return asdict(done) | {"out": str(done.out)}


def show_summary(done: "HarmoniseSummary") -> None:
    """Records, objects in the source, splits, what is missing, and what deserves a look."""
    mpp = "native resolution" if done.mpp is None else f"{done.mpp} mpp"
    say = show.out.print
    say(f"[bold]{done.dataset}[/]: {done.n_images} images -> {done.n_records} records at {mpp}")
    for task, parts in done.objects.items():
        listed = ", ".join(f"{part} {n:,}" for part, n in parts.items())
        say(f"  {task}: {sum(parts.values()):,} objects in the source ({listed})")
    for task, classes in done.classes.items():
        say(f"  {task} classes: " + ", ".join(f"{name} {n:,}" for name, n in classes.items()))
    say("  splits: " + ", ".join(f"{split} {n}" for split, n in done.splits.items()))
    for part, n in done.missing.items():
        say(f"  [yellow]missing[/]: {n} {part} images of the complete source")
    for line in done.incomplete:
        say(f"  [yellow]left out[/]: {line}", soft_wrap=True)
    if done.n_lost:
        say(f"  [yellow]lost[/]: {done.n_lost} instances vanished in resampling")
    for what, n in done.notes.items():
        say(f"  {what}: {n:,}", soft_wrap=True)
    for line in done.audit:
        say(f"  look at: {line}", soft_wrap=True, markup=False)
    threads = f"{done.workers} worker{'' if done.workers == 1 else 's'}"
    say(
        f"  {done.images_per_s:.1f} images/s, {done.mb_per_s:.1f} MB/s of decoded pixels, in"
        f" {done.seconds:.1f} s by {threads}"
    )
    say(f"-> {done.out}  (fingerprint {done.fingerprint[:12]})", soft_wrap=True)
