import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnswerReader, MarkCounter } from './answer-reader.ts';

type Read = { readonly body: string; readonly ends: number; readonly marks: number };

/** Reads `answers` cut into pieces of `size` bytes. */
function readIn(answers: string, size: number): Read {
  let body = '';
  let ends = 0;
  let marks = 0;
  const counter = new MarkCounter('#w');
  const reader = new AnswerReader({
    body(piece) {
      body += piece.toString('latin1');
      marks += counter.count(piece);
    },
    end() {
      ends += 1;
      reader.next();
    },
  });
  const bytes = Buffer.from(answers, 'latin1');
  for (let at = 0; at < bytes.length; at += size) reader.take(bytes.subarray(at, at + size));
  return { body, ends, marks };
}

const chunked =
  'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\na #w \r\n1\r\n#\r\n4\r\nw \r\n\r\n0\r\n\r\n';
const counted = 'HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n#w ##w';

test('a chunked answer gives the same body and marks however it is cut', () => {
  for (let size = 1; size <= chunked.length; size += 1)
    assert.deepEqual(readIn(chunked, size), { body: 'a #w #w \r\n', ends: 1, marks: 2 }, `${size}`);
});

test('an answer with a length gives the same body and marks however it is cut', () => {
  for (let size = 1; size <= counted.length; size += 1)
    assert.deepEqual(readIn(counted, size), { body: '#w ##w', ends: 1, marks: 2 }, `${size}`);
});

test('a lost mark is seen', () => {
  assert.equal(readIn(chunked.replace('a #w', 'a  w'), 7).marks, 1);
});

test('a body that looks like the end of an answer does not end it', () => {
  const trap = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\n0\r\n\r\n!!\r\n0\r\n\r\n';
  assert.deepEqual(readIn(trap, 3), { body: '0\r\n\r\n!!', ends: 1, marks: 0 });
});
