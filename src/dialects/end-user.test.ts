import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anthropicMessages } from './anthropic-messages/index.ts';
import { openaiChat } from './openai-chat/index.ts';
import { openaiResponses } from './openai-responses/index.ts';

function requestOf(userId: string): ReturnType<typeof anthropicMessages.request.decode> {
  const wire = {
    model: 'm',
    max_tokens: 5,
    messages: [{ role: 'user', content: 'x' }],
    metadata: { user_id: userId },
  };
  return anthropicMessages.request.decode(wire, { model: 'm', stream: false });
}

test('a long id of an end user is shortened for OpenAI, the same user to the same id', () => {
  const long = 'session_'.repeat(20);
  const ids = (id: string): readonly unknown[] => [
    openaiChat.request.encode(requestOf(id), {}).value['user'],
    openaiResponses.request.encode(requestOf(id), {}).value['safety_identifier'],
  ];
  const [user, safety] = ids(`${long}1`);
  assert.equal(user, safety);
  assert.equal(String(user).length, 64);
  assert.match(String(user), /^session_session_.*-[0-9a-f]{16}$/);
  assert.deepEqual(ids(`${long}1`), [user, safety]);
  assert.notDeepEqual(ids(`${long}2`), [user, safety]);
  assert.deepEqual(ids('ada'), ['ada', 'ada']);
});

test('an id said in the same dialect is left to the vendor', () => {
  const user = 'u'.repeat(100);
  const request = openaiChat.request.decode(
    { model: 'm', messages: [{ role: 'user', content: 'x' }], user },
    { model: 'm', stream: false },
  );
  assert.equal(openaiChat.request.encode(request, {}).value['user'], user);
});
