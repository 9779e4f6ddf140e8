"""What the harness says to a model that has lost the thread."""

MAX_CALLS_A_TURN = 30

NO_CALL = (
    "Your turn had no tool call. Go on with the tools; when you are done give your result with the tool that "
    "is meant for it, then call finish. If you cannot go on, call give_up."
)
CUT_CALL = "Your answer was cut at its length limit, so this call was not run. Make a smaller call."
CUT_TEXT = "Your answer was cut at its length limit. Be brief and use the tools."
TOO_MANY = f"At most {MAX_CALLS_A_TURN} calls are run in one turn; this one was not."
OUT_OF_TIME = "The time for this job is over, so this call was not run."
STUCK = (
    "You repeat yourself: {pattern}. Doing it again will not help: try something else, or finish with what "
    "you have, or call give_up."
)
