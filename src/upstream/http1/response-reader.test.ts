import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HeadReader, type ResponseHead } from './head.ts';
import { ResponseReader } from './response-reader.ts';

const seed = Number(process.env['SEED'] ?? 20_261_127);

type Reading = {
  readonly reader: ResponseReader;
  readonly heads: ResponseHead[];
  readonly pieces: Buffer[];
};

function reading(method = 'POST'): Reading {
  const heads: ResponseHead[] = [];
  const pieces: Buffer[] = [];
  const reader = new ResponseReader(new HeadReader(), {
    responseHead: (head) => heads.push(head),
    responsePiece: (piece) => pieces.push(piece),
  });
  reader.begin(method);
  return { reader, heads, pieces };
}

/** Reads from one buffer that is overwritten after each read, as a connection does. */
function readBorrowed({ reader }: Reading, pieces: readonly Buffer[]): void {
  for (const piece of pieces) {
    const borrowed = Buffer.from(piece);
    reader.read(borrowed);
    borrowed.fill(0x58);
  }
}

function read(head: string, body = '', method = 'POST'): Reading {
  const made = reading(method);
  readBorrowed(made, [Buffer.from(`${head.replaceAll('\n', '\r\n')}\r\n\r\n${body}`, 'latin1')]);
  return made;
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].toSorted(
    (left, right) => left - right,
  );
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index]));
}

type Told = { readonly wire: Buffer; readonly body: Buffer; readonly closes: boolean };

const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/);
const fieldText = fc.stringMatching(/^[\t\x20-\x7e]{0,20}$/);
const fields = fc.array(fc.tuple(token, fieldText), { maxLength: 6 }).map((all) =>
  all
    .filter(([name]) => !/^(content-length|transfer-encoding)$/i.test(name))
    .map(([name, value]) => `${name}:${value}\r\n`)
    .join(''),
);
const interim = fc
  .constantFrom(
    '',
    'HTTP/1.1 100 Continue\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n',
  )
  .chain((text) => fc.integer({ min: 1, max: 3 }).map((count) => text.repeat(count)));
const chunkSize = fc.tuple(
  fc.integer({ min: 1, max: 40 }),
  fc.constantFrom('', ';a=b', ';token', ';q="x y"'),
  fc.constantFrom('', '0', '000'),
);

function chunked(
  body: Buffer,
  sizes: readonly [number, string, string][],
  trailers: string,
): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (let index = 0; at < body.length; index++) {
    const [size, extension, zeros] = sizes[index % sizes.length] ?? [1, '', ''];
    const payload = body.subarray(at, at + size);
    const digits = payload.length.toString(16);
    const spelled = index % 2 === 0 ? digits : digits.toUpperCase();
    parts.push(Buffer.from(`${zeros}${spelled}${extension}\r\n`), payload, Buffer.from('\r\n'));
    at += size;
  }
  return Buffer.concat([...parts, Buffer.from(`0\r\n${trailers}\r\n`)]);
}

const response: fc.Arbitrary<Told> = fc
  .record({
    body: fc.uint8Array({ maxLength: 300 }),
    framing: fc.constantFrom('length', 'chunked', 'close'),
    fields,
    interim,
    sizes: fc.array(chunkSize, { minLength: 1, maxLength: 5 }),
    trailers: fields,
  })
  .map(({ body: bytes, framing, fields: lines, interim: before, sizes, trailers }) => {
    const body = Buffer.from(bytes);
    const said = {
      length: `content-length: ${body.length}\r\n`,
      chunked: 'Transfer-Encoding: Chunked\r\n',
      close: '',
    }[framing];
    const sent = framing === 'chunked' ? chunked(body, sizes, trailers) : body;
    const head = Buffer.from(`${before}HTTP/1.1 200 OK\r\n${lines}${said}\r\n`);
    return { wire: Buffer.concat([head, sent]), body, closes: framing === 'close' };
  });

