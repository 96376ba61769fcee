"""How the state of a training is put into words."""

from typing import Final

from terrainlib.ui.worker_parts import StateText

STATES: Final[dict[str, StateText]] = {
    "starting": StateText(
        "starting",
        "blue",
        ":material/hourglass_top:",
        "The data are being read and the network is being built.",
    ),
    "running": StateText(
        "running",
        "green",
        ":material/play_arrow:",
        "The training goes on, also when this page is left or closed.",
    ),
    "stopping": StateText(
        "stopping",
        "orange",
        ":material/hourglass_bottom:",
        "The training ends after this step and saves its model.",
    ),
    "stalled": StateText(
        "stalled",
        "orange",
        ":material/pause:",
        "The training is alive but has not moved for a while; the machine may be busy.",
    ),
    "stopped": StateText(
        "stopped",
        "gray",
        ":material/stop:",
        "Stopped on request; the model so far is kept. Resume goes on where it ended.",
    ),
    "finished": StateText(
        "finished",
        "green",
        ":material/check:",
        "The training has reached its budget; the model is ready.",
    ),
    "failed": StateText(
        "failed",
        "red",
        ":material/error:",
        "The training ended with an error.",
    ),
    "crashed": StateText(
        "crashed",
        "red",
        ":material/error:",
        "The training ended without a word: it was killed or the machine went off. "
        "Resume goes on from its last saved epoch.",
    ),
}


def state_text(state: str) -> StateText:
    """Return the words for a state; an unknown one is shown as it is."""
    return STATES.get(state, StateText(state, "gray", ":material/help:", ""))
