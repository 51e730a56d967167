from anthropic import Anthropic
from conversation import DESCRIPTION, KEY, NAME, PARAMETERS, QUESTION, SYSTEM, URL, report, said, weather

client = Anthropic(base_url=URL, api_key=KEY, max_retries=0)
TOOL = {"name": NAME, "description": DESCRIPTION, "input_schema": PARAMETERS}


def turn(model, messages):
    pieces = 0
    with client.messages.stream(model=model, system=SYSTEM, messages=messages, max_tokens=4096, tools=[TOOL]) as stream:
        for _ in stream:
            pieces += 1
        message = stream.get_final_message()
    calls = [block for block in message.content if block.type == "tool_use"]
    usage = message.usage
    turned = said(
        "".join(block.text for block in message.content if block.type == "text"),
        [(call.name, call.input) for call in calls],
        message.stop_reason,
        (usage.input_tokens + (usage.cache_read_input_tokens or 0), usage.cache_read_input_tokens, usage.output_tokens),
        pieces,
    )
    return turned, message.content, calls


def converse(model):
    messages = [{"role": "user", "content": QUESTION}]
    first, content, calls = turn(model, messages)
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": weather(**call.input)} for call in calls]
    second, _, _ = turn(
        model, [*messages, {"role": "assistant", "content": content}, {"role": "user", "content": results}]
    )
    return [first, second]


report(converse)
