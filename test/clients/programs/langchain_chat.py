from conversation import DESCRIPTION, DIALECT, KEY, NAME, PARAMETERS, QUESTION, SYSTEM, URL, report, said, weather
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage

TOOL = {"type": "function", "function": {"name": NAME, "description": DESCRIPTION, "parameters": PARAMETERS}}


def chat_model(model):
    if DIALECT == "anthropic-messages":
        from langchain_anthropic import ChatAnthropic

        return ChatAnthropic(model=model, api_key=KEY, base_url=URL, max_retries=0, max_tokens=4096)
    if DIALECT == "gemini-generate":
        from langchain_google_genai import ChatGoogleGenerativeAI

        return ChatGoogleGenerativeAI(model=model, api_key=KEY, base_url=URL, max_retries=0)
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(
        model=model,
        api_key=KEY,
        base_url=f"{URL}/v1",
        max_retries=0,
        stream_usage=True,
        use_responses_api=DIALECT == "openai-responses",
    )


def turn(model, messages):
    whole, pieces = None, 0
    for chunk in model.stream(messages):
        whole = chunk if whole is None else whole + chunk
        pieces += 1
    metadata, usage = whole.response_metadata, whole.usage_metadata
    turned = said(
        whole.text,
        [(call["name"], call["args"]) for call in whole.tool_calls],
        metadata.get("finish_reason") or metadata.get("stop_reason") or metadata.get("status"),
        (usage["input_tokens"], usage.get("input_token_details", {}).get("cache_read"), usage["output_tokens"]),
        pieces,
    )
    return turned, whole


def converse(name):
    model = chat_model(name).bind_tools([TOOL])
    messages = [SystemMessage(SYSTEM), HumanMessage(QUESTION)]
    first, whole = turn(model, messages)
    results = [
        ToolMessage(tool_call_id=call["id"], name=call["name"], content=weather(**call["args"]))
        for call in whole.tool_calls
    ]
    second, _ = turn(model, [*messages, whole, *results])
    return [first, second]


report(converse)
