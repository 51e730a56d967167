import assert from 'node:assert/strict';
import { it } from 'node:test';
import { HeadReader } from './head.ts';
import { ResponseReader } from './response-reader.ts';

it('a response with an event of 10 MB in pieces of one byte is read in linear time', () => {
  const millisecondsFor = (bytes: number): number => {
    let received = 0;
    const reader = new ResponseReader(new HeadReader(), {
      responseHead: () => undefined,
      responsePiece: (piece) => (received += piece.length),
    });
    const wire = Buffer.alloc(1, 'd');
    const startedMs = performance.now();
    reader.begin('POST');
    reader.read(Buffer.from('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'));
    reader.read(Buffer.from(`${bytes.toString(16)}\r\n`));
    for (let at = 0; at < bytes; at++) reader.read(wire);
    reader.read(Buffer.from('\r\n0\r\n\r\n'));
    assert.equal(reader.complete, true);
    assert.equal(received, bytes);
    return performance.now() - startedMs;
  };
  millisecondsFor(100_000);
  const smallMs = millisecondsFor(1_000_000);
  // Ten times the work; a second look at old bytes would make it a hundred times.
  assert.ok(millisecondsFor(10_000_000) < 40 * smallMs);
});
