"""What all Python programs share: the question, the tool, and how a program tells what it saw.

A program runs with the packages of its own environment, once for all models.
"""

import json
import os
import traceback

URL = os.environ["MANIFOLD_URL"]
KEY = os.environ["MANIFOLD_KEY"]
MODELS = os.environ["MANIFOLD_MODELS"].split(",")
NONCE = os.environ["MANIFOLD_NONCE"]
# Which API a library that has several shall use: the name of its dialect.
DIALECT = os.environ.get("MANIFOLD_DIALECT", "")

SYSTEM = "You report the weather. Be brief."
QUESTION = "How is the weather in Zürich and in 東京?"

NAME = "get_weather"
DESCRIPTION = "The weather of a city, now."
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Name of the city"}},
    "required": ["city"],
    "additionalProperties": False,
}


def weather(city):
    """The tool. The number makes sure that its words went to the model and nowhere else."""
    return f"{city}: 21 °C, sunny {NONCE}"


def said(text, calls, finish, usage, pieces):
    """One turn. `usage` is (input, cached, output), totals; `pieces` came one after the other."""
    total_input, cached, output = usage
    return {
        "text": text,
        "calls": [{"name": name, "input": given} for name, given in calls],
        "finish": finish,
        "usage": {"input": total_input, "cached": cached, "output": output},
        "pieces": pieces,
    }


def report(converse):
    """Calls `converse` for each model and prints one line for each."""
    for model in MODELS:
        try:
            line = {"model": model, "turns": converse(model)}
        except Exception:
            line = {"model": model, "error": traceback.format_exc()[-2000:]}
        print(json.dumps(line), flush=True)
