"""The correction of the light at work in the service: learned once, followed as the day changes."""

from agent.following.following import Following, pace_of
from agent.following.say import sentence, standing, words

__all__ = ["Following", "pace_of", "sentence", "standing", "words"]
