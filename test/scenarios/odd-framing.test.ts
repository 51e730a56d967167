/** Answers with a good status whose head or body is not what was asked for. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { nanoUsd } from '#std';
import { startOddVendor, type OddVendor } from './odd-vendor.ts';
import { sseData, startRig, type Rig } from './rig.ts';

describe('an answer in an odd form', () => {
  let rig: Rig;
  let vendor: OddVendor;
  let answer = { type: '', body: '' };
  before(async () => {
    vendor = await startOddVendor((request, response) => {
      request.resume();
      response.writeHead(200, answer.type === '' ? {} : { 'content-type': answer.type });
      response.end(answer.body);
    });
    const models = { m: { prices: { input: '1', output: '2' }, output_tokens: 100 } };
    const google = { id: 'google', dialect: 'gemini-generate', models: { g: models.m } };
    const claude = { id: 'claude', dialect: 'anthropic-messages', models: { a: models.m } };
    rig = await startRig({
      vendors: [],
      channels: [vendor.channel({ models }), vendor.channel(google), vendor.channel(claude)],
    });
  });
  after(async () => {
    await rig.close();
    vendor.close();
  });

  const ask = (model = 'm'): Promise<Response> =>
    rig.post('/v1/chat/completions', {
      model,
      stream: true,
      messages: [{ role: 'user', content: 'q' }],
    });
  const frames =
    'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';

  it('is read as a stream although its head says otherwise or nothing', async () => {
    const starts = ['', '\n\r\n\n', ': waiting\n\n', '\n: waiting\n\n'];
    for (const [type, start] of starts.flatMap(
      (text) =>
        [
          ['text/plain', text],
          ['', text],
        ] as const,
    )) {
      answer = { type, body: start + frames };
      const response = await ask();
      assert.equal(response.headers.get('content-type')?.split(';')[0], 'text/event-stream');
      const [first] = sseData(await response.text());
      assert.deepEqual(first?.['choices'], [
        { index: 0, delta: { content: 'Hi' }, finish_reason: 'stop' },
      ]);
    }
  });

  it('tells of an overlong prompt as such, though the error came with a good status', async () => {
    const message = "This model's maximum context length is 100 tokens.";
    const body = JSON.stringify({ error: { message, code: 400 } });
    answer = { type: 'application/json', body };
    const response = await ask();
    assert.equal(response.status, 400);
    assert.match(await response.text(), /context_length_exceeded/);
  });

  it('reaches the client as events although it came in lines', async () => {
    const lines = [
      '{"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}',
      '{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    ];
    answer = { type: 'application/x-ndjson', body: `${lines.join('\n')}\n` };
    const text = await (await ask()).text();
    const words = sseData(text).map(
      (chunk) => (chunk['choices'] as { delta: unknown }[])[0]?.delta,
    );
    assert.match(JSON.stringify(words), /"content":"Hi"/);
    assert.match(text, /\ndata: \[DONE\]\n/);
  });

  it('ends its last event, though the connection closed before the blank line', async () => {
    for (const cut of [1, 2]) {
      answer = { type: 'text/event-stream', body: frames.slice(0, -cut) };
      const text = await (await ask()).text();
      assert.match(text, /\n\ndata: \[DONE\]\n\n/);
    }
  });

  it('ends with its error alone, though the connection closed in the middle of an event', async () => {
    const begun = frames.slice(0, frames.indexOf('data: [DONE]')).replace('"stop"', 'null');
    for (const rest of ['da', 'data: {"id":"c","cho', 'event: x\ndata:', 'data: {"id":"c"\n']) {
      answer = { type: 'text/event-stream', body: begun + rest };
      const chunks = sseData(await (await ask()).text());
      assert.equal(chunks.length, 2, rest);
      assert.match(JSON.stringify(chunks[1]), /"code":"upstream_cut"/);
    }
  });

  it('is whole for a client that did not ask for a stream', async () => {
    const tail = 'data: {"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}';
    const body = frames.replace('data: [DONE]', `${tail}\n\ndata: [DONE]`);
    for (const type of ['text/event-stream', 'application/json']) {
      answer = { type, body };
      const messages = [{ role: 'user', content: 'q' }];
      const response = await rig.post('/v1/chat/completions', { model: 'm', messages });
      const whole = (await response.json()) as {
        choices: { message: { content: string }; finish_reason: string }[];
        usage: { prompt_tokens: number; cost: number };
      };
      assert.equal(whole.choices[0]?.message.content, 'Hi');
      assert.equal(whole.choices[0].finish_reason, 'stop');
      assert.equal(whole.usage.prompt_tokens, 3);
      assert.equal(whole.usage.cost, 0.000005);
    }
  });

  it('is told as a stream in every dialect although it came as the one frame of its own', async () => {
    const message = {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'a',
      content: [{ type: 'text', text: 'Hi' }],
      stop_reason: 'max_tokens',
      stop_sequence: null,
      usage: { input_tokens: 3, output_tokens: 1 },
    };
    const question = { model: 'a', stream: true, messages: [{ role: 'user', content: 'q' }] };
    const ways = [
      ['/v1/messages', { ...question, max_tokens: 9 }, /"stop_reason":"max_tokens".*message_stop/s],
      ['/v1/chat/completions', question, /"finish_reason":"length".*\[DONE\]/s],
      ['/v1/responses', { ...question, input: 'q', messages: undefined }, /response.incomplete/],
      [
        '/v1beta/models/a:streamGenerateContent?alt=sse',
        { contents: [{ role: 'user', parts: [{ text: 'q' }] }] },
        /"MAX_TOKENS"/,
      ],
    ] as const;
    for (const [path, asked, end] of ways) {
      const starts = ['', 'event: ping\ndata: {"type":"ping"}\n\n', 'event: message\n'];
      for (const start of starts) {
        answer = {
          type: 'text/event-stream',
          body: `${start}data: ${JSON.stringify(message)}\n\n`,
        };
        const response = await rig.post(path, asked);
        const text = await response.text();
        assert.equal(response.status, 200, text);
        assert.match(text, /"Hi"/);
        assert.match(text, end);
        assert.doesNotMatch(text, /"content":\[\{"type":"text"|upstream_cut/);
        if (path !== '/v1/chat/completions') assert.match(text, /"cost":0\.000005\b/);
      }
    }
  });

  it('tells of an error that was announced as a stream and is none', async () => {
    const error = { message: 'Tool names must be unique.', type: 'invalid_request_error' };
    answer = { type: 'text/event-stream', body: JSON.stringify({ error }) };
    const response = await ask();
    assert.equal(response.status, 400);
    assert.match(await response.text(), /Tool names must be unique/);
  });

  it('is told as a stream although it came whole, announced as one or not', async () => {
    const body = JSON.stringify(
      {
        id: 'c',
        choices: [
          { index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' },
        ],
        usage: { prompt_tokens: 3, completion_tokens: 1 },
      },
      undefined,
      1,
    );
    const starts = ['', '\n\n', ': waiting\n\n: waiting\n\n'];
    for (const type of ['text/event-stream', 'application/json'])
      for (const start of type === 'text/event-stream' ? starts : ['']) {
        answer = { type, body: `${start}${body}\n` };
        const response = await ask();
        assert.equal(response.status, 200);
        const text = await response.text();
        assert.match(text, /"content":"Hi"/);
        assert.match(text, /"finish_reason":"stop"/);
        assert.match(text, /\ndata: \[DONE\]\n/);
        assert.equal(response.headers.get('x-manifold-cost-usd'), '0.000005');
      }
  });

  it('is told as a stream although it came as an array, announced as events or not', async () => {
    const chunk = (text: string, rest: object): object => ({
      candidates: [{ index: 0, content: { role: 'model', parts: [{ text }] }, ...rest }],
      usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 1 },
    });
    const body = JSON.stringify([chunk('H', {}), chunk('i', { finishReason: 'STOP' })]);
    const contents = [{ role: 'user', parts: [{ text: 'q' }] }];
    for (const type of ['text/event-stream', 'application/json', '']) {
      answer = { type, body };
      const text = await (await ask('g')).text();
      assert.match(text, /"content":"Hi"/);
      assert.match(text, /"finish_reason":"stop"/);
      for (const framing of ['?alt=sse', '']) {
        const own = await rig.post(`/v1beta/models/g:streamGenerateContent${framing}`, {
          contents,
        });
        const said = await own.text();
        assert.match(said, /"text":\s*"Hi"/);
        assert.match(said, /"finishReason":\s*"STOP"/);
      }
    }
  });

  it('has its events apart where the last one ends without a blank line', async () => {
    const [first = '', mark = ''] = frames.trimEnd().split('\n\n');
    const open = first.replace('"stop"', 'null');
    const told = async (body: string): Promise<string> => {
      answer = { type: 'text/event-stream', body };
      const messages = [{ role: 'user', content: 'q' }];
      const request = { model: 'm', stream: true, messages };
      return (await rig.post('/v1/chat/completions', request)).text();
    };
    for (const end of ['', '\n']) {
      assert.match(await told(`${first}\n\n${mark}${end}`), /\ndata: \[DONE\]\n+: cost_usd=/);
      assert.match(
        await told(`${open}\n\n${first}${end}`),
        /"finish_reason":"stop"\}\]\}\n+: cost_usd=/,
      );
      const cut = await told(`${open}\n\n${open}${end}`);
      assert.equal(sseData(cut).length, 3);
      assert.match(cut, /upstream_cut/);
    }
    const half = await told(`${open}\n\n${open.slice(0, -9)}`);
    assert.equal(sseData(half).length, 2);
    assert.match(half, /upstream_cut/);
  });

  it('is cut in the middle of a frame of Gemini also where an earlier one said why it ends', async () => {
    const part = (text: string): string =>
      JSON.stringify({ candidates: [{ content: { parts: [{ text }] }, finishReason: 'STOP' }] });
    answer = {
      type: 'text/event-stream',
      body: `data: ${part('Hi')}\n\ndata: ${part('you').slice(0, -9)}`,
    };
    const contents = [{ role: 'user', parts: [{ text: 'q' }] }];
    const own = await rig.post('/v1beta/models/g:streamGenerateContent?alt=sse', { contents });
    for (const text of [await own.text(), await (await ask('g')).text()])
      assert.match(text, /upstream_cut|before it was complete|before the answer was complete/);
  });

  it('is an error when it is half of a whole one, or an array that is none', async () => {
    for (const body of ['{"id":"c","choices":[{"index":0,"mess', '[{"x":1}] and more']) {
      for (const type of ['text/event-stream', 'application/json']) {
        answer = { type, body };
        assert.equal((await ask()).status, 502);
      }
    }
  });

  it('is no answer when it is a page', async () => {
    answer = { type: 'text/html', body: '<html>data: soon</html>' };
    assert.equal((await ask()).status, 502);
  });
});

describe('an answer that comes whole when the head has left', () => {
  let rig: Rig;
  let vendor: OddVendor;
  before(async () => {
    const message = { role: 'assistant', content: 'Hi' };
    const usage = { prompt_tokens: 3, completion_tokens: 1 };
    const whole = { id: 'c', choices: [{ index: 0, message, finish_reason: 'stop' }], usage };
    vendor = await startOddVendor((request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      setTimeout(() => response.end(JSON.stringify(whole)), 100);
    });
    const models = { m: { prices: { input: '1', output: '2' }, output_tokens: 100 } };
    const config = { streaming: { hold_headers_ms: 10 } };
    rig = await startRig({ vendors: [], channels: [vendor.channel({ models })], config });
  });
  after(async () => {
    await rig.close();
    vendor.close();
  });

  it('tells its price once, in its usage or behind its end', async () => {
    const body = { model: 'm', stream: true, messages: [{ role: 'user', content: 'q' }] };
    for (const include_usage of [false, true]) {
      const request = { ...body, stream_options: { include_usage } };
      const response = await rig.post('/v1/chat/completions', request);
      assert.equal(response.headers.get('x-manifold-cost-usd'), null);
      const text = await response.text();
      assert.match(text, /"content":"Hi"/);
      assert.equal(/\ndata: \[DONE\]\n\n: cost_usd=0\.000005 /.test(text), !include_usage);
      assert.equal(text.includes('"cost":0.000005'), include_usage);
    }
  });
});

describe('an answer whose connection stays open behind its end', () => {
  it('ends soon after, counted as its vendor counts it', async (t) => {
    const events = [
      { choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: 'stop' }] },
      { choices: [], usage: { prompt_tokens: 3, completion_tokens: 1 } },
    ];
    const [first, counts] = events.map(
      (event) => `data: ${JSON.stringify({ id: 'c', ...event })}\n\n`,
    );
    const vendor = await startOddVendor((request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`${first}data: [DONE]\n\n`);
      setTimeout(() => response.write(counts), 100);
    });
    const models = { m: { prices: { input: '1', output: '2' }, output_tokens: 100 } };
    const rig = await startRig({ vendors: [], channels: [vendor.channel({ models })] });
    t.after(async () => {
      await rig.close();
      vendor.close();
    });
    const signal = AbortSignal.timeout(20_000);
    for (const path of ['/v1/chat/completions', '/v1/messages']) {
      const body = {
        model: 'm',
        stream: true,
        max_tokens: 9,
        messages: [{ role: 'user', content: 'q' }],
      };
      const text = await (await rig.post(path, body, {}, signal)).text();
      assert.match(text, /cost(?:_usd=|":)0\.000005/);
    }
    assert.equal((await rig.books.ledger.balance(rig.walletId)).pendingNanoUsd, nanoUsd(0));
  });
});