describe('reading a response @hostile', () => {
  it(`gives the same body however a valid stream is cut; SEED=${seed}`, () => {
    fc.assert(
      fc.property(response, fc.array(fc.nat(), { maxLength: 12 }), (told, places) => {
        const made = reading();
        readBorrowed(made, cut(told.wire, places));
        assert.equal(made.reader.fault, '');
        assert.equal(made.reader.complete, !told.closes);
        assert.equal(made.reader.end(), true);
        assert.equal(made.heads.length, 1);
        assert.deepEqual(Buffer.concat(made.pieces), told.body);
      }),
      { seed, numRuns: 2_000 },
    );
  });

  it(`judges every piece of noise without an exception, and never calls a cut response whole; SEED=${seed}`, () => {
    const noise = fc.tuple(response, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }));
    fc.assert(
      fc.property(noise, fc.nat(), fc.array(fc.nat(), { maxLength: 6 }), (given, end, places) => {
        const [told, changes] = given;
        const bytes = Buffer.from(told.wire);
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        const made = reading();
        readBorrowed(made, cut(bytes.subarray(0, end % bytes.length), places));
        const isWhole = made.reader.complete;
        if (changes.length === 0 && !told.closes)
          assert.equal(isWhole && told.body.length > 0, false);
        if (made.reader.fault !== '') assert.equal(isWhole, false);
      }),
      { seed, numRuns: 2_000 },
    );
  });

  it('reads a head of 60 KB in pieces of one byte, and no larger one', () => {
    const head = (bytes: number): Buffer =>
      Buffer.from(`HTTP/1.1 204 OK\r\na: ${'b'.repeat(bytes)}\r\n\r\n`);
    const fits = reading();
    readBorrowed(
      fits,
      cut(
        head(60_000),
        Array.from({ length: 60_100 }, (_, at) => at),
      ),
    );
    assert.equal(fits.reader.complete, true);
    for (const places of [[], [5], [40_000, 66_000]]) {
      const large = reading();
      readBorrowed(large, cut(head(66_000), places));
      assert.match(large.reader.fault, /too large/);
    }
    const endless = reading();
    const hint = Buffer.from('HTTP/1.1 103 Early\r\nlink: </a>\r\n\r\n');
    for (let count = 0; count < 10_000 && endless.reader.fault === ''; count++)
      readBorrowed(endless, [hint]);
    assert.match(endless.reader.fault, /too large/);
  });
});

describe('what a response may not be', () => {
  const refused: readonly [name: string, head: string][] = [
    ['another protocol', 'SSH-2.0-OpenSSH'],
    ['another version', 'HTTP/2.0 200 OK'],
    ['HTTP/1.2', 'HTTP/1.2 200 OK'],
    ['no status', 'HTTP/1.1 OK'],
    ['a long status', 'HTTP/1.1 2000 OK'],
    ['a vertical tab in a value', 'HTTP/1.1 200 OK\na: b\vc'],
    ['a lone return in a value', 'HTTP/1.1 200 OK\na: b\rc: d'],
    ['NUL in a value', 'HTTP/1.1 200 OK\na: b\0c'],
    ['a space before the colon', 'HTTP/1.1 200 OK\na : b'],
    ['no name', 'HTTP/1.1 200 OK\n: b'],
    ['no colon', 'HTTP/1.1 200 OK\nabc'],
    ['a folded line', 'HTTP/1.1 200 OK\na: b\n c: d'],
    ['two lengths', 'HTTP/1.1 200 OK\ncontent-length: 1\ncontent-length: 1'],
    ['two lengths in one', 'HTTP/1.1 200 OK\ncontent-length: 1, 1'],
    ['two lengths in two spellings', 'HTTP/1.1 200 OK\nContent-Length: 1\ncontent-length: 2'],
    ['a signed length', 'HTTP/1.1 200 OK\ncontent-length: +1'],
    ['a length in hexadecimal', 'HTTP/1.1 200 OK\ncontent-length: 0x1'],
    ['an empty length', 'HTTP/1.1 200 OK\ncontent-length:'],
    ['a length beyond all numbers', `HTTP/1.1 200 OK\ncontent-length: ${'9'.repeat(20)}`],
    ['both framings', 'HTTP/1.1 200 OK\ncontent-length: 1\ntransfer-encoding: chunked'],
    ['an unknown coding', 'HTTP/1.1 200 OK\ntransfer-encoding: gzip, chunked'],
    ['chunked twice', 'HTTP/1.1 200 OK\ntransfer-encoding: chunked\ntransfer-encoding: chunked'],
    ['chunked in HTTP/1.0', 'HTTP/1.0 200 OK\ntransfer-encoding: chunked'],
    ['another protocol after this one', 'HTTP/1.1 101 Switching\nupgrade: x'],
  ];
  for (const [name, head] of refused) {
    it(`${name} is refused, in one piece and in many`, () => {
      assert.notEqual(read(head).reader.fault, '');
      const bytes = Buffer.from(`${head.replaceAll('\n', '\r\n')}\r\n\r\n`, 'latin1');
      const made = reading();
      readBorrowed(
        made,
        cut(
          bytes,
          Array.from({ length: bytes.length }, (_, at) => at),
        ),
      );
      assert.notEqual(made.reader.fault, '');
      assert.equal(made.heads.length, 0);
    });
  }

  it('lines that end without a return are refused as soon as one has come', () => {
    for (const head of ['HTTP/1.1 200 OK\na: b\n\n', 'HTTP/1.1 200 OK\r\na: b\n\r\n\r\n']) {
      const made = reading();
      readBorrowed(made, [Buffer.from(head)]);
      assert.notEqual(made.reader.fault, '');
    }
  });

  const brokenChunks: readonly [name: string, body: string][] = [
    ['no size', '\r\nabc'],
    ['a size that is no number', 'xyz\r\n'],
    ['a space behind the size', '3 \r\nabc\r\n'],
    ['a sign', '+3\r\nabc\r\n'],
    ['a line break without its return', '3\nabc\r\n'],
    ['a payload longer than its size', '3\r\nabcd\r\n'],
    ['a size beyond all memory', 'fffffffffffff\r\n'],
    ['an endless size', '0'.repeat(2_000)],
    ['an endless extension', `3;${'a'.repeat(2_000)}`],
    ['a line break in an extension', '3;a\nb\r\nabc\r\n'],
    ['endless trailers', `0\r\n${'a: b\r\n'.repeat(5_000)}`],
    ['a line break in a trailer', '0\r\na: b\nc\r\n\r\n'],
  ];
  for (const [name, body] of brokenChunks) {
    it(`chunks with ${name} are refused`, () => {
      const made = read('HTTP/1.1 200 OK\ntransfer-encoding: chunked', body);
      assert.match(made.reader.fault, /chunks/);
      assert.equal(made.reader.complete, false);
    });
  }
});

