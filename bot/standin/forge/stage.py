"""State and webhooks together: what every change of the forge acts on."""

from dataclasses import dataclass

from bot.standin.forge.deliveries import Deliveries
from bot.standin.forge.world import World


@dataclass(frozen=True, slots=True)
class Stage:
    """The world and the queue of webhooks that tell of its changes."""

    world: World
    deliveries: Deliveries
