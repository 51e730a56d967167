import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anthropicMessages } from '#dialects';
import { formatAwsEvent } from '#std';
import { createAwsChunkParser } from './aws-chunks.ts';

function chunk(event: object): Buffer {
  const bytes = Buffer.from(JSON.stringify(event)).toString('base64');
  return formatAwsEvent(
    { ':event-type': 'chunk', ':message-type': 'event' },
    Buffer.from(JSON.stringify({ bytes, p: 'abc' })),
  );
}

test('an event inside a message becomes a server-sent event that a client can have as it is', () => {
  const [frame] = createAwsChunkParser().push(chunk({ type: 'ping' }));
  assert.equal(frame?.event, 'ping');
  assert.equal(frame?.data, '{"type":"ping"}');
  assert.equal(Buffer.from(frame?.raw ?? []).toString(), 'event: ping\ndata: {"type":"ping"}\n\n');
});

test('an exception in the middle of a stream is an error of the dialect', () => {
  const exception = formatAwsEvent(
    { ':exception-type': 'throttlingException', ':message-type': 'exception' },
    Buffer.from('{"message":"Too many tokens, please wait before trying again."}'),
  );
  const decoder = anthropicMessages.stream.decoder({});
  const events = createAwsChunkParser()
    .push(exception)
    .flatMap((frame) => decoder.push(frame));
  const last = events.at(-1);
  assert.equal(last?.kind, 'error');
  assert.equal(last?.kind === 'error' ? last.error.upstream?.kind : '', 'rate-limited');
});

test('a fault inside the model is told in the words of its first message', () => {
  const exception = formatAwsEvent(
    { ':exception-type': 'modelStreamErrorException', ':message-type': 'exception' },
    Buffer.from(
      '{"message":"Model Stream Error","originalStatusCode":400,"originalMessage":"The prompt is too long."}',
    ),
  );
  const [frame] = createAwsChunkParser().push(exception);
  assert.match(frame?.data ?? '', /"message":"The prompt is too long\."/);
});

test('a message that is cut leaves a tail that is no event', () => {
  const parser = createAwsChunkParser();
  const message = chunk({ type: 'ping' });
  assert.deepEqual(parser.push(message.subarray(0, message.length - 3)), []);
  assert.equal(parser.end()?.data, '');
});
