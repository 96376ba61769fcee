"""What is said of a worker that ended otherwise than it should, by kind of work."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Words:
    """The phrases of one kind of work.

    Attributes:
        work: Its name, as in "the training process".
        log: Name of its log.
        too_early: The sentence for an end before anything was done.
        interrupted: The sentence for a second Ctrl-C.
        too_large: The sentence for a lack of memory that was noticed.
        after_kill: What to do after the system took the memory back.
        after_loss: What to do when the process is gone for another reason.
    """

    work: str
    log: str
    too_early: str
    interrupted: str
    too_large: str
    after_kill: str
    after_loss: str


TRAINING: Final = Words(
    work="training",
    log="train.log",
    too_early="Stopped before the first step.",
    interrupted="Interrupted. Resume continues from the last epoch.",
    too_large="The memory is not enough. Lower the batch size or the image size.",
    after_kill="lower the batch size or the image size, then resume.",
    after_loss="Resume continues from the last checkpoint.",
)
PREDICTION: Final = Words(
    work="prediction",
    log="worker.log",
    too_early="Stopped before the first row.",
    interrupted="Interrupted. The images that were finished are kept.",
    too_large="The memory is not enough. Use a smaller scale, or cut the image.",
    after_kill=(
        "use a smaller scale or cut the image, then start again. The images that were "
        "finished are kept."
    ),
    after_loss="The images that were finished are kept; start the others again.",
)
