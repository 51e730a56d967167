import json

from conversation import DESCRIPTION, KEY, NAME, PARAMETERS, QUESTION, SYSTEM, URL, report, said, weather
from openai import OpenAI

client = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
TOOL = {"type": "function", "function": {"name": NAME, "description": DESCRIPTION, "parameters": PARAMETERS, "strict": True}}


def turn(model, messages):
    pieces = 0
    with client.chat.completions.stream(
        model=model, messages=messages, tools=[TOOL], stream_options={"include_usage": True}
    ) as stream:
        for event in stream:
            pieces += event.type == "chunk"
        completion = stream.get_final_completion()
    [choice] = completion.choices
    calls = choice.message.tool_calls or []
    usage = completion.usage
    cached = usage.prompt_tokens_details.cached_tokens
    turned = said(
        choice.message.content or "",
        [(call.function.name, json.loads(call.function.arguments)) for call in calls],
        choice.finish_reason,
        (usage.prompt_tokens, cached, usage.completion_tokens),
        pieces,
    )
    return turned, choice.message, calls


def converse(model):
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    first, message, calls = turn(model, messages)
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": weather(**json.loads(call.function.arguments))}
        for call in calls
    ]
    second, _, _ = turn(model, [*messages, message, *results])
    return [first, second]


report(converse)