describe('what follows a head', () => {
  const bodiless: readonly [status: number, method: string][] = [
    [204, 'POST'],
    [304, 'GET'],
    [200, 'HEAD'],
  ];
  for (const [status, method] of bodiless) {
    it(`${status} to ${method} has no body, and an announced one ends the connection unless it was asked by HEAD`, () => {
      const plain = read(`HTTP/1.1 ${status} x`, '', method);
      assert.deepEqual([plain.reader.complete, plain.reader.reusable], [true, true]);
      const announced = read(`HTTP/1.1 ${status} x\ncontent-length: 5`, '', method);
      assert.equal(announced.reader.complete, true);
      assert.equal(announced.reader.reusable, method === 'HEAD');
      const sent = read(`HTTP/1.1 ${status} x`, 'extra', method);
      assert.deepEqual([sent.reader.complete, sent.reader.reusable], [true, false]);
    });
  }

  it('a connection is kept where the server offers it and nothing follows the answer', () => {
    const kept = (head: string, body = ''): boolean => read(head, body).reader.reusable;
    assert.equal(kept('HTTP/1.1 200 OK\ncontent-length: 2', 'ok'), true);
    assert.equal(kept('HTTP/1.1 200\ncontent-length: 0'), true);
    assert.equal(kept('HTTP/1.1 200 OK\ncontent-length: 2\nConnection: x, Close', 'ok'), false);
    assert.equal(kept('HTTP/1.0 200 OK\ncontent-length: 2', 'ok'), false);
    assert.equal(kept('HTTP/1.0 200 OK\ncontent-length: 2\nconnection: Keep-Alive', 'ok'), true);
    assert.equal(kept('HTTP/1.1 200 OK\ncontent-length: 2', 'ok!'), false);
    const closing = read('HTTP/1.1 200 OK', 'until the end');
    assert.deepEqual([closing.reader.complete, closing.reader.end()], [false, true]);
    assert.equal(closing.reader.reusable, false);
    assert.equal(read('HTTP/1.1 200 OK\nkeep-alive: timeout=7, max=3').reader.keepAliveMs, 7_000);
  });

  it('repeated fields keep all their values, and a prototype is only a name', () => {
    const [head] = read('HTTP/1.1 200 OK\nA: 1\na:2 \n__proto__: x\nset-cookie:').heads;
    assert.deepEqual(head?.headers['a'], ['1', '2']);
    assert.equal(head?.headers['__proto__'], 'x');
    assert.equal(head?.headers['set-cookie'], '');
    assert.equal(Object.getPrototypeOf(head?.headers), null);
  });
});
