import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mayBecomePlain, readPlainHead } from './plain-head.ts';

const rules = { headersMax: 8, allowedHosts: undefined };

function post(...lines: readonly string[]): string {
  return ['POST /v1/chat?a=b HTTP/1.1', 'Host: a.example:80', ...lines].join('\r\n');
}

test('a plain head is read into method, target, fields and length', () => {
  const head = readPlainHead(
    post('Content-Length: 12', 'X-Odd:  two words\t', 'Connection: Keep-Alive', 'x-empty:'),
    rules,
  );
  assert.ok(head);
  assert.deepEqual([head.method, head.target, head.contentLength], ['POST', '/v1/chat?a=b', 12]);
  const fields = head.headers.names.map((name, index) => [name, head.headers.values[index]]);
  assert.deepEqual(fields, [
    ['host', 'a.example:80'],
    ['content-length', '12'],
    ['x-odd', 'two words'],
    ['connection', 'Keep-Alive'],
    ['x-empty', ''],
  ]);
  const get = readPlainHead('GET /v1/models HTTP/1.1\r\nHost: a', rules);
  assert.equal(get?.contentLength, 0);
});

const doubtful: Readonly<Record<string, string>> = {
  'no length for a body': post(),
  'two lengths': post('Content-Length: 1', 'content-length: 1'),
  'a length with a sign': post('Content-Length: +1'),
  'a length with a leading zero': post('Content-Length: 01'),
  'a length beyond all bounds': post('Content-Length: 10000000000'),
  'a chunked body': post('Transfer-Encoding: chunked'),
  'an expectation': post('Content-Length: 1', 'Expect: 100-continue'),
  'an upgrade': post('Content-Length: 1', 'Upgrade: h2c'),
  'an encoded body': post('Content-Length: 1', 'Content-Encoding: gzip'),
  'a connection that closes': post('Content-Length: 1', 'Connection: close'),
  'a connection with options': post('Content-Length: 1', 'Connection: keep-alive, x-a'),
  'an option for proxies': post('Content-Length: 1', 'Proxy-Connection: close'),
  'two hosts': post('Content-Length: 1', 'Host: b'),
  'two keys': post('Content-Length: 1', 'X-Api-Key: a', 'x-api-key: a'),
  'a folded line': post('Content-Length: 1', 'X-A: b', ' c'),
  'a blank before the colon': post('Content-Length: 1', 'X-A : b'),
  'a line without a colon': post('Content-Length: 1', 'X-A'),
  'a field without a name': post('Content-Length: 1', ': b'),
  'a colon in a later line only': post('X-A', 'Content-Length: 1'),
  'a bare line feed': post('Content-Length: 1', 'X-A: b\nX-B: c'),
  'a bare carriage return': post('Content-Length: 1', 'X-A: b\rc'),
  'a NUL': post('Content-Length: 1', 'X-A: b\0'),
  'a byte above ASCII': post('Content-Length: 1', 'X-A: \xfc'),
  'too many fields': post(
    'Content-Length: 1',
    ...Array.from({ length: 7 }, (_, at) => `X-${at}: a`),
  ),
  'no host': 'GET /v1/models HTTP/1.1',
  'a host with a path': 'GET /v1/models HTTP/1.1\r\nHost: a/b',
  'a length without need': 'GET /v1/models HTTP/1.1\r\nHost: a\r\nContent-Length: 0',
  'another method': 'HEAD /v1/models HTTP/1.1\r\nHost: a',
  'a method in lower case': 'get /v1/models HTTP/1.1\r\nHost: a',
  'another version': 'GET /v1/models HTTP/1.0\r\nHost: a',
  'no version': 'GET /v1/models\r\nHost: a HTTP/1.1',
  'two blanks': 'GET  /v1/models HTTP/1.1\r\nHost: a',
  'a blank in the target': 'GET /v1/ models HTTP/1.1\r\nHost: a',
  'a target with an origin': 'GET http://a/v1/models HTTP/1.1\r\nHost: a',
  'two slashes': 'GET //v1/models HTTP/1.1\r\nHost: a',
  'a fragment': 'GET /v1/models#a HTTP/1.1\r\nHost: a',
  'a line break at the beginning': '\r\nGET /v1/models HTTP/1.1\r\nHost: a',
  nothing: '',
};

for (const [name, text] of Object.entries(doubtful)) {
  test(`a head with doubt is left to Node: ${name}`, () => {
    assert.equal(readPlainHead(text, rules), undefined);
  });
}

test('a host that is not allowed is left to Node', () => {
  const allowing = { headersMax: 8, allowedHosts: new Set(['b.example']) };
  assert.equal(readPlainHead(post('Content-Length: 1'), allowing), undefined);
  const other = 'GET /v1/models HTTP/1.1\r\nHost: B.example:8080';
  assert.ok(readPlainHead(other, allowing));
});

test('a plain head may arrive cut anywhere behind its first line', () => {
  const text = post('Content-Length: 12', 'X-Odd:  two words\t', 'Accept: */*');
  const first = text.indexOf('\r\n') + 2;
  for (let cut = 0; cut < text.length; cut += 1)
    assert.equal(mayBecomePlain(text.slice(0, cut), rules), cut >= first, `cut at ${cut}`);
  assert.ok(mayBecomePlain(`${text}\r\n\r`, rules));
});

test('a head that has become doubtful is not waited for', () => {
  const first = 'POST /v1/chat HTTP/1.1\r\n';
  for (const begun of [
    'Host: a/b\r\n',
    'Host: a\r\nX-A : ',
    'Host: a\r\n X',
    'Host: a\r\nX\0',
    'Host: a\r\nX-A: b\n',
    'Host: a\r\nTransfer-Encoding: chunked\r\n',
  ])
    assert.equal(mayBecomePlain(first + begun, rules), false, JSON.stringify(begun));
  assert.equal(mayBecomePlain('PUT /v1/chat HTTP/1.1\r\nHost: ', rules), false);
  assert.equal(mayBecomePlain('GET /v1/chat HTTP/1.0\r\nHost: ', rules), false);
});
