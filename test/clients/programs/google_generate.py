from conversation import DESCRIPTION, KEY, NAME, PARAMETERS, QUESTION, SYSTEM, URL, report, said, weather
from google import genai
from google.genai import types

client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL))
TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name=NAME, description=DESCRIPTION, parameters_json_schema=PARAMETERS)
    ]
)


def turn(chat, message):
    text, calls, finish, usage, pieces = "", [], None, None, 0
    for chunk in chat.send_message_stream(message):
        pieces += 1
        candidate = chunk.candidates[0] if chunk.candidates else None
        for part in (candidate and candidate.content and candidate.content.parts) or []:
            if part.text and not part.thought:
                text += part.text
            if part.function_call:
                calls.append(part.function_call)
        finish = (candidate and candidate.finish_reason) or finish
        usage = chunk.usage_metadata or usage
    output = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    turned = said(
        text,
        [(call.name, call.args) for call in calls],
        finish and finish.value,
        (usage.prompt_token_count, usage.cached_content_token_count, output),
        pieces,
    )
    return turned, calls


def converse(model):
    config = types.GenerateContentConfig(
        system_instruction=SYSTEM,
        tools=[TOOL],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    chat = client.chats.create(model=model, config=config)
    first, calls = turn(chat, QUESTION)
    results = [
        types.Part(
            function_response=types.FunctionResponse(
                id=call.id, name=call.name, response={"output": weather(**call.args)}
            )
        )
        for call in calls
    ]
    second, _ = turn(chat, results)
    return [first, second]


report(converse)
