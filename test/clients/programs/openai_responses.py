import json

from conversation import DESCRIPTION, KEY, NAME, PARAMETERS, QUESTION, SYSTEM, URL, report, said, weather
from openai import OpenAI

client = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
TOOL = {"type": "function", "name": NAME, "description": DESCRIPTION, "parameters": PARAMETERS, "strict": True}


def turn(model, given, previous=None):
    """The gateway keeps the conversation: the second turn only names the first."""
    pieces = 0
    with client.responses.stream(
        model=model, instructions=SYSTEM, input=given, tools=[TOOL], **({"previous_response_id": previous} if previous else {})
    ) as stream:
        for _ in stream:
            pieces += 1
        response = stream.get_final_response()
    calls = [item for item in response.output if item.type == "function_call"]
    usage = response.usage
    turned = said(
        response.output_text,
        [(call.name, json.loads(call.arguments)) for call in calls],
        response.status,
        (usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens),
        pieces,
    )
    return turned, response.id, calls


def converse(model):
    first, response_id, calls = turn(model, QUESTION)
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": weather(**json.loads(call.arguments))}
        for call in calls
    ]
    second, _, _ = turn(model, results, response_id)
    return [first, second]


report(converse)
