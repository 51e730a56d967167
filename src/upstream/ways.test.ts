import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { describe, it } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { UpstreamFailure, type UpstreamResponse } from './index.ts';
import { certificate, certificateKey, client, listen, raw, to } from './upstream-rig.ts';

const ok = 'HTTP/1.1 200 OK\r\n';
const chunked = `${ok}transfer-encoding: chunked\r\n\r\n`;

/** What an upstream says before it closes, and what becomes of the call. */
const answers: readonly [name: string, says: string, outcome: string][] = [
  ['a whole answer', `${ok}content-length: 4\r\n\r\ngood`, '200 good'],
  ['chunks', `${chunked}2\r\ngo\r\n2;x=y\r\nod\r\n0\r\n\r\n`, '200 good'],
  ['chunks and trailers', `${chunked}4\r\ngood\r\n0\r\na: b\r\n\r\n`, '200 good'],
  ['a body that ends with its connection', `${ok}\r\ngood`, '200 good'],
  ['an answer of HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\ngood', '200 good'],
  ['no reason phrase', 'HTTP/1.1 200\r\ncontent-length: 4\r\n\r\ngood', '200 good'],
  ['early hints', `HTTP/1.1 103 E\r\na: b\r\n\r\n${ok}content-length: 4\r\n\r\ngood`, '200 good'],
  ['no content', 'HTTP/1.1 204 No Content\r\n\r\n', '204 '],
  ['not modified', 'HTTP/1.1 304 Not Modified\r\n\r\n', '304 '],
  ['an error', 'HTTP/1.1 500 No\r\ncontent-length: 3\r\n\r\nbad', '500 bad'],
  ['nothing', '', 'reset sent'],
  ['half a head', `${ok}content-le`, 'reset sent'],
  ['less than its length', `${ok}content-length: 9\r\n\r\ngood`, 'reset sent'],
  ['chunks that break off', `${chunked}9\r\ngood`, 'reset sent'],
  ['chunks without their end', `${chunked}4\r\ngood\r\n`, 'reset sent'],
  ['no size of a chunk', `${chunked}\r\ngood`, 'protocol sent'],
  ['a size that is none', `${chunked}zz\r\ngood`, 'protocol sent'],
  ['a length that is none', `${ok}content-length: four\r\n\r\ngood`, 'protocol sent'],
  ['another protocol', 'SSH-2.0-OpenSSH\r\n\r\n', 'protocol sent'],
  ['a change of protocol', 'HTTP/1.1 101 S\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n', 'protocol sent'],
  ['a head without end', `${ok}a: ${'b'.repeat(70_000)}`, 'protocol sent'],
  ['a name with a space', `${ok}a b: c\r\n\r\ngood`, 'protocol sent'],
]; // prettier-ignore

async function outcomeOf(answer: Promise<UpstreamResponse>): Promise<string> {
  try {
    const response = await answer;
    return `${response.status} ${(await response.collect(1_000)).toString()}`;
  } catch (error) {
    if (!(error instanceof UpstreamFailure)) throw error;
    return `${error.kind} ${error.sent ? 'sent' : 'not sent'}`;
  }
}

describe('both ways of a direct call', () => {
  for (const [name, says, outcome] of answers) {
    it(`make the same of ${name}`, async (t) => {
      const port = await raw(t, (socket) => socket.end(says));
      for (const direct of ['http1', 'undici'] as const) {
        const upstream = client(t, { pools: { direct } });
        assert.equal(await outcomeOf(upstream.send(to(port))), outcome, direct);
        assert.equal(upstream.running, 0);
      }
    });
  }

  it('make the same of an address where nobody listens', async (t) => {
    const server = createServer();
    const port = await listen(t, server);
    server.close();
    for (const direct of ['http1', 'undici'] as const) {
      const upstream = client(t, { pools: { direct } });
      assert.equal(await outcomeOf(upstream.send(to(port))), 'connect not sent', direct);
    }
  });

  it('take a peer that resets in the handshake for one out of reach, not for a forbidden one', async (t) => {
    const server = createTlsServer({ cert: certificate, key: certificateKey });
    server.on('tlsClientError', () => {});
    const hidden = await listen(t, server);
    const front = createServer((socket) => {
      const behind = connect(hidden, '127.0.0.1');
      for (const side of [behind, socket]) side.on('error', () => {});
      socket.pipe(behind);
      // The client has all that it needs to call the connection made, and the connection is gone.
      behind.once('data', (flight) => {
        socket.write(flight);
        socket.resetAndDestroy();
        behind.destroy();
      });
    });
    const port = await listen(t, front);
    for (const direct of ['http1', 'undici'] as const) {
      const upstream = client(t, { pools: { direct, certificateAuthorities: [certificate] } });
      const answer = upstream.send(to(port, { url: `https://localhost:${port}/` }));
      assert.equal(await outcomeOf(answer), 'connect not sent', direct);
    }
  });

  const differences: readonly [name: string, says: string, ours: string, theirs: string][] = [
    [
      '100 Continue, which ours passes over as RFC 9110 asks',
      `HTTP/1.1 100 Continue\r\n\r\n${ok}content-length: 4\r\n\r\ngood`,
      '200 good',
      'protocol sent',
    ],
    [
      'two lengths, which ours calls by their name',
      `${ok}content-length: 4\r\ncontent-length: 9\r\n\r\ngood`,
      'protocol sent',
      'reset sent',
    ],
    [
      'two framings, which ours calls by their name',
      `${ok}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\ngood`,
      'protocol sent',
      'reset sent',
    ],
  ];
  for (const [name, says, ours, theirs] of differences) {
    it(`differ about ${name}`, async (t) => {
      const port = await raw(t, (socket) => socket.end(says));
      for (const [direct, outcome] of [
        ['http1', ours],
        ['undici', theirs],
      ] as const) {
        const upstream = client(t, { pools: { direct } });
        assert.equal(await outcomeOf(upstream.send(to(port))), outcome, direct);
      }
    });
  }
});
